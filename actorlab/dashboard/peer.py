"""Peer: which user of this machine is at the other end of a loopback connection.

Edge (/proc/net; without it, psutil). The node's directory is closed to other users, and a port on loopback is not:
without this, anybody with an account could read on the page what the directory's mode keeps from them. The kernel notes
the owner of every socket; the client's is the one whose ends are ours, exchanged.
"""

from __future__ import annotations

import os
import socket
import sys

import psutil

from ..memory import has

Address = tuple[str, int]


def kernel_form(address: Address) -> str:
    """Return an address and port as /proc/net/tcp and tcp6 write them: each 32 bits in the machine's byte order.

    >>> kernel_form(("127.0.0.1", 8787)) if sys.byteorder == "little" else "0100007F:2253"
    '0100007F:2253'
    """
    host, port = address
    packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host.partition("%")[0])
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{port:04X}"


def uid_of_peer(client: Address, server: Address) -> int | None:
    """Return the user id at `client`, the other end of a connection to `server`; None if it is not on this machine.

    Without /proc only our own processes can be asked for their sockets, which takes some 0.1 s: None for all others'.
    """
    if not has("proc"):
        return _own_uid_at(client, server)
    table = "/proc/net/tcp6" if ":" in client[0] else "/proc/net/tcp"
    theirs, ours = kernel_form(client), kernel_form(server)
    try:
        with open(table, encoding="ascii") as rows:
            for row in rows:
                columns = row.split()
                if len(columns) > 9 and columns[1] == theirs and columns[2] == ours:
                    # a socket that its process has closed has no owner any more, and says 0: inode 0 tells
                    return int(columns[7]) if columns[9] != "0" else None
    except OSError:
        return None
    return None


def _own_uid_at(client: Address, server: Address) -> int | None:
    mine = os.geteuid()
    for process in psutil.process_iter():
        try:
            if process.uids().effective != mine:
                continue
            for one in process.net_connections("tcp"):
                if one.laddr and one.raddr and tuple(one.laddr) == client[:2] and tuple(one.raddr) == server[:2]:
                    return mine
        except psutil.Error:
            continue  # gone meanwhile, or not to be asked
    return None
