"""Door: where the dashboard listens, and by which names clients may call it.

Edge (sockets); used by the server. Whether an address may be listened at is decided by access.py.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Sequence, Set
from dataclasses import field

import psutil

from ..errors import SpecError, StartError, UnsafeDoor
from ..lean_dataclass import dataclass
from .access import check_door, is_loopback

WAITING = 64
"""Connections that the kernel keeps until we take them."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where the dashboard listens and who may come in. Port 0 is any free one."""

    host: str = "127.0.0.1"
    port: int = 0
    allow_remote: bool = False
    token: str | None = field(default=None, repr=False)
    names: Sequence[str] = ()
    """Other names that clients may call it by, with their port, as behind a proxy."""

    def check(self) -> tuple[socket.AddressFamily, tuple[str, int]]:
        """Return the address behind `host`; what listen raises, but for a port that somebody has."""
        if not 0 <= self.port <= 65535:
            raise SpecError("--port", f"must be 0 to 65535, not {self.port}")
        if not self.host:
            check_door(self.host, allow_remote=self.allow_remote, token=self.token)
        try:
            family, _, _, _, found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
        except (OSError, UnicodeError) as error:
            raise SpecError("--host", f"{self.host} is no address: {error}") from None
        address = (str(found[0]), int(found[1]))
        check_door(address[0], allow_remote=self.allow_remote, token=self.token)
        return family, address

    @property
    def is_local(self) -> bool:
        """Whether only this machine can come in."""
        return is_loopback(self.check()[1][0])

    def listen(self) -> socket.socket:
        """Return a listening socket at an address that was judged after its name was resolved, never before.

        Raises UnsafeDoor, SpecError for what is no address, StartError when it cannot be had.
        """
        family, address = self.check()
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(WAITING)
        except OSError as error:
            listener.close()
            raise StartError("the dashboard", f"{self.host} port {self.port} cannot be had: {error.strerror}") from None
        return listener

    def called(self, listener: socket.socket) -> Set[str]:
        """Return what clients may call us: all that means this machine at the address we listen at."""
        address = str(listener.getsockname()[0])
        names = {self.host, address}
        if is_loopback(address):
            return names | {"localhost", "127.0.0.1" if listener.family == socket.AF_INET else "::1"}
        if address in ("0.0.0.0", "::"):
            own = {one.address.partition("%")[0] for rows in psutil.net_if_addrs().values() for one in rows}
            return names | own | {"localhost", socket.gethostname(), os.uname().nodename}
        return names

    def address(self, port: int) -> str:
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def read_token(path: str) -> str:
    """Return the token in a file: its first line. Raises UnsafeDoor where others may read it, SpecError else."""
    try:
        with open(path, encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                raise UnsafeDoor(path, f"others may use this token file (mode {stat.S_IMODE(mode):o})", "chmod 600 it")
            return file.readline().strip()
    except OSError as error:
        raise SpecError("--token-file", f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SpecError("--token-file", f"{path} is not ASCII") from None
