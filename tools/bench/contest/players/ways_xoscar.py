"""Who is asked and told on xoscar, whose actors must be of a module that its processes can import."""

from __future__ import annotations

from typing import Any

import crowd
import xoscar as xo


class Grown(xo.Actor):
    """A member of the crowd."""

    def __init__(self) -> None:
        self._member = crowd.Member()

    def size(self, message: Any) -> int:
        return self._member.size(message)

    def take(self, message: Any) -> None:
        self._member.take(message)

    def pid(self) -> int:
        return self._member.pid()

    def taken(self) -> int:
        return self._member.taken()

    async def pour(self, other: Any, message: Any, n: int) -> None:
        for _ in range(n):
            await other.take.tell(message)
