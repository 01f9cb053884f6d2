"""Keeper: the process that keeps the memory of a pool that has no files, and how a writer hands it over.

Edge (a socket, descriptors); the controller's, in a thread of its own, beside the janitor. A segment is a sealed memfd;
the keeper has it open, and the pool's directory a link to that descriptor under /proc, which any process of this user
opens for itself: nobody asks the keeper to read. So a /dev/shm of 64 MB does not matter, no logout removes anything,
and when the node's controller is gone, so is the memory.

A writer keeps its connection until its link is there or it is dead; only then is a descriptor without a link closed.
So no link ever names a number that the keeper has given to something else.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import struct
import threading
import time

from ..errors import SharedMemoryError
from .catalogue import Catalogue
from .segment import unlink

SOCKET = "keeper.sock"

_PATIENCE_S = 5.0
_AGAIN_S = 0.05
"""How long whoever connects while no descriptor is left is not looked at."""
_PEER = struct.Struct("3i")  # pid, uid, gid


class Keeper:
    """Keeps the segments of the pool at `path`; `look` lets go of those that nothing refers to any more."""

    def __init__(self, path: str) -> None:
        self._catalogue = Catalogue(path)
        self._kept: dict[str, int] = {}  # what links say → our descriptor
        self._offered: dict[socket.socket, int] = {}
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = os.path.join(path, SOCKET)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        unlink(self._socket)  # of one that failed to begin: a node has one keeper for each pool
        try:
            self._listener.bind(f"/proc/self/fd/{folder}/{SOCKET}")  # a path has at most 107 bytes
        finally:
            os.close(folder)
        self._listener.listen(64)
        self._wake, self._woken = os.pipe()
        self._thread = threading.Thread(target=self._run, name="actorlab keeper", daemon=True)
        self._thread.start()

    def is_there(self) -> bool:
        """Whether writers find it: not when the pool was removed, and perhaps another made in its place."""
        return os.path.exists(self._socket)

    def close(self) -> None:
        """Let go of everything: what nobody has mapped is gone."""
        os.close(self._woken)
        self._thread.join(_PATIENCE_S)
        os.close(self._wake)
        self._listener.close()
        for connection in list(self._offered):
            connection.close()
        for fd in [*self._kept.values(), *self._offered.values()]:
            os.close(fd)
        self._kept.clear()
        self._offered.clear()

    def look(self) -> None:
        """Close what no link refers to. The janitor's."""
        with self._lock:
            linked = set()
            try:
                names = os.listdir(self._catalogue.segments)
            except FileNotFoundError:
                names = []  # the whole pool was removed
            for name in names:
                try:
                    linked.add(os.readlink(self._catalogue.segment(name)))
                except OSError:
                    continue  # a file, or gone
            for target in [target for target in self._kept if target not in linked]:
                os.close(self._kept.pop(target))

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            deaf = False
            while True:
                events = selector.select(_AGAIN_S if deaf else None)
                if deaf:
                    deaf = False
                    selector.register(self._listener, selectors.EVENT_READ)
                for key, _ in events:
                    if key.fileobj == self._wake:
                        return
                    if key.fileobj is self._listener:
                        if not self._greet(selector):
                            deaf = True  # it would be ready again at once, while others let descriptors go
                            selector.unregister(self._listener)
                    elif isinstance(key.fileobj, socket.socket):
                        self._serve(key.fileobj, selector)

    def _greet(self, selector: selectors.BaseSelector) -> bool:
        """Take a connection; False: not now, no descriptor is left."""
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            return error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
        _, uid, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        if uid != os.geteuid():
            connection.close()
            return True
        selector.register(connection, selectors.EVENT_READ)
        return True

    def _serve(self, connection: socket.socket, selector: selectors.BaseSelector) -> None:
        """Take a descriptor and say how it can be opened; or see that the writer is done, or dead."""
        try:
            data, fds, _, _ = socket.recv_fds(connection, 1, 1)
        except OSError:
            data, fds = b"", []
        if data and len(fds) == 1 and connection not in self._offered:
            self._offered[connection] = fds[0]
            try:
                connection.sendall(_target(fds[0]).encode())
            except OSError:
                pass
            return
        for fd in fds:
            os.close(fd)
        selector.unregister(connection)
        connection.close()
        offered = self._offered.pop(connection, -1)
        if offered >= 0:
            with self._lock:
                self._kept[_target(offered)] = offered
            self.look()  # linked it stays, and if the writer was killed before, it goes


class Handover:
    """A writer's side: `target` is what a link to the memory says, once the keeper has it; closed when it is linked."""

    def __init__(self, pool: str, fd: int) -> None:
        self._connection = _connect(pool)
        try:
            self._connection.settimeout(_PATIENCE_S)
            socket.send_fds(self._connection, [b"k"], [fd])
            self.target = self._connection.recv(256).decode()
        except OSError as error:
            self.close()
            raise SharedMemoryError(f"the keeper of pool {pool} does not answer: {error}") from error
        if not self.target:
            self.close()
            raise SharedMemoryError(f"the keeper of pool {pool} took nothing: has it too many descriptors open?")

    def close(self) -> None:
        """Let the keeper see what became of it."""
        self._connection.close()


def _connect(pool: str) -> socket.socket:
    """Connect to a pool's keeper; waits a moment for one that is about to begin."""
    give_up_at = time.monotonic() + _PATIENCE_S
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            folder = os.open(pool, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                connection.connect(f"/proc/self/fd/{folder}/{SOCKET}")
            finally:
                os.close(folder)
            return connection
        except OSError as error:
            connection.close()
            if time.monotonic() > give_up_at:
                text = f"pool {pool} has no keeper ({error.strerror}): memory without files needs a node that runs"
                raise SharedMemoryError(text) from None
            time.sleep(0.005)


def _target(fd: int) -> str:
    return f"/proc/{os.getpid()}/fd/{fd}"
