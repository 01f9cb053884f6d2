"""Actors that take memory; imported by the workers."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import actorlab as al


class Hog(al.Actor):
    """Takes memory of its own, and gives it back."""

    def __init__(self) -> None:
        self.held: list[bytes] = []
        self.seen: list[Any] = []

    def grow(self, megabytes: int) -> int:
        self.held.append(os.urandom(1 << 20) * megabytes)
        return len(self.held)

    def shrink(self) -> None:
        self.held.clear()

    async def hold(self, path: str) -> None:
        while not os.path.exists(path):
            await asyncio.sleep(0.001)

    def on_receive(self, message: Any) -> None:
        self.seen.append(message)

    def all(self) -> list[Any]:
        return self.seen

    def pid(self) -> int:
        return os.getpid()
