"""Actors for the tests of the promises; imported by the workers, so it needs nothing but actorlab.

Whatever is to wait for the test waits for a file, and says by another that it does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import actorlab as al


class Recorder(al.Actor):
    """Keeps what it is sent, in order."""

    reply_errors = (ValueError,)

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def take(self, item: Any) -> Any:
        self.seen.append(item)
        return item

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, al.Down):
            message = f"down: {message.reason}"
        self.seen.append(message)
        return message

    def all(self) -> list[Any]:
        return self.seen

    def bad(self, item: Any) -> None:
        raise ValueError(item)

    def crash(self) -> None:
        raise RuntimeError("crash")

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    async def hold(self, path: str) -> str:
        open(path + ".held", "w").close()
        while not os.path.exists(path):
            await asyncio.sleep(0.001)
        return "held"

    def hold_worker(self, path: str) -> str:
        open(path + ".held", "w").close()
        while not os.path.exists(path):
            time.sleep(0.001)
        return "held"

    def watch(self, ref: al.ActorRef[Any]) -> int:
        return self.monitor(ref)

    def tell_all(self, ref: al.ActorRef[Any], items: list[Any]) -> None:
        for item in items:
            ref.tell(item)

    def ask_of(self, ref: al.ActorRef[Any], method: str, *args: Any) -> Any:
        return getattr(ref.within(10).call, method)(*args)

    def find(self, name: str) -> Any:
        return self.node.whereis(name)


class Narrow(al.Actor):
    """Notices when two of its messages are handled at once, however a handler waits."""

    def __init__(self, other: Any = None) -> None:
        self.other = other
        self.inside = 0
        self.most = 0
        self.done = 0

    def _enter(self) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)

    def _leave(self) -> None:
        self.inside -= 1
        self.done += 1

    def plain(self) -> None:
        self._enter()
        self._leave()

    def parked(self) -> None:
        self._enter()
        self.other.call.take(1)
        self._leave()

    async def awaiting(self) -> None:
        self._enter()
        await asyncio.sleep(0.0005)
        await self.other.request.take(1)
        self._leave()

    def on_receive(self, message: Any) -> None:
        self.plain()

    def report(self) -> tuple[int, int]:
        return self.most, self.done


class NarrowThread(Narrow):
    """The same with a thread of its own."""

    blocking = True


class Talker(al.Actor):
    """Sends numbered messages of all kinds to one receiver."""

    def talk(self, ref: al.ActorRef[Any], name: str, number: int) -> int:
        futures = []
        for n in range(number):
            item = (name, n, b"x" * 40_000) if n % 11 == 5 else (name, n, b"")
            kind = n % 4
            if kind == 0:
                ref.tell(item)
            elif kind == 1:
                ref.cast.take(item)
            elif kind == 2:
                futures.append(ref.request.take(item))
            elif n % 3:
                ref.call.take(item)
            else:
                futures.append(ref.ask(item, block=False))
        for future in futures:
            future.get(timeout=30)
        return number


class Impatient(al.Actor):
    """Does not wait long."""

    def try_and_go_on(self, ref: al.ActorRef[Any], path: str) -> list[str]:
        said = []
        try:
            ref.within(0.05).call.hold(path)
        except al.CallTimeout as error:
            said.append(type(error).__name__)
        open(path, "w").close()
        said.append(ref.call.take("second"))
        return said


class Reader(al.Actor):
    """Reads from a pool."""

    def total(self, handle: Any) -> int:
        return sum(handle.get().column("n").to_pylist())

    def try_to_write(self, handle: Any) -> str:
        try:
            handle.get().column("n").chunk(0).to_numpy()[0] = 1
        except Exception as error:
            return type(error).__name__
        return "written"

    def keep(self, handle: Any) -> None:
        self.kept = handle.get()

    def kept_total(self) -> int:
        return sum(self.kept.column("n").to_pylist())


def open_all_lanes(node: al.Node) -> None:
    """Have this process open what it keeps open of its node, so that no test of a module's node is blamed for it."""
    for placement in (*[worker.number for worker in node.workers], "local"):
        ref = node.spawn(Recorder, placement=placement)  # type: ignore[arg-type]
        ref.statistics()
        ref.stop()
    node.wait_idle()


class Fragile(Recorder):
    """A message in hand when its worker dies is tried again, twice."""

    redeliver = 2

    def kill_me(self, path: str, data: bytes, times: int) -> int:
        """Note the try in a file; die in the first `times` tries."""
        with open(path, "a") as file:
            file.write(f"{len(data)}\n")
        with open(path) as file:
            tries = len(file.readlines())
        if tries <= times:
            self.die()
        return tries


class Lingering(Recorder):
    """Takes its time to end: until a file is there."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    async def on_stop(self) -> None:
        await self.hold(self.path)


class Latecomer(Recorder):
    """Hears late of what happens: it holds its worker's thread until a file is there, then watches somebody."""

    def wait_then_watch(self, gate: str, name: str, how: str) -> None:
        open(gate + ".held", "w").close()
        while not os.path.exists(gate):
            time.sleep(0.001)
        self.trap_exit = True
        getattr(self, how)(self.node.whereis(name))

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, al.Exit):
            message = f"exit: {message.reason}"
        return super().on_receive(message)
