"""Context pool: tables that many actors read and nobody changes, one copy for the whole node.

An edge (files, memory); made by the node, written by anybody, read through handles. A version is an Arrow IPC file,
uncompressed (a compressed one would be copied out by every reader), written under a temporary name, sealed (0400) and
then renamed: a name that exists is whole. Written by write(2), so a full file system is an error here and never a
SIGBUS at a reader. Needs no server: an inode lives as long as anybody maps it, so dropping never harms a reader.

What a kill leaves behind: before the rename a temporary file, which counts against the quota until `sweep` (or the
next `put`) finds its lock free; after it, a version without a handle, which goes when the pool is removed. The kernel
frees both locks, the pool's and the temporary file's, with the process that held them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import PoolFull, SharedMemoryError, SharedMemoryFull, UnsafeDirectory
from .handle import Handle, schema_fingerprint
from .segment import unlink

if TYPE_CHECKING:
    import pyarrow as pa

    Arrow: TypeAlias = pa.Table | pa.RecordBatch | pa.RecordBatchReader | Iterable[pa.RecordBatch]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_TEMPORARY = re.compile(r"\.tmp\.\d+\.\d+\.(\d+)")  # pid, number, bytes set aside
_SEALED = ".arrow"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM)
_LOCK_TIMEOUT_S = 5.0
_FRAME_BYTES = 64 * 1024  # set aside for the metadata of a batch whose exact size is not known beforehand

_numbers = count(1)


class ContextPool:
    """A directory of sealed tables, at most `max_bytes` of them, and the only way to write there.

    Any process may open the same pool; its state is in the directory. Files of this user only, 0700.
    """

    def __init__(self, directory: str | os.PathLike[str], name: str, max_bytes: int) -> None:
        """Open the pool `name` below `directory`, making it if need be. Raises UnsafeDirectory if it is not ours."""
        self.name, self.max_bytes = _checked(name), max_bytes
        self.path = os.path.join(os.path.abspath(directory), name)
        try:
            os.mkdir(self.path, 0o700)
        except FileExistsError:
            pass
        status = os.lstat(self.path)
        if not os.path.isdir(self.path) or os.path.islink(self.path) or status.st_uid != os.geteuid():
            raise UnsafeDirectory(self.path, "is not a directory of this user")
        if status.st_mode & 0o077:
            raise UnsafeDirectory(self.path, f"others may enter it (mode {status.st_mode & 0o777:04o})")

    def put(self, dataset: str, data: Arrow) -> Handle:
        """Write `data` as the next version of `dataset` and return its handle; one copy in, none out.

        A table is measured before anything is written; a reader is written batch by batch, so it may be larger than
        this process's memory. Blocks for the copying. Raises PoolFull for the quota, SharedMemoryFull for the file
        system (nothing is left behind by either), TypeError for anything that is not Arrow.
        """
        import pyarrow as pa

        _checked(dataset)
        schema, batches, measured = _as_batches(data)
        needed = measured or 0
        temporary, lock_fd = self._set_aside(dataset, needed)
        try:
            options = pa.ipc.IpcWriteOptions(compression=None)
            assert options.compression is None
            rows = 0
            try:
                with pa.OSFile(temporary, "wb") as sink, pa.ipc.new_file(sink, schema, options=options) as writer:
                    for batch in batches:
                        if measured is None and needed < (after := sink.tell() + batch.nbytes + _FRAME_BYTES):
                            needed = after
                            temporary = self._set_aside_more(temporary, dataset, needed)
                        writer.write_batch(batch)
                        rows += batch.num_rows
            except OSError as error:
                if error.errno in _FULL and not isinstance(error, SharedMemoryFull):
                    room = os.statvfs(self.path)
                    free = room.f_bavail * room.f_frsize
                    raise SharedMemoryFull(f"dataset {dataset!r}", needed, free, self.path) from None
                raise
            size = os.stat(temporary).st_size
            os.chmod(temporary, 0o400)
            with self._locked() as versions_fd:
                version = _next_version(versions_fd)
                nonce = int.from_bytes(os.urandom(4), "little")
                handle = Handle(self.path, dataset, version, nonce, size, rows, schema_fingerprint(schema))
                os.rename(temporary, handle.path)
            return handle
        except BaseException:
            unlink(temporary)
            raise
        finally:
            os.close(lock_fd)

    def drop(self, handle: Handle) -> bool:
        """Remove a version; False if it was gone. Who maps it keeps it, and its memory until then."""
        if handle.pool != self.path:
            raise ValueError(f"{handle} is not of the pool {self.path}")
        return unlink(handle.path)

    def bytes_shared(self) -> int:
        """Return the bytes of the sealed versions that have a name; dropped ones that are still mapped do not count."""
        return sum(size for name, size in self._files() if name.endswith(_SEALED))

    def bytes_free(self) -> int:
        """Return what the quota leaves, after sealed versions and what is being written."""
        return max(0, self.max_bytes - self._used())

    def sweep(self) -> int:
        """Remove what killed writers left; return how many files."""
        with self._locked():
            return self._sweep()

    def remove(self) -> None:
        """Remove the pool and every name in it. Mappings stay good."""
        shutil.rmtree(self.path, ignore_errors=True)

    # ---- space: what is set aside for a file being written stands in its name, so that writers see each other's

    def _set_aside(self, dataset: str, needed: int) -> tuple[str, int]:
        with self._locked():
            self._check_room(dataset, needed, besides=0)
            path = os.path.join(self.path, f".tmp.{os.getpid()}.{next(_numbers)}.{needed}")
            lock_fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # under the pool's lock, so a sweep never finds it free
            return path, lock_fd

    def _set_aside_more(self, temporary: str, dataset: str, needed: int) -> str:
        with self._locked():
            mine = int(temporary.rpartition(".")[2])
            self._check_room(dataset, needed, besides=max(mine, os.stat(temporary).st_size))
            larger = f"{temporary.rpartition('.')[0]}.{needed}"
            os.rename(temporary, larger)
            return larger

    def _check_room(self, dataset: str, needed: int, besides: int) -> None:
        free = self.max_bytes - self._used() + besides
        if needed > free and self._sweep():
            free = self.max_bytes - self._used() + besides
        if needed > free:
            raise PoolFull(f"dataset {dataset!r}", needed, max(0, free), self.path)

    def _used(self) -> int:
        return sum(size for _, size in self._files())

    def _files(self) -> Iterator[tuple[str, int]]:
        for entry in os.scandir(self.path):
            try:
                size = entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:  # renamed or dropped since the listing
                continue
            if match := _TEMPORARY.fullmatch(entry.name):
                yield entry.name, max(size, int(match[1]))
            elif entry.name.endswith(_SEALED):
                yield entry.name, size

    def _sweep(self) -> int:
        removed = 0
        for entry in list(os.scandir(self.path)):
            if not _TEMPORARY.fullmatch(entry.name):
                continue
            try:
                fd = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                removed += unlink(entry.path)
            except BlockingIOError:
                pass  # its writer lives
            finally:
                os.close(fd)
        return removed

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Hold the pool's lock, never for longer than a listing and a rename take; yields `.versions`' descriptor.

        A file description of its own each time, so threads exclude each other as processes do. A holder that is stopped
        rather than dead would stop everybody: SharedMemoryError after 5 s.
        """
        fd = os.open(os.path.join(self.path, ".versions"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            give_up_at = time.monotonic() + _LOCK_TIMEOUT_S
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > give_up_at:
                        raise SharedMemoryError(
                            f"pool {self.path} has been locked for {_LOCK_TIMEOUT_S:g} s: is a writer stopped?"
                        ) from None
                    time.sleep(0.001)
            yield fd
        finally:
            os.close(fd)


def _as_batches(data: Any) -> tuple[Any, Iterable[Any], int | None]:
    """Return schema, batches and the bytes that the file will have, None if that is not known beforehand."""
    import pyarrow as pa

    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    elif not isinstance(data, (pa.Table, pa.RecordBatchReader)):
        data = _reader_of(iter(data))
    if isinstance(data, pa.RecordBatchReader):
        if not any(pa.types.is_dictionary(field.type) for field in data.schema):
            return data.schema, data, None
        data = data.read_all()  # a file has one dictionary a column, so all of them must be seen first
    data = data.unify_dictionaries()
    batches = data.to_batches()
    measure = pa.MockOutputStream()
    with pa.ipc.new_file(measure, data.schema, options=pa.ipc.IpcWriteOptions(compression=None)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return data.schema, batches, measure.size()


def _reader_of(batches: Iterator[Any]) -> Any:
    import pyarrow as pa

    first = next(batches, None)
    if not isinstance(first, pa.RecordBatch):
        raise TypeError(f"a pool takes an Arrow table, batches or a reader, not {type(first).__name__}")
    return pa.RecordBatchReader.from_batches(first.schema, _chain(first, batches))


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _next_version(versions_fd: int) -> int:
    # Used up before it is used: a writer killed in between skips a number, and none is given out twice.
    version = int.from_bytes(os.pread(versions_fd, 8, 0), "little") + 1
    os.pwrite(versions_fd, version.to_bytes(8, "little"), 0)
    return version


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a name here: letters, digits, '_', '.' and '-', at most 64")
    return name
