"""Pace: how often a figure may be read, so that looking stays cheap whatever the node's size.

Pure (time and cost are arguments); used by the observer. A reading that costs c seconds of CPU is made again after
c / share seconds at the earliest: it takes at most that share of a core, however large the node grows, and its figures
become older instead.
"""

from __future__ import annotations

from ..lean_dataclass import dataclass


@dataclass(slots=True)
class Pace:
    """One kind of reading, wanted every `every_s` seconds, for `share` of a core at most; 0 s: whenever asked.

    >>> pace = Pace(every_s=1.0, share=0.002)
    >>> pace.is_due(10.0), pace.done(10.0, cost_s=0.004), pace.is_due(11.0), pace.is_due(12.0)
    (True, None, False, True)
    """

    every_s: float
    share: float
    at_s: float | None = None
    cost_s: float = 0.0

    def is_due(self, now_s: float) -> bool:
        """Whether to read again at `now_s` (monotonic)."""
        if self.at_s is None or not self.every_s:
            return True
        return now_s - self.at_s >= max(self.every_s, self.cost_s / self.share)

    def done(self, now_s: float, cost_s: float) -> None:
        """It was read at `now_s` and cost that much CPU time; a costly one is forgotten slowly."""
        self.at_s, self.cost_s = now_s, max(cost_s, self.cost_s / 2)
