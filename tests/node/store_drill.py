"""The actors of the tests that kill a worker between two stores: each writes down what it handles, in a file."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import actorlab as al


class Ledger(al.Actor):
    """Writes down each message it begins with, by its number, in one `write`: that outlives its process."""

    def __init__(self, notes: str) -> None:
        self.notes = notes

    def note(self, number: int, data: bytes = b"") -> int:
        descriptor = os.open(self.notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{number}\n".encode())
        finally:
            os.close(descriptor)
        return number

    async def note_later(self, number: int) -> int:
        await asyncio.sleep(0)
        return self.note(number)

    def on_receive(self, number: Any) -> Any:
        return self.note(number)

    def fail(self, number: int) -> None:
        self.note(number)
        raise ValueError(number)

    async def hold(self, path: str) -> None:
        """Hold the actor, and not its worker, until a file is there."""
        open(path + ".held", "w").close()
        while not os.path.exists(path):
            await asyncio.sleep(0.001)


class Patient(Ledger):
    """Its failures are answers, so it lives on."""

    reply_errors = (ValueError,)


class Stashing(Ledger):
    """Puts every odd message aside once, until an even one was handled."""

    stash_capacity = 1000

    def __init__(self, notes: str) -> None:
        super().__init__(notes)
        self.seen: set[int] = set()

    def note(self, number: int, data: bytes = b"") -> int:
        if number % 2:
            if number not in self.seen:
                self.seen.add(number)
                self.stash()
        else:
            self.unstash()
        return super().note(number)


class Open(Ledger):
    reentrant = True


class Retried(Ledger):
    """Its process dies of a message, however often that is tried."""

    redeliver = 2

    def die_of(self, number: int) -> None:
        self.note(number)
        os.kill(os.getpid(), 9)


class Inside(al.Actor):
    """Sends to a ledger of its own worker."""

    def tell_all(self, ledger: al.ActorRef[Any], method: str, numbers: list[int]) -> None:
        for number in numbers:
            getattr(ledger.cast, method)(number)

    def ask_all(self, ledger: al.ActorRef[Any], numbers: list[int]) -> list[int]:
        return [ledger.call.note(number) for number in numbers]

    def vanish(self) -> None:
        os.kill(os.getpid(), 9)
