"""Actors for the tests of routing; imported by the workers, so it needs nothing but actorlab."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import actorlab as al


class Member(al.Actor):
    """Counts what it gets, and may be held, fail, or die."""

    reply_errors = (ValueError,)

    def __init__(self) -> None:
        self.got: list[Any] = []

    def take(self, item: Any) -> Any:
        self.got.append(item)
        return os.getpid()

    def on_receive(self, message: Any) -> None:
        self.got.append(message)

    def all(self) -> list[Any]:
        return self.got

    async def hold(self, path: str) -> str:
        open(path + ".held", "w").close()
        while not os.path.exists(path):
            await asyncio.sleep(0.001)
        return path

    def bad(self) -> None:
        raise ValueError("bad")

    def die_once(self, path: str) -> str:
        """Kill the worker the first time, answer the second."""
        if not os.path.exists(path):
            open(path, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return "done"

    def raise_from_another(self, path: str, error: Exception) -> None:
        """Count the attempt in a file, then raise what another actor's end, or a full mailbox, raises."""
        with open(path, "a", encoding="ascii") as file:
            file.write("x")
        raise error

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class ManyHands(Member):
    """Does several things at once."""

    reentrant = True
