"""Catalogue: what a pool's directory says, and the only place that knows how it is laid out.

Edge (files); used by the pool and by whoever looks at it from outside. There is no other state than this directory:

    <pool>/pool.json        the settings, written once, appears whole
           lock             flock, held alone for as long as a listing and a few links take
           holders/<pid>    who in that process holds what (see lease)
           subscribers/<dataset>/…      who is told of new versions
           data/segments/<hash>         each content once: what the quota counts
                         .tmp.<pid>.<n>.<bytes>.<dataset>     being written, its writer's flock upon it
                sets/<dataset>/v00000042.…        a version: another link to its segment; the name is the handle
                               counter            the last number given out
                               current            symbolic link to the published version, replaced by rename
                               announced          to the one that all subscribers were told of
                streams/<name>/00000001.part      an append stream (see stream_layout); its writer's flock upon <name>

A version exists when its link does and is whole then, so a reader needs no lock and meets no half-written one. A
segment with one link left is what nobody can get any more; the kernel counts. `data` may be a link to another disk.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import SharedMemoryError, UnsafeDirectory
from ..lean_dataclass import dataclass
from .handle import DATA, SETS, Handle
from .lease import HOLDERS, is_held
from .segment import unlink, unlock
from .stream_layout import STREAMS, part_number
from .stream_part import stream_bytes

SEGMENTS, SUBSCRIBERS = "segments", "subscribers"
COUNTER, CURRENT, ANNOUNCED, LOCK = "counter", "current", "announced", "lock"
TURN = ".turn"
"""What is to be a version's next link, among the segments; there only while somebody has the lock."""

_TEMPORARY = re.compile(r"\.tmp\.(\d+)\.\d+\.(\d+)\.(.+)")  # pid, number, bytes set aside, dataset
_LOCK_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Stored:
    """A segment as it lies there. `links` besides its own are versions; `inode` is what locks upon it name.

    `bytes` are what the file system charges, `taken_ns` when somebody last mapped it.
    """

    path: str
    file: int
    inode: int
    device: int
    bytes: int
    size_bytes: int
    links: int
    taken_ns: int


class Catalogue:
    """The directory of the pool at `path`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.data = os.path.join(path, DATA)
        self.segments = os.path.join(self.data, SEGMENTS)
        self.sets = os.path.join(self.data, SETS)
        self.streams = os.path.join(self.data, STREAMS)
        self._sizes: dict[str, int] = {}

    def create(self) -> None:
        """Make what is missing of the directories. Idempotent; two at once do no harm."""
        for folder in (self.data, self.segments, self.sets, *(self._of_pool(name) for name in (HOLDERS, SUBSCRIBERS))):
            try:
                # crash: folder.make
                os.mkdir(folder, 0o700)
                # crash: folder.made
            except FileExistsError:
                pass

    def _of_pool(self, name: str) -> str:
        return os.path.join(self.path, name)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the pool's lock, never for longer than a listing and a few links take.

        A file description of its own each time, so threads exclude each other as processes do. A holder that is stopped
        rather than dead would stop everybody: SharedMemoryError after 5 s.
        """
        fd = self._lock()
        try:
            yield
        finally:
            unlock(fd)

    def _lock(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        give_up_at = time.monotonic() + _LOCK_TIMEOUT_S
        while True:
            fd = os.open(self._of_pool(LOCK), flags, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                if time.monotonic() > give_up_at:
                    raise SharedMemoryError(
                        f"pool {self.path} has been locked for {_LOCK_TIMEOUT_S:g} s: is a writer stopped?"
                    ) from None
                time.sleep(0.001)
                continue
            if os.fstat(fd).st_nlink:
                return fd
            os.close(fd)  # removed with its pool, and there may be another

    # -- segments ---------------------------------------------------------------------------------------------------

    def segment(self, name: str) -> str:
        """Return the path of the segment with that content."""
        return os.path.join(self.segments, name)

    def stored(self) -> list[Stored]:
        """Return every segment there is, each once."""
        return [
            found
            for name in _listed(self.segments)
            if not name.startswith(".") and (found := look_at(os.path.join(self.segments, name))) is not None
        ]

    def charged(self) -> int:
        """Return the bytes of all segments and of what is being written.

        One listing: what a name has been seen to take, it takes for ever, for the name is that of its content.
        """
        names = _listed(self.segments)
        sizes: dict[str, int] = {}
        for name in names:
            if not name.startswith("."):
                size = self._sizes.get(name)
                if size is None:
                    found = look_at(os.path.join(self.segments, name))
                    if found is None:
                        continue  # gone since
                    size = found.bytes
                sizes[name] = size
        self._sizes = sizes
        return sum(sizes.values()) + self._set_aside(names, None)

    def set_aside(self, dataset: str | None = None) -> int:
        """Return the bytes that are being written now, or were when a writer died; of one dataset, if told."""
        return self._set_aside(_listed(self.segments), dataset)

    def _set_aside(self, names: list[str], dataset: str | None) -> int:
        total = 0
        for name in names:
            match = _TEMPORARY.fullmatch(name)
            if match is not None and dataset in (None, match[3]):
                try:
                    total += max(os.lstat(os.path.join(self.segments, name)).st_blocks * 512, int(match[2]))
                except FileNotFoundError:
                    pass  # it has just become a segment
        return total

    def stream_bytes(self) -> int:
        """Return the bytes of all append streams."""
        return sum(size for _, _, size in self.streams_found())

    def streams_found(self) -> list[tuple[str, int, int]]:
        """Return each append stream's name, the number of its parts and its bytes."""
        folders = ((name, os.path.join(self.streams, name)) for name in sorted(_listed(self.streams)))
        return [(name, len(_listed(folder)), stream_bytes(folder)) for name, folder in folders]

    def stream_parts(self) -> list[tuple[str, int, tuple[int, int]]]:
        """Return each part of each append stream: the stream, the part's number, and its device and inode."""
        found = []
        for stream in _listed(self.streams):
            for name in _listed(os.path.join(self.streams, stream)):
                number = part_number(name)
                try:
                    status = os.lstat(os.path.join(self.streams, stream, name))
                except FileNotFoundError:
                    continue
                if number is not None:
                    found.append((stream, number, (status.st_dev, status.st_ino)))
        return found

    def sweep(self) -> int:
        """Remove what killed writers left; return how many files. Under the lock, or a new one could be taken away."""
        removed = 0
        for name in _listed(self.segments):
            if not _TEMPORARY.fullmatch(name):
                continue
            path = os.path.join(self.segments, name)
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # crash: sweep.temporary
                removed += unlink(path)
                # crash: sweep.removed
            except BlockingIOError:
                pass  # its writer lives
            finally:
                unlock(fd)
        # crash: sweep.turn
        removed += unlink(self.segment(TURN))
        # crash: sweep.done
        return removed

    def free_unreferenced(self) -> int:
        """Free the segments that no version refers to and nobody holds; return their bytes. Under the lock."""
        freed = 0
        for one in self.stored():
            if one.links == 1 and not is_held(one.path):
                freed += one.bytes
                # killed before: as it was; after: gone. Nobody can link to it meanwhile, for that takes the lock.
                # crash: free.unlink
                unlink(one.path)
                # crash: free.unlinked
        return freed

    # -- versions ---------------------------------------------------------------------------------------------------

    def dataset(self, name: str) -> str:
        """Return the directory of a dataset's versions."""
        return os.path.join(self.sets, name)

    def datasets(self) -> list[str]:
        """Return the datasets there are, by name."""
        return sorted(name for name in _listed(self.sets) if not name.startswith("."))

    def versions(self, dataset: str) -> list[Handle]:
        """Return the versions of a dataset that can be had, the oldest first."""
        found = (Handle.parse(self.path, dataset, name) for name in _listed(self.dataset(dataset)))
        return sorted((handle for handle in found if handle is not None), key=lambda handle: handle.version)

    def current(self, dataset: str) -> Handle | None:
        """Return the published version of a dataset, None if none was. One system call, no lock; about 5 µs."""
        try:
            entry = os.readlink(f"{self.sets}/{dataset}/{CURRENT}")
        except OSError:
            return None
        return Handle.parse(self.path, dataset, entry)

    def next_version(self, dataset: str) -> int:
        """Use up a number and return it. Under the lock."""
        folder = self.dataset(dataset)
        # crash: number.folder
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass
        path = os.path.join(folder, COUNTER)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # Used up before it is used: a writer killed in between skips a number, and none is given out twice.
            version = int.from_bytes(os.pread(fd, 8, 0), "little") + 1
            # crash: number.store
            os.pwrite(fd, version.to_bytes(8, "little"), 0)
            # crash: number.stored
        finally:
            os.close(fd)
        return version

    def set_current(self, handle: Handle) -> None:
        """Make a version the published one. Under the lock; readers see the one before or this, never neither."""
        folder = self.dataset(handle.dataset)
        aside = os.path.join(folder, f".{CURRENT}")
        # crash: publish.begin
        unlink(aside)  # a killed publisher's
        # crash: publish.aside
        os.symlink(handle.entry, aside)
        # crash: publish.switch
        os.replace(aside, os.path.join(folder, CURRENT))
        # crash: publish.switched

    def announced(self, dataset: str) -> str:
        """Return the version that all subscribers were told of, "" for none."""
        try:
            return os.readlink(os.path.join(self.dataset(dataset), ANNOUNCED))
        except OSError:
            return ""

    def set_announced(self, handle: Handle) -> None:
        """Note that all subscribers were told of a version; killed before, the janitor tells them once more."""
        folder = self.dataset(handle.dataset)
        aside = os.path.join(folder, f".{ANNOUNCED}.{os.getpid()}.{os.urandom(4).hex()}")
        # crash: announced.aside
        os.symlink(handle.entry, aside)
        # crash: announced.switch
        os.replace(aside, os.path.join(folder, ANNOUNCED))
        # crash: announced.switched

    def unset_current(self, dataset: str) -> None:
        """Have a dataset no published version any more. Under the lock."""
        # Killed before it: the published version is still there, or is about to go, and then nobody can get it.
        # crash: unset.current
        unlink(os.path.join(self.dataset(dataset), CURRENT))
        # crash: unset.done

    def by_segment(self) -> dict[int, list[Handle]]:
        """Return the versions by the file that they are links to (`Stored.file`)."""
        found: dict[int, list[Handle]] = {}
        for dataset in self.datasets():
            for handle in self.versions(dataset):
                try:
                    found.setdefault(os.lstat(handle.path).st_ino, []).append(handle)
                except FileNotFoundError:
                    pass  # dropped since
        return found


def look_at(path: str) -> Stored | None:
    """Return a segment's file as it lies there; None if it is gone, or was memory whose keeper is gone."""
    try:
        own = os.lstat(path)
        is_memory = stat.S_ISLNK(own.st_mode)
        target = os.stat(path) if is_memory else own
    except OSError:
        return None
    return Stored(
        path, own.st_ino, target.st_ino, target.st_dev, target.st_blocks * 512, target.st_size, own.st_nlink,
        target.st_atime_ns,
    )  # fmt: skip


def temporary_name(pid: int, number: int, size_bytes: int, dataset: str) -> str:
    """Return the name of a file being written: it tells other writers how much is set aside for it, and for whom."""
    return f".tmp.{pid}.{number}.{size_bytes}.{dataset}"


def check_private(path: str) -> None:
    """Raise UnsafeDirectory unless `path` is a real directory of ours that nobody else may enter."""
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise UnsafeDirectory(path, "is not a directory of this user")
    if status.st_mode & 0o077:
        raise UnsafeDirectory(path, f"others may enter it (mode {status.st_mode & 0o777:04o})")


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
