"""Actors for the tests of wake-ups; imported by the workers."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import actorlab as al

LONGEST_PAUSE_S = 0.0003
"""Longer than a receiver polls before it sleeps, so that messages find it on either side and in between."""

SLEEP_S = 30.0
LOST_S = SLEEP_S / 2


@contextmanager
def sound_sleepers(lane_blocks: int = 64) -> Iterator[al.Node]:
    """Open a node in which who is not rung sleeps for SLEEP_S: being later than LOST_S has no other reason then."""
    import pytest

    with pytest.MonkeyPatch.context() as patch:
        for bound in ("actorlab.actor.hub.LONGEST_SLEEP_S", "actorlab.node.sending.LOOK_AGAIN_S"):
            patch.setattr(bound, SLEEP_S)
        keys: dict[str, Any] = {"heartbeat_s": 30.0, "hang_timeout_s": 120.0, "hold_warning_s": 60.0}
        with al.Node(workers=2, lane_blocks=lane_blocks, preload=("sound_sleepers",), **keys) as node:
            yield node


def worst_call_s(ref: Any, seconds: float, seed: int) -> tuple[int, float]:
    """Call `ref.same` at odd moments for a while, a hundred times at least; return how often, and the slowest."""
    chance, end = random.Random(seed), time.perf_counter() + seconds
    calls, worst = 0, 0.0
    while (started := time.perf_counter()) < end or calls <= 100:
        assert ref.within(2 * SLEEP_S).call.same(calls) == calls
        worst = max(worst, time.perf_counter() - started)
        calls += 1
        time.sleep(chance.random() * LONGEST_PAUSE_S)
    return calls, worst


class Same(al.Actor):
    """Answers with what it is asked; counts what it is told."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def same(self, value: Any) -> Any:
        return value

    def on_receive(self, message: int) -> None:
        self.seen.append(message)
        if message % 97 == 0:
            time.sleep(0.0002)  # so that its lane fills up now and then

    def all_seen(self) -> list[int]:
        return self.seen


class Caller(al.Actor):
    """Calls and tells from within its worker."""

    def call_for(self, ref: Any, seconds: float, seed: int) -> tuple[int, float]:
        return worst_call_s(ref, seconds, seed)

    def flood(self, ref: Any, n: int) -> int:
        """Tell `ref` 0 … n - 1; return how often room was found by chance, without a ring."""
        before: int = self.ref.runtime.sending.rescues
        for i in range(n):
            ref.tell(i)
        assert ref.within(30).call.same(n) == n  # comes after them
        found: int = self.ref.runtime.sending.rescues
        return found - before
