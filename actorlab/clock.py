"""Clocks: the time as a function that is handed in.

Pure but for `SYSTEM`; floor 0. Rules take a time as an argument; actors and edges take a `Clock`, so that a
test can hold the time in its hand (`actorlab.testing.VirtualClock`). Monotonic throughout: a step of the wall
clock never kills or wakes anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .lean_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from: `now()` in seconds, `now_ns()` in nanoseconds, both monotonic."""

    now: Callable[[], float] = time.monotonic
    now_ns: Callable[[], int] = time.monotonic_ns


SYSTEM = Clock()
