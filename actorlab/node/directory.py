"""The node's directory: where a node's shared files live, and the locks that say who is alive.

Edge (files); used by launch, sweep, preload and the node's controller and workers.

    <runtime_dir>/actorlab-<uid>/        0700, checked: ours, real, closed to others
      <name>-<8 hex>/                    0700
        controller.lock                  EX flock, held by the controller's process
        tree.lock                        SH flock, held by every process of the node, each through its own open
        node.json                        identity of the controller (0600, appears whole)
        workers/<slot>.json              identity of the process that joined as worker <slot>

Guarantees: the kernel drops a dead process's locks, so what the locks say is true even after SIGKILL; a
name given explicitly has one live node; a directory is removed only by somebody who holds tree.lock alone.
Creating, judging and removing are serialised by a flock on the base directory itself, which leaves no file.

A lock is given up by closing, never by LOCK_UN: flocks belong to the open file, which a forked child
shares, so LOCK_UN in a child would drop its parent's lock.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from ..errors import AlreadyRunning, SpecError, StartError, UnsafeDirectory
from ..memory import remove_pools, shared_memory_folder
from .forks import let_go_in_children
from .identity import Identity, write_whole

RUNTIME_DIR_VARIABLE = "ACTORLAB_RUNTIME_DIR"
DEFAULT_NAME = "node"

CONTROLLER_LOCK = "controller.lock"
TREE_LOCK = "tree.lock"
NODE_FILE = "node.json"
WORKERS = "workers"

_TAG_CHARACTERS = 8
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_BASE_PATIENCE_S = 10.0
_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW


def base_directory(runtime_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return this user's directory of nodes, unchecked: in `runtime_dir`, else $ACTORLAB_RUNTIME_DIR, else /dev/shm.

    Where there is no /dev/shm, in the user's temporary folder.
    """
    where = runtime_dir or os.environ.get(RUNTIME_DIR_VARIABLE) or shared_memory_folder()
    return Path(where) / f"actorlab-{os.geteuid()}"


def check_safe(path: Path) -> None:
    """Raise UnsafeDirectory unless `path` is a real directory of ours that nobody else can enter or replace."""
    parent = os.stat(path.parent)
    if parent.st_mode & 0o002 and not parent.st_mode & stat.S_ISVTX:
        raise UnsafeDirectory(str(path), f"{path.parent} may be written by others and is not sticky")
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeDirectory(str(path), "it is a symbolic link" if stat.S_ISLNK(found.st_mode) else "not a directory")
    if found.st_uid != os.geteuid():
        raise UnsafeDirectory(str(path), f"it belongs to uid {found.st_uid}, not {os.geteuid()}")
    if found.st_mode & 0o077:
        raise UnsafeDirectory(str(path), f"its mode is {stat.S_IMODE(found.st_mode):o}, not 700")


@contextmanager
def locked_base(base: Path) -> Iterator[None]:
    """Hold the base directory alone: nobody creates, judges or removes a node's directory meanwhile.

    Creates the base if it is missing; removes it again when it is left empty. Blocks, up to 10 s, then StartError:
    a holder that is frozen in there must not freeze us too.
    """
    deadline = time.monotonic() + _BASE_PATIENCE_S
    while True:
        try:
            base.mkdir(mode=0o700)
        except FileExistsError:
            pass
        except FileNotFoundError:
            raise StartError("a node", f"{base.parent} does not exist: set runtime_dir or ${RUNTIME_DIR_VARIABLE}")
        try:
            check_safe(base)
            fd = os.open(base, os.O_RDONLY | os.O_DIRECTORY | _OPEN)
        except FileNotFoundError:
            continue  # its last user removed it again
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _still_named(fd, base):
                break
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(fd)
                raise StartError("a node", f"another process has kept {base} locked for {_BASE_PATIENCE_S:g} s")
            time.sleep(0.001)
        os.close(fd)  # busy, or removed between our open and our flock
    try:
        yield
    finally:
        try:
            os.rmdir(base)
        except OSError:
            pass
        os.close(fd)


def _still_named(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """Lock a lock file without blocking and return its descriptor, to be closed; None if somebody else holds it.

    Raises FileNotFoundError when the file is missing, or was removed between the open and the lock.
    """
    fd = os.open(path, os.O_RDWR | _OPEN)
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        if not _still_named(fd, path):
            raise FileNotFoundError(path)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd


def _is_locked(fd: int) -> bool:
    """Whether somebody holds the lock file open as `fd` for itself alone. If nobody does, we have a share of it now."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _create_lock(path: Path, *, shared: bool) -> int:
    """Create and lock a lock file. It waits only for those who probe it, which they do without holding the base."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPEN, 0o600)
    fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    return fd


def node_directories(base: Path) -> list[Path]:
    """Return what looks like a node's directory below `base`, by name; none if there is no base."""
    try:
        with os.scandir(base) as entries:
            return sorted(
                Path(entry.path)
                for entry in entries
                if len(entry.name.rpartition("-")[2]) == _TAG_CHARACTERS and entry.is_dir(follow_symlinks=False)
            )
    except FileNotFoundError:
        return []


def has_controller(path: Path) -> bool:
    """Whether the controller of the node at `path` lives. About 6 µs.

    Probes with a shared lock, so that two who ask at once do not take each other for the controller.
    """
    return is_held(path / CONTROLLER_LOCK, shared=True)


def is_held(lock: Path, *, shared: bool) -> bool:
    """Whether a live process holds `lock` so that one more holder of our kind is refused; False if there is none."""
    try:
        fd = try_lock(lock, shared=shared)
    except FileNotFoundError:
        return False
    if fd is None:
        return True
    os.close(fd)
    return False


def remove_if_dead(path: Path) -> bool:
    """Remove a node's directory if no process of the node is left; return whether it is gone. Call under locked_base.

    A directory without its tree.lock is one whose removal was interrupted (creation holds the base throughout).
    """
    try:
        fd = try_lock(path / TREE_LOCK)
    except FileNotFoundError:
        fd = -1
    if fd is None:
        return False
    try:
        if has_controller(path):
            return False
        remove_pools(path)
        shutil.rmtree(path, ignore_errors=True)
        return not path.exists()
    finally:
        if fd >= 0:
            os.close(fd)


class NodeDirectory:
    """One process's membership of a node: its locks, and the directory they are in.

    `create` makes the controller's, `join` a worker's. Ends by `remove` (the controller's ordered stop),
    `leave` (a worker) or `close`; a membership that is garbage collected stays locked until the process ends.
    """

    def __init__(self, path: Path, locks: list[int], me: Identity, controller: int | None = None) -> None:
        self.path = path
        self.identity = me
        self._locks = locks
        self._controller = controller  # a worker's open controller.lock
        let_go_in_children(self)

    @classmethod
    def create(
        cls, name: str | None = None, *, runtime_dir: str | os.PathLike[str] | None = None, tag: str | None = None
    ) -> NodeDirectory:
        """Create the directory of a new node and hold it as its controller.

        A `name` that is given has one live node at a time: AlreadyRunning otherwise. Without one the node is called
        "node" and may have company. Raises UnsafeDirectory where others could tamper. Blocks briefly, while another
        node of this user starts or is swept.
        """
        called = DEFAULT_NAME if name is None else name
        if not _NAME.fullmatch(called):
            raise SpecError(f"node name {called!r}", "use 1 to 64 ASCII letters, digits, '.', '_' and '-'")
        base = base_directory(runtime_dir)
        with locked_base(base):
            if name is not None:
                for other in node_directories(base):
                    if other.name.rpartition("-")[0] == name and has_controller(other):
                        raise AlreadyRunning(f"node {name!r}", f"its directory is {other}")
            path = base / f"{called}-{tag or os.urandom(_TAG_CHARACTERS // 2).hex()}"
            path.mkdir(mode=0o700)
            locks: list[int] = []
            try:
                (path / WORKERS).mkdir(mode=0o700)
                locks.append(_create_lock(path / CONTROLLER_LOCK, shared=False))
                locks.append(_create_lock(path / TREE_LOCK, shared=True))
                me = Identity.of_this_process(name=called)
                write_whole(path / NODE_FILE, asdict(me))
            except BaseException:
                for fd in locks:
                    os.close(fd)
                shutil.rmtree(path, ignore_errors=True)
                raise
            return cls(path, locks, me)

    @classmethod
    def join(cls, path: str | os.PathLike[str], slot: int) -> NodeDirectory:
        """Join a running node as worker `slot`: hold its tree.lock and record who we are.

        Raises StartError when the directory is gone or its controller is dead: the node is over.
        """
        where = Path(path)
        try:
            check_safe(where)
            fd = try_lock(where / TREE_LOCK, shared=True)
        except FileNotFoundError:
            raise StartError(f"worker {slot}", f"{where} is gone: its node has stopped")
        controller = -1
        try:
            if fd is not None:
                controller = os.open(where / CONTROLLER_LOCK, os.O_RDWR | _OPEN)
        except FileNotFoundError:
            pass
        if fd is None or controller < 0 or not _is_locked(controller):
            for one in (fd, controller):
                if one is not None and one >= 0:
                    os.close(one)
            raise StartError(f"worker {slot}", f"the controller of {where} is gone")
        me = replace(Identity.of_this_process(slot=slot), name=where.name.rpartition("-")[0])
        joined = cls(where, [fd], me, controller)
        write_whole(where / WORKERS / f"{slot}.json", asdict(me))
        return joined

    @property
    def name(self) -> str:
        """The node's name, without the tag that makes the directory unique."""
        return self.identity.name

    def controller_alive(self) -> bool:
        """Whether the node's controller still holds its lock: by the open file, wherever its name has gone.

        A log-out (RemoveIPC) or a cleaner of temporary files takes the names from a node that runs; nobody has died.
        """
        return bool(self._locks) and (self._controller is None or _is_locked(self._controller))

    def close_in_child(self) -> None:
        """In a forked child of ours: give up its copies of the locks, or it would keep the node 'alive'."""
        self.close()

    def close(self) -> None:
        """Give up the locks and leave the directory as it is. Idempotent."""
        locks, self._locks = self._locks, []
        if self._controller is not None:
            locks.append(self._controller)
            self._controller = None
        for fd in locks:
            os.close(fd)

    def leave(self) -> bool:
        """Give up a worker's membership; the last one to leave a node without controller removes the directory.

        Returns whether the directory is gone.
        """
        if os.getpid() == self.identity.pid:
            forget_worker(self.path, self.identity.slot)
        self.close()
        return remove_orphaned(self.path)

    def remove(self) -> None:
        """Remove the directory: the controller's ordered stop, after its workers have ended. Idempotent.

        A forked child of the controller that calls this removes nothing: it is not the process that created it.
        """
        if not self._locks or os.getpid() != self.identity.pid:
            return
        with locked_base(self.path.parent):
            remove_pools(self.path)
            shutil.rmtree(self.path, ignore_errors=True)
            self.close()

    def __enter__(self) -> NodeDirectory:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


def forget_worker(path: Path, slot: int) -> None:
    """Remove the record of a worker that has ended: done by itself, or by the controller that reaped it."""
    (path / WORKERS / f"{slot}.json").unlink(missing_ok=True)


def remove_orphaned(path: Path) -> bool:
    """Remove the directory of a node whose controller and workers are all gone; return whether it is gone."""
    if not path.exists():
        return True
    if has_controller(path):
        return False  # the usual case, decided without taking the base's lock
    with locked_base(path.parent):
        return remove_if_dead(path)
