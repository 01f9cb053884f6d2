"""System calls: what a message asks of the kernel, counted by name, without a tracer and without privileges.

Edge (a profile function, /proc, an embedded node and one with a worker). Python tells a profile function of each
built-in that is called; those that are system calls are counted, in the thread that sends or handles. For a worker's
own thread the kernel keeps the account of reads and writes, in /proc. Used by `counted`, whose guard they are part of.

Scheduling decides how often somebody sleeps, so what is guarded is the path: the least of many, where nobody had to be
waited for, and the most of many, where somebody had. Not seen is what the interpreter does by itself: the futex of a
lock that is contended, memory it asks for, pages it faults in. `sched_yield` is waiting and no work, and is left out.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import actorlab as al
from actorlab.testing import eventually

from .cores import apart

MESSAGES, TRIES = 50, 40
_CALLING = frozenset({"posix", "select", "fcntl", "_socket", "_signal", "_posixsubprocess", "_posixshmem"})
_OF_OTHERS = {"mmap": frozenset({"flush", "madvise", "resize", "close"}), "time": frozenset({"sleep"})}
_NO_CALLS = frozenset({"fspath", "sched_yield"})

_counting = {"on": False}
_seen: Counter[str] = Counter()


def _profile(_frame: FrameType, event: str, function: Any) -> None:
    if event == "c_call" and _counting["on"] and (name := called(function)) is not None:
        _seen[name] += 1


def called(function: Any) -> str | None:
    """Return the name of the system call that a built-in makes, None if it makes none.

    >>> called(os.write), called(len), called(os.sched_yield)
    ('write', None, None)
    """
    owner = getattr(function, "__objclass__", None) or type(function.__self__)  # from 3.12 on a method may be unbound
    module = getattr(function, "__module__", None) or owner.__module__
    name: str = function.__name__
    makes_one = module in _CALLING or name in _OF_OTHERS.get(module, ())
    return name if makes_one and name not in _NO_CALLS else None


def counted(work: Callable[[], object]) -> Counter[str]:
    """Return the system calls that `work` makes in this thread, by name."""
    _seen.clear()
    sys.setprofile(_profile)
    _counting["on"] = True
    try:
        work()
    finally:
        _counting["on"] = False
        sys.setprofile(None)
    return Counter(_seen)


def least(work: Callable[[], int], tries: int = TRIES) -> int:
    """Return the least of many tries; none is better than none."""
    found = work()
    for _ in range(tries):
        if not found:
            break
        found = min(found, work())
    return found


class Sink(al.Actor):
    """Takes and answers; counts from `begin` to the last message, in the thread that handles; holds its worker."""

    def __init__(self) -> None:
        self.left, self.counted = 0, 0

    def begin(self, expected: int) -> None:
        self.left = expected
        _seen.clear()
        _counting["on"] = True

    def take(self, message: Any) -> None:
        self.left -= 1
        if not self.left:
            _counting["on"] = False
            self.counted = _seen.total()

    def total(self) -> int:
        return self.counted

    def echo(self, message: Any) -> Any:
        return message

    def hold(self, folder: str) -> None:
        """Keep the worker awake, without reading or writing, until a file is there."""
        (Path(folder) / "held").touch()
        while not os.path.exists(f"{folder}/go"):
            os.sched_yield()


class Source(al.Actor):
    """Sends and asks within its kernel."""

    def tell(self, sink: al.ActorRef[Sink], n: int) -> None:
        sink.cast.begin(n)
        for i in range(n):
            sink.cast.take(i)

    def call(self, sink: al.ActorRef[Sink], n: int) -> int:
        sink.call.echo(0)
        _seen.clear()
        _counting["on"] = True
        for i in range(n):
            sink.call.echo(i)
        _counting["on"] = False
        return _seen.total()


def within_a_kernel() -> dict[str, float]:
    """Count what a tell (until handled) and a call (until answered) take between two actors of a kernel."""
    threading.setprofile(_profile)
    try:
        with al.Node(workers=0) as node:
            sink, source = node.spawn(Sink), node.spawn(Source)

            def told() -> int:
                source.call.tell(sink, MESSAGES)
                return sink.call.total()

            return {
                "tell_system_calls": least(told) / MESSAGES,
                "call_system_calls": least(lambda: source.call.call(sink, MESSAGES)) / MESSAGES,
            }
    finally:
        threading.setprofile(None)
        _counting["on"] = False


def reads_and_writes(pid: int) -> int:
    """Return how often a process has read or written so far, by the kernel's account; 0 where it keeps none."""
    try:
        fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text("ascii").splitlines())
    except (FileNotFoundError, PermissionError):
        return 0
    return int(fields["syscr"]) + int(fields["syscw"])


def handled(ref: al.ActorRef[Any]) -> int:
    """Return how many messages an actor has handled; read in shared memory, so nobody is woken."""
    number: int = ref.statistics().handled
    return number


def tell(sink: al.ActorRef[Sink], n: int) -> None:
    """Tell it `n` times."""
    for i in range(n):
        sink.cast.take(i)


def while_awake(sink: al.ActorRef[Sink], pid: int) -> tuple[int, int]:
    """Send to a worker that is awake: return what that takes here, and what of it is read and written there."""
    with tempfile.TemporaryDirectory() as folder:
        before = handled(sink)
        sink.cast.hold(folder)
        eventually(lambda: os.path.exists(f"{folder}/held"))
        there = reads_and_writes(pid)
        here = counted(lambda: tell(sink, MESSAGES))
        (Path(folder) / "go").touch()
        eventually(lambda: handled(sink) >= before + MESSAGES + 1)
        return here.total(), reads_and_writes(pid) - there


def while_idle(node: al.Node, work: Callable[[], object]) -> Counter[str]:
    """Return what `work` takes here when the worker has had nothing to do, so that it most often sleeps."""
    node.wait_idle()
    return counted(work)


def between_processes() -> dict[str, float]:
    """Count what a tell and a call to another process take here, and what a message takes there."""
    with al.Node(workers=1) as node:
        sink, pid = node.spawn(Sink), node.workers[0].pid
        assert pid is not None
        tell(sink, MESSAGES)
        sink.call.echo(0)
        awake = [while_awake(sink, pid)]
        while len(awake) < TRIES and (min(awake)[0] or min(there for _, there in awake) > 1):
            awake.append(while_awake(sink, pid))  # what another sees to meanwhile is not what a message costs
        told = [while_idle(node, lambda: tell(sink, 1)) for _ in range(TRIES)]
        asked = [while_idle(node, lambda: sink.call.echo(0)) for _ in range(TRIES)]
        with apart(node):  # on one core, whoever waits keeps the other from answering
            asked_awake = least(lambda: counted(lambda: sink.call.echo(0)).total(), 50 * TRIES)
        return {
            "send_awake_system_calls": min(here for here, _ in awake) / MESSAGES,
            "handle_awake_reads_and_writes": min(there for _, there in awake) / MESSAGES,
            "send_asleep_rings": max(calls["write"] for calls in told),
            "ask_awake_system_calls": asked_awake,
            "ask_asleep_rings": max(calls["write"] for calls in asked),
        }


def count() -> dict[str, float]:
    """Return all counts: of a message where nobody had to be waited for, and the rings where somebody slept."""
    return within_a_kernel() | between_processes()
