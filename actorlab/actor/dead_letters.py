"""Dead letters: messages nobody handled, with the reason; kept for a while, counted for ever, subscribable.

Edge (shared by the threads of one process); used by the kernel and the node. Reasons are words: `no_actor`,
`stopped`, `mailbox_full`, `dropped`, `crashed_in_flight`, `poison`, `worker_died`, `undecodable`, `too_large`.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..lean_dataclass import dataclass

log = logging.getLogger("actorlab")

KEPT = 1000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was not handled: to whom, what it was (text, at most 200 characters) and why."""

    actor: str
    address: int
    message: str
    reason: str


class DeadLetters:
    """The last KEPT dead letters of a process, and how many there were by reason."""

    def __init__(self) -> None:
        self._kept: deque[DeadLetter] = deque(maxlen=KEPT)
        self.counts: Counter[str] = Counter()
        self._subscribers: list[Callable[[DeadLetter], object]] = []

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(tuple(self._kept))

    def __len__(self) -> int:
        return self.counts.total()

    def subscribe(self, hear: Callable[[DeadLetter], object]) -> Callable[[], None]:
        """Call `hear` with every dead letter from now on, in the thread where it dies; return how to end that."""
        self._subscribers.append(hear)

        def end() -> None:
            if hear in self._subscribers:
                self._subscribers.remove(hear)

        return end

    def add(self, actor: str, address: int, message: Any, reason: str) -> None:
        """Record one; `message` is only ever shown as text."""
        try:
            text = message if type(message) is str else repr(message)
        except Exception as error:
            text = f"<{type(message).__name__}, whose repr fails: {type(error).__name__}>"
        self.take(DeadLetter(actor, address, text if len(text) <= 200 else text[:197] + "…", reason))

    def count(self, numbers: Mapping[str, int]) -> None:
        """Count dead letters by reason of which nothing else is known."""
        self.counts.update(numbers)

    def take(self, letter: DeadLetter) -> None:
        """Record one that is made already (from another process, for instance)."""
        self.counts[letter.reason] += 1
        self._kept.append(letter)
        for hear in tuple(self._subscribers):
            try:
                hear(letter)
            except Exception:
                log.exception("%r cannot take a dead letter", hear)
