"""Starting: actors that were asked for, and that end by themselves if who asked has given up when they come.

Edge (waits as `Future` does); used by the task supervisor and by streams. A supervisor that has begun to start a child
goes on, whatever becomes of who asked; what then comes would run under it for ever, with nothing to do.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, TypeVar

from ..actor import VALUE, ActorRef, Future

T = TypeVar("T")

START_TIMEOUT_S = 30.0

_under_way: set[Starting[Any]] = set()
"""Nobody else may hold a future that was given up, and what is not held is forgotten."""


class Starting(Generic[T]):
    """The answer of a supervisor that was asked for one child, or for several."""

    def __init__(self, answer: Future[T]) -> None:
        self._answer = answer
        self._given_up = False
        _under_way.add(self)
        answer.on_settled(self._came)

    def get(self) -> T:
        """Block or park until they have started, at most START_TIMEOUT_S."""
        try:
            return self._answer.get(timeout=START_TIMEOUT_S)
        except BaseException:
            self._give_up()
            raise

    def __await__(self) -> Generator[Any, Any, T]:
        try:
            return (yield from self._answer.__await__())
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        # The answer is there before `_came` looks at the flag, and the flag before this looks at the answer: of the
        # two, one at least ends them.
        self._given_up = True
        self._end()

    def _came(self) -> None:
        _under_way.discard(self)
        if self._given_up:
            self._end()

    def _end(self) -> None:
        state, started = self._answer.outcome()
        if state == VALUE:
            for ref in (started,) if isinstance(started, ActorRef) else started:
                if ref is not None:
                    ref.exit("kill")
