"""Gather: many answers at once, and again from whoever died before it had answered.

Pure (asking, clock and waiting are arguments); used by actors.py and job.py for questions that may be asked twice
without harm. Ends: every name has answered, or the deadline has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from ..errors import ActorDied, CallTimeout, MailboxFull

PAUSE_S = 0.002
"""Between two attempts: a worker is replaced in 3 to 20 ms, so much shorter would only heat the core it needs."""


class Answering(Protocol):
    """An answer that is on its way: an `actorlab` or Pykka future."""

    def get(self, *, timeout: float | None = None) -> Any: ...


class Gathered(NamedTuple):
    """Every name's answer, in the order asked for, and how often one had to be asked again."""

    answers: list[Any]
    asked_again: int


def gather(
    names: Iterable[str],
    ask: Callable[[str], Answering | None],
    *,
    timeout_s: float,
    now: Callable[[], float],
    pause: Callable[[float], object],
    on_answer: Callable[[str, Any], object] | None = None,
) -> Gathered:
    """Ask all `names` at once and wait for them, at most `timeout_s` in all; blocks, or parks as the futures do.

    `ask` starts a question and returns its future, or None while nobody has that name. Who died (whatever became of
    the question) or was full is asked again after a pause. Raises CallTimeout, or the last refusal, when the time is
    up; any other error at once. `on_answer` is told each answer as it is taken.
    """
    deadline = now() + timeout_s
    wanted = list(names)
    answers: dict[str, Any] = {}
    asked_again = 0
    asked = {name: _started(ask, name) for name in wanted}
    while True:
        lost: list[str] = []
        for name, future in asked.items():
            try:
                if isinstance(future, Exception):
                    raise future
                answers[name] = future.get(timeout=max(0.0, deadline - now()))
            except (ActorDied, MailboxFull):
                if now() >= deadline:
                    raise
                lost.append(name)
            else:
                if on_answer is not None:
                    on_answer(name, answers[name])
        if not lost:
            return Gathered([answers[name] for name in wanted], asked_again)
        pause(PAUSE_S)
        if now() >= deadline:
            raise CallTimeout(", ".join(lost), timeout_s)
        asked_again += len(lost)
        asked = {name: _started(ask, name) for name in lost}


def _started(ask: Callable[[str], Answering | None], name: str) -> Answering | ActorDied | MailboxFull:
    """A refusal waits its turn: the others must be asked first, and answer meanwhile."""
    try:
        return ask(name) or ActorDied(name)
    except (ActorDied, MailboxFull) as refusal:
        return refusal
