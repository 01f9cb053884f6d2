"""Capabilities: what this system has of the things actorlab uses where it can, and does without where it must.

Edge (asks the system, reads one environment variable); asked by whoever has a fall-back. Each is asked by what there
is, not by the system's name, once, when it is first needed; from then on the answer stands. `ACTORLAB_WITHOUT` takes
away what is there, names separated by commas, so that a fall-back can be tried on a system that needs none:

    pidfd         a descriptor that is one process, whatever becomes of its number
    close_signal  SIGKILL from the kernel when a pipe's last writer closes it (F_SETSIG)
    proc          /proc
    forkserver    workers forked from a server; it needs the three above
    eventfd       a descriptor that is a counter
    epoll         epoll
    futex         sleeping on a word of shared memory
    dev_shm       /dev/shm
    fallocate     pages put behind a part of a file without writing them
    punch_hole    pages of a mapped file given back (MADV_REMOVE)
    memfd         sealed memory without a file
    affinity      a process bound to CPUs

`macos` stands for all of them: what macOS lacks. Worker processes see the variable as their node's process does.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import platform
import select
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from ..errors import MissingCapability, SpecError

Capability = Literal[
    "pidfd", "close_signal", "proc", "forkserver", "eventfd", "epoll", "futex", "dev_shm", "fallocate", "punch_hole",
    "memfd", "affinity",
]  # fmt: skip

WITHOUT_VARIABLE = "ACTORLAB_WITHOUT"
SHARED_MEMORY = "/dev/shm"
FUTEX_NUMBERS: Mapping[str, int] = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "ppc64le": 221, "s390x": 238}
"""The system call's number on Linux, by processor."""

_ALL: tuple[Capability, ...] = get_args(Capability)
_SETS: Mapping[str, tuple[Capability, ...]] = {"macos": _ALL}


@cache
def has(capability: Capability) -> bool:
    """Whether this system has it and nobody took it away. Raises SpecError for an `ACTORLAB_WITHOUT` it cannot read."""
    return capability not in taken_away() and _QUESTIONS[capability]()


def require(capability: Capability, option: str, asked: object, remedy: str) -> None:
    """Raise MissingCapability unless this system has it: `option` asked for it, and `remedy` says what else serves."""
    if not has(capability):
        raise MissingCapability(option, f"{asked!r} cannot be had here: this system lacks {capability}; {remedy}")


def missing() -> tuple[Capability, ...]:
    """Return what this system lacks, or was taken away."""
    return tuple(one for one in _ALL if not has(one))


@cache
def taken_away() -> frozenset[Capability]:
    """Return what `ACTORLAB_WITHOUT` takes away. Raises SpecError for a name it does not know."""
    named = os.environ.get(WITHOUT_VARIABLE, "").replace(",", " ").split()
    found: set[Capability] = set()
    for name in named:
        known = _SETS.get(name) or tuple(one for one in _ALL if one == name)
        if not known:
            raise SpecError(
                f"{WITHOUT_VARIABLE}={name!r}", f"is no capability: use {', '.join((*_ALL, *_SETS))}, or unset it"
            )
        found.update(known)
    return frozenset(found)


def ask_again() -> None:
    """Forget every answer, so that the next question asks the system and the environment. For tests."""
    has.cache_clear()
    taken_away.cache_clear()


def shared_memory_folder() -> Path:
    """Return where shared files live unless told otherwise: in memory, or else in the user's temporary folder.

    On macOS that one ($TMPDIR) belongs to the user alone; wherever it is, what nodes make in it is closed to others.
    """
    return Path(SHARED_MEMORY if has("dev_shm") else tempfile.gettempdir())


def _has_pidfd() -> bool:
    if not (hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal")):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:  # a kernel before 5.3, or a sandbox that does not know the call
        return False
    return True


def _has_forkserver() -> bool:
    import multiprocess  # whoever asks launches processes by it

    # Without pidfds the end of a process that is not our child cannot be told for certain; a frozen application
    # has no -c.
    offered = "forkserver" in multiprocess.get_all_start_methods() and not getattr(sys, "frozen", False)
    return offered and has("pidfd") and has("close_signal") and has("proc")


def _has_memfd() -> bool:
    return hasattr(os, "memfd_create") and hasattr(fcntl, "F_ADD_SEALS") and has("proc")


_QUESTIONS: Mapping[Capability, Callable[[], bool]] = {
    "pidfd": _has_pidfd,
    "close_signal": lambda: hasattr(fcntl, "F_SETSIG"),
    "proc": lambda: os.path.exists("/proc/self/stat"),
    "forkserver": _has_forkserver,
    "eventfd": lambda: hasattr(os, "eventfd"),
    "epoll": lambda: hasattr(select, "epoll"),
    # No system says whether it has this one, and elsewhere the same number is another call: only here the name decides.
    "futex": lambda: sys.platform == "linux" and platform.machine() in FUTEX_NUMBERS,
    "dev_shm": lambda: os.access(SHARED_MEMORY, os.W_OK | os.X_OK),
    "fallocate": lambda: hasattr(os, "posix_fallocate"),
    "punch_hole": lambda: hasattr(mmap, "MADV_REMOVE"),
    "memfd": _has_memfd,
    "affinity": lambda: hasattr(os, "sched_setaffinity"),
}
