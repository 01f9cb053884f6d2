"""Actors that follow and write append streams, as the tests' workers run them."""

from __future__ import annotations

import os
from typing import Any

import actorlab as al


class Watcher(al.Actor):
    """Is told of what is appended, and keeps the numbers."""

    reply_errors = (al.ActorlabError,)

    def __init__(self, stream: Any = None, from_: Any = "start", gaps: str = "raise") -> None:
        self.seen: list[int] = []
        self.messages = 0
        self.most_waiting = 0
        self.ended = False
        self.missed = 0
        if stream is not None:
            stream.subscribe(self.ref, from_, gaps=gaps)

    def on_receive(self, message: Any) -> None:
        match message:
            case al.Appended():
                self.messages += 1
                for batch in message:
                    self.seen.append(batch["n"][0].as_py())
                self.missed = message.missed
                self.ended = message.ended
            case int():
                self.seen.append(-message)

    def numbers(self) -> list[int]:
        return self.seen

    def state(self) -> tuple[int, bool, int]:
        return self.messages, self.ended, self.missed

    def pid(self) -> int:
        return os.getpid()

    def boom(self) -> None:
        raise ValueError("boom")


class BlockingWatcher(Watcher):
    """The same in a thread of its own."""

    blocking = True


class Ignorer(al.Actor):
    """Is told, and looks at nothing."""

    def __init__(self, stream: Any) -> None:
        self.messages = 0
        stream.subscribe(self.ref, "start")

    def on_receive(self, message: Any) -> None:
        self.messages += 1

    def told(self) -> int:
        return self.messages


class Stopper(al.Actor):
    """Reads two batches of each message, then unsubscribes after some."""

    def __init__(self, stream: Any, until: int) -> None:
        self.seen: list[int] = []
        self.until = until
        stream.subscribe(self.ref, "start")

    def on_receive(self, message: Any) -> None:
        for batch in message:
            self.seen.append(batch["n"][0].as_py())
            if len(self.seen) == self.until:
                message.unsubscribe()
            if len(self.seen) % 2 == 0:
                break

    def numbers(self) -> list[int]:
        return self.seen


class Reader(al.Actor):
    """Follows in its handlers, in each way that they may."""

    reply_errors = (al.ActorlabError,)

    def follow(self, stream: Any, from_: Any = "start") -> list[int]:
        return [batch["n"][0].as_py() for batch in stream.follow(from_)]

    async def follow_async(self, stream: Any) -> list[int]:
        return [batch["n"][0].as_py() async for batch in stream.follow()]

    async def follow_wrongly(self, stream: Any) -> list[int]:
        return [batch["n"][0].as_py() for batch in stream.follow()]

    def ping(self) -> str:
        return "pong"


class BlockingReader(Reader):
    blocking = True


class Author(al.Actor):
    """Writes a stream, from its worker."""

    reply_errors = (al.ActorlabError,)

    def __init__(self, pool: Any, **limits: Any) -> None:
        self.writer = pool.append_stream("s", **limits)

    def append(self, number: int) -> int:
        for _ in range(number):
            self.writer.append([{"n": self.writer.position}])
        return int(self.writer.position)

    def finish(self) -> None:
        self.writer.finish()

    def pid(self) -> int:
        return os.getpid()
