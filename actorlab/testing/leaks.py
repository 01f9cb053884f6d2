"""Leaks: what a test leaves behind, of processes, threads, descriptors, directories of nodes and shared memory.

Edge (reads the table of descriptors and the runtime directories). Everything gets a little time to go, for a process
that was told to stop needs some; where nothing is left nobody waits.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import stat
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import psutil

from ..actor import runtimes
from ..memory import has, shared_memory_folder, start_time_of
from .patience import PATIENCE_S, poll

ONCE_A_SESSION = ("multiprocess.forkserver", "multiprocess.resource_tracker", "multiprocessing.resource_tracker")
"""Processes that are started once and end with the interpreter; what they fork is counted."""


class Leak(AssertionError):
    """Something was left behind: what, one line each."""

    def __init__(self, left: tuple[str, ...]) -> None:
        super().__init__(left)
        self.left = left

    def __str__(self) -> str:
        return "left behind: " + "; ".join(self.left)


def node_directories(folders: Iterable[Path] = ()) -> set[Path]:
    """Return the directories of nodes in runtime directories `folders`, and this process's in the default one."""
    found = {path for folder in folders for path in folder.glob("actorlab-*/*")}
    for described in shared_memory_folder().glob(f"actorlab-{os.geteuid()}/*/node.json"):
        try:
            if json.loads(described.read_text("utf-8")).get("pid") == os.getpid():
                found.add(described.parent)
        except (OSError, ValueError):
            pass  # somebody else's, on its way in or out
    return found


def children() -> list[str]:
    """Return this process's descendants that are alive and were not started for the whole session."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            command = " ".join(child.cmdline())
            for_the_session = child.ppid() == os.getpid() and any(name in command for name in ONCE_A_SESSION)
            if not for_the_session and start_time_of(child.pid) is not None:  # a zombie has none
                found.append(f"{child.pid} {command}")
        except psutil.NoSuchProcess:
            pass
    return found


def descriptors() -> Counter[str]:
    """Return what this process's open descriptors point at, but for what nodes that run now opened when first used.

    Once such a node has ended, whatever it kept points at a file that is gone, and counts.
    """
    running = _folders_of_running_nodes()
    found: Counter[str] = Counter()
    for number in os.listdir("/proc/self/fd" if has("proc") else "/dev/fd"):
        try:
            target = _target(int(number))
            if not any(target.startswith(folder) for folder in running):
                found[target] += 1
        except OSError:
            pass  # the one that lists them
    return found


def _folders_of_running_nodes() -> list[str]:
    return [f"{folder}/" for one in runtimes.values() if (folder := getattr(one, "directory", None))]


def threads() -> dict[int, str]:
    """Return this process's threads that Python knows, number → name; while a node runs, not those of nodes."""
    return {
        thread.ident: thread.name
        for thread in threading.enumerate()
        if thread.ident is not None and not (runtimes and thread.name.startswith("actorlab"))
    }


def mapped_bytes() -> int:
    """Return the bytes of actorlab's shared memory that this process has mapped, but for what nodes that run now have.

    Files that were removed and memory without a file count as long as they are mapped. 0 where the system does not say.
    """
    if not has("proc"):
        return 0
    running, shared, total = tuple(_folders_of_running_nodes()), ("/memfd:", f"{shared_memory_folder()}/"), 0
    with open("/proc/self/maps") as lines:
        for line in lines:
            edges, _, _, _, _, *path = line.split(maxsplit=5)
            name = path[0] if path else ""
            if "actorlab" in name and name.startswith(shared) and not name.startswith(running):
                start, end = (int(edge, 16) for edge in edges.split("-"))
                total += end - start
    return total


def _target(fd: int) -> str:
    """Return what a descriptor points at: by its path, or by its kind and number where the system does not say it."""
    if has("proc"):
        return os.readlink(f"/proc/self/fd/{fd}")
    status = os.fstat(fd)
    name = f"{stat.filemode(status.st_mode)[0]} {status.st_dev}:{status.st_ino}"
    if hasattr(fcntl, "F_GETPATH"):
        name = os.fsdecode(fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")) or name
    return name if status.st_nlink else f"{name} (deleted)"


def new_descriptors(before: Counter[str]) -> list[str]:
    """Return what more descriptors point at than did before; none if there are not more in all."""
    now = descriptors()
    return sorted((now - before).elements()) if now.total() > before.total() else []


class LeakCheck:
    """What is open and alive now; `check()`, or the end of a `with`, raises Leak for what has come since.

    `lazily`: so many descriptors may have been opened once, to be kept (an embedded node's loop).
    """

    def __init__(self, folders: Iterable[Path] = (), lazily: int = 8) -> None:
        self._folders = tuple(folders)
        self._lazily = lazily
        self._directories = node_directories(self._folders)
        self._children = len(children())
        self._descriptors = descriptors()
        self._threads = threads()
        self._mapped_bytes = mapped_bytes()

    def check(self, within_s: float = PATIENCE_S) -> None:
        """Raise Leak if something is left that was not there, and is still when the time is over."""
        left: list[str] = []
        if not poll(self._descriptors_gone, 0.05):
            gc.collect()  # what only a cycle keeps open is no leak
            if not poll(self._descriptors_gone, within_s):
                left += [f"descriptor of {one}" for one in new_descriptors(self._descriptors)]
        if not poll(lambda: node_directories(self._folders) <= self._directories, within_s):
            left += [f"directory {one}" for one in sorted(node_directories(self._folders) - self._directories)]
        if not poll(lambda: len(children()) <= self._children, within_s):
            left += [f"process {one}" for one in children()]
        if not poll(lambda: threads().keys() <= self._threads.keys(), within_s):
            left += [f"thread {name!r}" for ident, name in threads().items() if ident not in self._threads]
        if not poll(lambda: mapped_bytes() <= self._mapped_bytes, 0.05):
            gc.collect()
            if not poll(lambda: mapped_bytes() <= self._mapped_bytes, within_s):
                left.append(f"{mapped_bytes() - self._mapped_bytes:,} bytes of shared memory that are still mapped")
        if left:
            raise Leak(tuple(left))

    def _descriptors_gone(self) -> bool:
        new = new_descriptors(self._descriptors)
        return len(new) <= self._lazily and not any(one.endswith("(deleted)") and "actorlab" in one for one in new)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.check()
