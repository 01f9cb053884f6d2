"""The readers of the pool's benchmark; workers import them from here.

Actors.
"""

from __future__ import annotations

import time

import actorlab as al


class FollowedPool(al.Actor):
    """Looks up and reads the current version of a dataset again and again, and keeps the last one it got."""

    def __init__(self, pool: str, dataset: str) -> None:
        self.pool, self.dataset = self.node.pool(pool), dataset
        self.newest = -1
        self.ended = False
        self.wrong = ""
        self.times: list[int] = []

    def read_on(self) -> None:
        began = time.perf_counter_ns()
        try:
            table = self.pool.get(self.dataset)
        except al.ActorlabError as error:
            self.wrong = f"missing: {error}"
            return
        self.times.append(time.perf_counter_ns() - began)
        first, last = table.column(0)[0].as_py(), table.column(table.num_columns - 1)[-1].as_py()
        if last != first + table.num_columns - 1 + table.num_rows - 1:
            self.wrong = f"torn: {first}, {last}"
        if first < self.newest:
            self.wrong = f"{first} after {self.newest}"
        self.newest, self.kept = first, table
        if not self.ended:
            self.ref.cast.read_on()

    def end(self) -> None:
        self.ended = True

    def report(self) -> tuple[str, list[int]]:
        """Return what was wrong, and the nanoseconds of each look-up and get."""
        return self.wrong, self.times
