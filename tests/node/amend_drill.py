"""Actors for the tests of amended trees; imported by the workers."""

from __future__ import annotations

from typing import Any

import actorlab as al


class Keeper(al.Actor):
    """Shows which life it is in, and what it was started with."""

    def __init__(self, value: Any = None) -> None:
        if value == "broken":
            raise ValueError("cannot be started")
        self.value = value
        self.count = 0

    def add(self) -> int:
        self.count += 1
        return self.count

    def look(self) -> tuple[Any, int]:
        return self.value, self.count

    def crash(self) -> None:
        raise RuntimeError("crash")
