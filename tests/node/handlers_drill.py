"""Actors for the tests of handlers between processes; imported by the workers, so it needs nothing but actorlab."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import actorlab as al


class Worker(al.Actor):
    """Does what it is asked, and may be held by a file."""

    def __init__(self) -> None:
        self.did: list[Any] = []

    async def hold(self, path: str) -> str:
        open(path + ".held", "w").close()
        while not os.path.exists(path):
            await asyncio.sleep(0.001)
        return "held"

    def do(self, what: Any) -> Any:
        self.did.append(what)
        return what

    def done(self) -> list[Any]:
        return self.did

    def call_briefly(self, ref: Any, what: Any) -> str:
        try:
            ref.within(0.02).call.do(what)
        except al.CallTimeout as error:
            return error.delivery
        return "answered"

    async def await_briefly(self, ref: Any, what: Any) -> str:
        try:
            async with asyncio.timeout(0.02):
                await ref.request.do(what)
        except TimeoutError:
            return "gave up"
        return "answered"

    def call_for_ever(self, ref: Any, path: str) -> Any:
        open(path + ".called", "w").close()
        return ref.within(None).call.do("never")


class BlockingWorker(Worker):
    """The same with a thread of its own."""

    blocking = True


class Source(al.Actor):
    """Yields, and notes in a file when a generator of its was closed."""

    reply_errors = (al.NotSendable,)

    def count(self, n: int, path: str = "") -> Any:
        try:
            yield from range(n)
        finally:
            if path:
                open(path, "w").close()

    async def acount(self, n: int, path: str = "") -> Any:
        try:
            for i in range(n):
                if i % 100 == 0:
                    await asyncio.sleep(0)
                yield i
        finally:
            if path:
                open(path, "w").close()

    def blobs(self, n: int, size: int) -> Any:
        for i in range(n):
            yield bytes([i]) * size

    def bad(self) -> Any:
        yield 1
        raise LookupError("nothing there")

    def locks(self) -> Any:
        import threading

        yield threading.Lock()

    def pid(self) -> int:
        return os.getpid()


class StreamReader(al.Actor):
    """Reads streams, and may keep one open."""

    def read(self, source: Any, method: str, *args: Any) -> list[Any]:
        return list(getattr(source.within(20).stream, method)(*args))

    async def aread(self, source: Any, method: str, *args: Any) -> list[Any]:
        return [item async for item in getattr(source.within(20).stream, method)(*args)]

    def total(self, source: Any, n: int) -> int:
        return sum(source.within(20).stream.count(n))

    def open_and_keep(self, source: Any, path: str) -> int:
        self.stream = source.stream.count(10**9, path)
        first: int = next(self.stream)
        return first

    def leave(self, source: Any, path: str) -> int:
        for item in source.stream.count(10**9, path):
            if item == 5000:
                return int(item)
        return -1

    def pid(self) -> int:
        return os.getpid()


class Door(al.Actor):
    """Lets messages in when it is open."""

    stash_capacity = 20
    is_open = False

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def enter(self, who: Any) -> Any:
        if not self.is_open:
            self.stash()
        self.seen.append(who if not isinstance(who, bytes) else len(who))
        return "in"

    def open(self) -> int:
        self.is_open = True
        return self.unstash()

    def all(self) -> list[Any]:
        return self.seen

    def send_all(self, ref: Any, items: list[Any]) -> None:
        for item in items:
            ref.cast.enter(item)

    def pid(self) -> int:
        return os.getpid()


class Clinic(Worker):
    """Serves emergencies first."""

    priorities = {"emergency": 1, int: 2}

    def emergency(self, what: Any) -> Any:
        self.did.append(what)
        return what

    def on_receive(self, message: Any) -> None:
        self.did.append(message)


class Twin(al.Actor):
    """Two of them may call each other, wherever they are."""

    reentrant = True

    def back_and_forth(self, other: Any, depth: int) -> int:
        return 0 if not depth else 1 + int(other.call.back_and_forth(self.ref, depth - 1))

    async def aback_and_forth(self, other: Any, depth: int) -> int:
        return 0 if not depth else 1 + int(await other.request.aback_and_forth(self.ref, depth - 1))

    async def hold(self, path: str) -> str:
        open(path + ".held", "w").close()
        while not os.path.exists(path):
            await asyncio.sleep(0.001)
        return "held"

    def pid(self) -> int:
        return os.getpid()


class Asker(al.Actor):
    """Asks a supervisor, from a handler."""

    def count(self, supervisor: Any) -> int:
        return int(supervisor.call.count_children().active)

    async def acount(self, supervisor: Any) -> int:
        return int((await supervisor.request.count_children()).active)

    def start_one(self, supervisor: Any, actor: Any) -> Any:
        return supervisor.call.start_child(al.child(actor))


class Account(al.Actor):
    """Keeps its sum over crashes."""

    snapshots = al.Snapshots(every=1)

    def __init__(self) -> None:
        self.total = 0
        self.came_back = 0

    def snapshot(self) -> Any:
        return {"total": self.total, "came_back": self.came_back}

    def restore(self, state: Any) -> None:
        self.total = state["total"]
        self.came_back = state["came_back"] + 1

    def add(self, k: int) -> int:
        self.total += k
        return self.total

    def report(self) -> tuple[int, int]:
        return self.total, self.came_back

    def boom(self) -> None:
        raise RuntimeError("boom")

    def pid(self) -> int:
        return os.getpid()


class DyingInSnapshot(Account):
    """Its worker is killed while it takes a snapshot, once the total is 13."""

    def snapshot(self) -> Any:
        if self.total == 13:
            os.kill(os.getpid(), 9)
        return super().snapshot()


class Watcher(al.Actor):
    """Looks into others."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def look(self, ref: Any) -> Any:
        return ref.system.get_state()

    def trace(self, ref: Any) -> None:
        ref.system.trace(self.ref)

    def on_receive(self, message: Any) -> None:
        self.told.append(f"{message.what} {message.outcome}")

    def heard(self) -> list[str]:
        return self.told


class Savings(Account):
    """Knows how to keep its state; when and where is for who specifies it to say."""

    snapshots = None
