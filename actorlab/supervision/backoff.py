"""Back-off: how long a supervisor waits before it tries again to start a child that did not start.

Pure; used by plan.py. Only starts that failed wait: a child that ran and crashed is restarted at once, as in OTP,
and held in check by the restart window. Exponential, bounded, and spread by a random number the caller draws, so
that a hundred children that wait for one database do not come back in the same instant.
"""

from __future__ import annotations

import math

from ..errors import SpecError
from ..lean_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """`first_s`, then `factor` times as long after each further failure, up to `max_s`; ± `jitter` of it.

    With the defaults the fourth failure comes within about a second, so that the default window (3 in 5 s) still
    gives up as OTP does; a supervisor that shall wait for a database for ever says `Backoff(first_s=2)`.
    """

    first_s: float = 0.1
    factor: float = 2.0
    max_s: float = 30.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        for field, value, low, high in (
            ("first_s", self.first_s, 0.0, math.inf),
            ("factor", self.factor, 1.0, math.inf),
            ("max_s", self.max_s, self.first_s, math.inf),
            ("jitter", self.jitter, 0.0, 1.0),
        ):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                limits = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
                raise SpecError(f"backoff.{field}", f"must be a number, {limits}, not {value!r}")
            if math.isinf(value):
                raise SpecError(f"backoff.{field}", "must be finite")

    def delay_s(self, failures: int, draw: float) -> float:
        """Return the wait after the `failures`-th failure in a row (from 1); `draw` is in [0, 1).

        Never below `first_s * (1 - jitter)`, never above `max_s`.

        >>> patient = Backoff(first_s=1, factor=3, max_s=10, jitter=0)
        >>> [patient.delay_s(n, 0.5) for n in (1, 2, 3, 4000)]
        [1.0, 3.0, 9.0, 10.0]
        """
        try:
            middle = min(self.first_s * self.factor ** (failures - 1), self.max_s)
        except OverflowError:
            middle = self.max_s
        return min(middle * (1 + self.jitter * (2 * draw - 1)), float(self.max_s))
