"""Actors that keep, drop, pass on and fork with the large arrays they are sent."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import numpy as np

import actorlab as al


class Keeper(al.Actor):
    """Keeps what it is told to keep; looks at every byte of it."""

    def __init__(self) -> None:
        self.kept: dict[int, Any] = {}

    def keep(self, number: int, array: Any) -> None:
        """Keep all of an array but its ends."""
        self.kept[number] = array[3:-3]

    def look(self, number: int, array: Any) -> bool:
        """Say whether an array is what it should be, and keep nothing."""
        return bool(array.min() == array.max() == number % 251)

    def wrong(self) -> list[int]:
        """Return what is kept and is not what it was."""
        return [number for number, array in self.kept.items() if not array.min() == array.max() == number % 251]

    def count(self) -> int:
        """Return how many are kept."""
        return len(self.kept)

    def drop(self, *numbers: int) -> int:
        """Let go of some; return how many are left."""
        for number in numbers or tuple(self.kept):
            del self.kept[number]
        return len(self.kept)

    def pass_on(self, number: int, to: Any) -> None:
        """Send on what is kept."""
        to.cast.keep(number, self.kept[number])

    def give(self, number: int) -> Any:
        """Answer with what is kept."""
        return self.kept[number]

    def fork(self, path: str) -> int:
        """Fork a child that looks again when a file is there, and writes what is wrong into another."""
        worker, child = os.getpid(), os.fork()
        if child == 0:
            while not os.path.exists(path) and os.getppid() == worker:
                time.sleep(0.001)
            with open(path + ".wrong", "w") as file:
                file.write(f"{len(self.kept)} kept, wrong: {self.wrong()}")
            os._exit(0)
        return child

    def reap(self, child: int) -> int:
        """Wait for the child."""
        return os.waitpid(child, 0)[1]

    async def hold(self, path: str) -> None:
        """Handle nothing else until a file is there."""
        open(path + ".held", "w").close()
        while not os.path.exists(path):
            await asyncio.sleep(0.001)

    def die(self) -> None:
        """Be killed."""
        os.kill(os.getpid(), 9)


class Source(al.Actor):
    """Sends arrays that say in every byte which one they are."""

    def tell(self, to: Any, method: str, numbers: range, size: int) -> int:
        """Cast an array for each of `numbers`."""
        for number in numbers:
            getattr(to.cast, method)(number, np.full(size, number % 251, np.uint8))
        return len(numbers)

    def ask(self, to: Any, numbers: range, size: int) -> bool:
        """Call with an array for each of `numbers`."""
        return all(to.within(30).call.look(number, np.full(size, number % 251, np.uint8)) for number in numbers)

    def die(self) -> None:
        """Be killed."""
        os.kill(os.getpid(), 9)


class Frail(al.Actor):
    """Dies with the first tries of a message; it is tried again."""

    redeliver = 2

    def look(self, path: str, array: Any) -> tuple[int, int, int]:
        """Note the try; die in the first two, after the array was let go of, and something else came in its place."""
        with open(path, "a") as file:
            file.write("x")
        tries = os.path.getsize(path)
        seen = tries, int(array.min()), int(array.max())
        del array
        if tries < 3:
            os.kill(os.getpid(), 9)
        return seen
