"""Restart window: how many restarts a supervisor tolerates within a span of time before it gives up.

Pure; owned by one supervisor's state and asked by plan.py once an incident. OTP's intensity and period under
Elixir's names. A restart exactly `max_seconds` old still counts. It is changed in place, because a supervisor
of 100,000 children may well allow thousands of restarts and would copy them all at each one.
"""

from __future__ import annotations

from collections import deque


class RestartWindow:
    """At most `max_restarts` restarts within any `max_seconds`. Memory: `max_restarts + 1` times at most."""

    __slots__ = ("_at", "max_restarts", "max_seconds")

    def __init__(self, max_restarts: int, max_seconds: float) -> None:
        self.max_restarts = max_restarts
        self.max_seconds = max_seconds
        # One more than allowed is all it takes to know that it was too many.
        self._at: deque[float] = deque(maxlen=max_restarts + 1)

    def record(self, now: float) -> bool:
        """Count a restart at `now` (s, monotonic, never going back); False means: stop everything.

        >>> window = RestartWindow(max_restarts=1, max_seconds=5.0)
        >>> window.record(now=0.0), window.record(now=5.0), window.record(now=10.1)
        (True, False, True)
        """
        self._forget_before(now - self.max_seconds)
        self._at.append(now)
        return len(self._at) <= self.max_restarts

    def recent(self, now: float) -> int:
        """Return how many restarts count at `now`, for those who watch."""
        self._forget_before(now - self.max_seconds)
        return len(self._at)

    def _forget_before(self, edge: float) -> None:
        at = self._at
        while at and at[0] < edge:
            at.popleft()
