"""The actors of the recovery tests, importable in worker processes, and a few ways to look at a tree from outside."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import actorlab as al


class Clerk(al.Actor):
    """Counts, remembers, crashes, leaves: whatever a test asks of it."""

    redeliver = 0

    def __init__(self, start: int = 0, notes: str = "") -> None:
        self.count = start
        self.seen: list[Any] = []
        self.notes = notes
        write_note(notes, "start", self)

    def on_stop(self) -> None:
        write_note(self.notes, "stop", self)

    def add(self, k: int = 1) -> int:
        self.count += k
        return self.count

    def where(self) -> tuple[int, int]:
        return os.getpid(), self.ref.home

    def boom(self, text: str = "boom") -> None:
        raise ValueError(text)

    def leave(self, reason: Any = "normal") -> None:
        self.stop(reason)

    def note(self, item: Any) -> None:
        self.seen.append(item)

    def noted(self) -> list[Any]:
        return self.seen

    def die(self, code: int) -> None:
        os._exit(code)

    def kill_process(self, number: int = signal.SIGKILL) -> None:
        os.kill(os.getpid(), number)

    def die_at(self, operation: str) -> None:
        """Have this process killed when its kernel begins to carry out an order."""
        operations = self.node._runtime.operations
        operations[operation] = lambda *_: os.kill(os.getpid(), signal.SIGKILL)

    def leave_python(self) -> None:
        raise SystemExit(7)

    def crash_in_c(self) -> None:
        ctypes.string_at(0)

    def sleep_in_c(self, seconds: float) -> str:
        time.sleep(seconds)
        return "slept"

    def hold_the_interpreter(self, seconds: int) -> None:
        sum(range(seconds * 100_000_000))  # C code that neither gives the interpreter back nor looks for signals

    def spin(self, seconds: float) -> str:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass
        return "spun"

    def nap(self, seconds: float) -> str:
        self.ref.path  # noqa: B018
        try:
            al.Future().get(timeout=seconds)
        except al.CallTimeout:
            pass
        return "napped"

    async def doze(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "dozed"

    async def hold_the_loop(self, seconds: float) -> None:
        time.sleep(seconds)

    def sleep_until(self, path: str) -> None:
        while not os.path.exists(path):
            time.sleep(0.01)

    async def hold_the_loop_until(self, path: str) -> None:
        while not os.path.exists(path):
            time.sleep(0.01)

    def ask(self, other: al.ActorRef[Any], method: str, *args: Any) -> Any:
        return getattr(other.call, method)(*args)

    def fork_a_child(self) -> int:
        pid = os.fork()
        if pid == 0:
            os._exit(5)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def on_receive(self, message: Any) -> Any:
        self.seen.append(message)
        return message


class Retried(Clerk):
    redeliver = 2


class Stubborn(Clerk):
    """Swallows what is thrown into its wait, and waits again."""

    def nap(self, seconds: float) -> str:
        for _ in range(3):
            try:
                al.Future().get(timeout=seconds)
            except BaseException:
                pass
        return "napped"


class Mourner(Clerk):
    """Watches others and keeps what it hears, in order."""

    def watch(self, ref: al.ActorRef[Any]) -> None:
        self.monitor(ref)

    def tie(self, ref: al.ActorRef[Any], trap: bool = True) -> None:
        self.trap_exit = trap
        self.link(ref)

    def on_receive(self, message: Any) -> None:
        match message:
            case al.Down(reason=reason):
                self.seen.append(("down", reason))
            case al.Exit(reason=reason):
                self.seen.append(("exit", reason))
            case _:
                self.seen.append(message)


class Talker(Clerk):
    """Sends to another from its own worker."""

    def tell_all(self, other: al.ActorRef[Any], items: list[Any]) -> None:
        for item in items:
            other.cast.note(item)

    def flood(self, others: list[al.ActorRef[Any]], number: int, notes: str) -> None:
        """Send, and write down how many were accepted: the number must be known even if we die meanwhile."""
        accepted = 0
        for n in range(number):
            try:
                others[n % len(others)].cast.add(1)
                accepted += 1
            except al.CallError:
                pass
        with open(notes, "a") as file:
            file.write(f"{accepted}\n")

    def last_words(self, other: al.ActorRef[Any], items: list[Any]) -> None:
        self.tell_all(other, items)
        os.kill(os.getpid(), signal.SIGKILL)


class HardToStop(Clerk):
    """Its `on_stop` raises, or waits for ever, or holds the thread."""

    def __init__(self, how: str, notes: str = "") -> None:
        super().__init__(notes=notes)
        self.how = how

    def on_stop(self) -> None:
        super().on_stop()
        if self.how == "raise":
            raise RuntimeError("not today")
        if self.how == "park":
            al.Future().get()
        if self.how == "sleep":
            time.sleep(60)


class Reluctant(al.Actor):
    """Fails to start as often as the file says, counting down."""

    def __init__(self, path: str) -> None:
        with open(path, "r+") as file:
            left = int(file.read() or 0)
            file.seek(0)
            file.truncate()
            file.write(str(max(0, left - 1)))
        if left:
            raise RuntimeError(f"not yet ({left})")

    def hello(self) -> str:
        return "hello"


class Shy(al.Actor):
    def __init__(self) -> None:
        raise al.Ignore


class Slow(al.Actor):
    """Takes its time to start: parked, or holding the thread."""

    def __init__(self, seconds: float, hold: bool = False) -> None:
        if hold:
            time.sleep(seconds)
        else:
            try:
                al.Future().get(timeout=seconds)
            except al.CallTimeout:
                pass

    def hello(self) -> str:
        return "hello"


class SlowUntil(al.Actor):
    """Takes its time to start: until a file is there."""

    def __init__(self, path: str) -> None:
        while not os.path.exists(path):
            try:
                al.Future().get(timeout=0.01)
            except al.CallTimeout:
                pass


class Blocker(al.Actor):
    blocking = True

    def wait(self, seconds: float) -> str:
        time.sleep(seconds)
        return "waited"


@contextmanager
def open_node(**keys: Any) -> Iterator[al.Node]:
    """Open a node for many tests, with every lane, table and bell of this process in use from the first on."""
    keys = {"call_timeout_s": 20.0, **keys}  # a worker that died may take a while to be back
    with al.Node(workers=2, log_level="CRITICAL", **keys) as node:
        for place in (1, 2, "local"):
            ref = node.spawn(Clerk, placement=place, name=f"warm {place}")
            ref.call.add(1)
            ref.statistics()
            ref.stop()
        yield node


def write_note(path: str, what: str, actor: al.Actor) -> None:
    if path:
        with open(path, "a") as file:
            file.write(f"{what} {actor.ref.address:x}\n")


def children_of(sup: al.ActorRef[Any]) -> dict[str, Any]:
    """Return a supervisor's children by name."""
    return {child.name: child for child in sup.call.which_children()}


def incarnations(sup: al.ActorRef[Any]) -> dict[str, int]:
    return {child.name: child.incarnation for child in sup.call.which_children()}


def answers(ref: al.ActorRef[Any], within_s: float = 10.0) -> bool:
    """Whether there is an actor, and it answers."""
    try:
        ref.within(within_s).call.add(0)
    except (al.CallError, al.StartError):
        return False
    return True


def worker_of(node: al.Node, number: int) -> Any:
    return next(worker for worker in node.workers if worker.number == number)


def is_busy(node: al.Node, ref: al.ActorRef[Any]) -> Callable[[], bool]:
    """Return a condition: a message from another process is in the actor's hands."""
    return lambda: bool(node.runtime.table(ref.home).read(ref.address).in_hand)


def kill_worker(node: al.Node, number: int, how: int = signal.SIGKILL) -> int:
    """Kill a worker process as the kernel would, the next one if it is just being replaced; return its pid."""
    while not (pid := worker_of(node, number).pid):
        time.sleep(0.0005)  # 0 would be ourselves and all our children
    os.kill(pid, how)
    return pid


def freeze_worker(node: al.Node, number: int) -> int:
    """Have a worker process stopped, and return its pid when it is: the signal alone leaves it time to do something."""
    import psutil

    from actorlab.testing import poll

    pid = kill_worker(node, number, signal.SIGSTOP)
    assert poll(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, within_s=30)
    return pid


def replaced(node: al.Node, number: int, old_pid: int) -> Callable[[], bool]:
    """Return a condition: another process has the worker's place and answers."""

    def condition() -> bool:
        pid = worker_of(node, number).pid
        return pid not in (0, old_pid) and node.runtime.control(number, "ping").get(timeout=30) == pid

    return condition


def trees_that_end(node, eventually):
    """Yield what starts a tree on `node`; afterwards stop all it started, and see every worker back in its place."""
    roots = []

    def start(tree):
        roots.append(node.start(tree))
        return roots[-1]

    yield start
    for root in reversed(roots):
        root.stop(timeout=30)
    eventually(lambda: all(worker.pid for worker in node.workers))
