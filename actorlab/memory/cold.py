"""Cold: versions that are kept but that nobody has read for a while, compressed; unpacked by whoever reads them again.

Edge (files); used by the janitor, and by a handle that finds its version compressed. A cold segment is a file of its
own beside the plain one, `<hash>.z`: what the plain one was, by zstd, behind a header that says its size and hash.

Both ways the new file gets its name first, then each version is turned over to it by a rename, then the old one goes.
A reader meets the plain version or the cold one and never neither; killed in between, each file counts as long as a
version refers to it, and the next tidy frees the one that none does.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from typing import Any

from ..errors import PoolFull, SegmentCorrupt, SegmentGone, SharedMemoryFull
from .catalogue import TURN, Catalogue, Stored, look_at
from .handle import Handle
from .lease import is_held, open_sealed, take_lease
from .room import Room
from .segment import unlink, unlock
from .settings import PoolSettings
from .space import FULL, no_room

SUFFIX = ".z"
_MAGIC = b"alcold01"
_HEAD = struct.Struct("<8sQ48s")  # magic, bytes of the plain segment, its name
_CHUNK = 4 << 20
_WORTH = 0.9
_NEVER_NS = 1  # a plain segment's mtime that says: compressing it gains nothing


class Cold:
    """Compresses and unpacks the segments of one pool."""

    def __init__(self, catalogue: Catalogue, settings: PoolSettings) -> None:
        self._catalogue = catalogue
        self._room = Room(catalogue, settings)

    def freeze(self, stored: Stored, dataset: str) -> int:
        """Compress a segment that nobody holds; return the bytes saved, 0 if it is not worth it or was taken meanwhile.

        Takes about a second for 200 MB, during which readers take the plain one as ever.
        """
        name = os.path.basename(stored.path)
        try:
            source = open_sealed(stored.path, name)
        except SegmentGone:
            return 0
        try:
            if os.fstat(source).st_mtime_ns == _NEVER_NS:
                return 0
            try:
                with self._catalogue.locked():
                    temporary, fd = self._room.set_aside(dataset, int(stored.size_bytes * _WORTH), evict=False)
            except PoolFull:
                return 0
            try:
                size = self._compress(source, fd, stored.size_bytes, name)
                if size > stored.size_bytes * _WORTH:
                    os.utime(source, ns=(stored.taken_ns, _NEVER_NS))
                    return 0
                os.fchmod(fd, 0o400)
                # crash: freeze.sealed
                with self._catalogue.locked():
                    found = look_at(stored.path)
                    if found is None or found.file != stored.file or is_held(stored.path):
                        return 0
                    self._turn_over(temporary, stored.path + SUFFIX, stored)
                return stored.bytes - os.fstat(fd).st_blocks * 512
            except OSError as error:
                if error.errno in FULL:
                    return 0
                raise
            finally:
                unlink(temporary)
                # crash: freeze.done
                unlock(fd)
        finally:
            unlock(source)

    def thaw(self, handle: Handle) -> None:
        """Unpack what `handle` names, if it is compressed, and see that it is what was sealed.

        Blocks for it. Raises SegmentCorrupt, SegmentGone, PoolFull, SharedMemoryFull; then it stays as it is.
        """
        path = handle.path
        source = open_sealed(path, str(handle))
        try:
            status = os.fstat(source)
            if status.st_size == handle.size_bytes:
                return  # another has unpacked it
            head = os.pread(source, _HEAD.size, 0)
            if len(head) < _HEAD.size or head[:8] != _MAGIC or _HEAD.unpack(head)[1] != handle.size_bytes:
                text = f"has {status.st_size:,} bytes, {handle.size_bytes:,} were sealed"
                raise SegmentCorrupt(path, text)
            name = _HEAD.unpack(head)[2].rstrip(b"\0").decode("ascii", "replace")
            with self._catalogue.locked():
                take_lease(source)  # or it might be what room is made of
                temporary, fd = self._room.set_aside(handle.dataset, handle.size_bytes)
            try:
                if decompress(source, fd) != name.partition("-")[0]:
                    raise SegmentCorrupt(path, "does not unpack to what was sealed")
                os.fchmod(fd, 0o400)
                # crash: thaw.sealed
                with self._catalogue.locked():
                    fcntl.flock(source, fcntl.LOCK_UN)
                    cold = look_at(path)
                    if cold is not None and cold.size_bytes != handle.size_bytes:
                        self._turn_over(temporary, self._catalogue.segment(name), cold)
            except OSError as error:
                if error.errno in FULL and not isinstance(error, SharedMemoryFull):
                    raise no_room(str(handle), handle.size_bytes, self._catalogue.segments) from None
                raise
            finally:
                unlink(temporary)
                # crash: thaw.done
                unlock(fd)
        finally:
            unlock(source)

    def _turn_over(self, temporary: str, path: str, old: Stored) -> None:
        """Have every version of `old` refer to the file `temporary`, from now on `path`. Under the lock."""
        if not os.path.exists(path):  # else the same content was put again meanwhile
            # crash: turn.name
            os.rename(temporary, path)
        # crash: turn.named
        for handle in self._catalogue.by_segment().get(old.file, []):
            aside = self._catalogue.segment(TURN)
            unlink(aside)
            # crash: turn.aside
            os.link(path, aside, follow_symlinks=False)
            # Killed here: one link more, until the next sweep.
            # crash: turn.version
            os.replace(aside, handle.path)
        # crash: turn.freed
        self._catalogue.free_unreferenced()

    def _compress(self, source: int, fd: int, size: int, name: str) -> int:
        import pyarrow as pa

        os.write(fd, _HEAD.pack(_MAGIC, size, name.encode()))
        with (
            mmap.mmap(source, size, access=mmap.ACCESS_READ) as plain,
            os.fdopen(os.dup(fd), "wb") as file,
            pa.CompressedOutputStream(pa.PythonFile(file, "w"), "zstd") as packed,
        ):
            for at in range(0, size, _CHUNK):
                packed.write(plain[at : at + _CHUNK])
                if file.tell() > size * _WORTH:
                    break
        return os.fstat(fd).st_size


def decompress(source: int, fd: int | None) -> str:
    """Write what the cold segment `source` holds to `fd`, if given; return its hash, "" if it cannot be unpacked."""
    import pyarrow as pa
    import xxhash

    hashed = xxhash.xxh3_128()
    with os.fdopen(os.dup(source), "rb") as file:
        file.seek(_HEAD.size)
        try:
            with pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd") as plain:
                while chunk := plain.read(_CHUNK):
                    hashed.update(chunk)
                    if fd is not None:
                        _write(fd, chunk)
        except (pa.ArrowException, EOFError):
            return ""
        except OSError as error:
            if error.errno is not None:
                raise
            return ""  # Arrow's word for a broken stream
    return str(hashed.hexdigest())


def _write(fd: int, chunk: Any) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(fd, view) :]
