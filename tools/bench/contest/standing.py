"""Standing: who reached what, over all runs, and how far apart they are.

Pure; filled by the command, read by the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from .works import SAVINA_WORKS, WORKS, Work

OURS = "actorlab"


@dataclass(slots=True)
class Standing:
    """Figures by work and player."""

    figures: dict[str, dict[str, list[Mapping[str, Any]]]] = field(default_factory=dict)

    def add(self, player: str, figure: Mapping[str, Any]) -> None:
        """Note a figure of one run."""
        self.figures.setdefault(figure["work"], {}).setdefault(player, []).append(figure)

    def median(self, player: str, work: str) -> float | None:
        """Return the median of a player's runs, None if it has none.

        >>> standing = Standing()
        >>> for value in (3.0, 1.0, 2.0): standing.add("actorlab", {"work": "call", "value": value})
        >>> standing.median("actorlab", "call"), standing.median("Ray", "call")
        (2.0, None)
        """
        found = self.figures.get(work, {}).get(player)
        return median(figure["value"] for figure in found) if found else None

    def tail(self, player: str, work: str) -> float | None:
        """Return the median of the runs' 99th percentiles."""
        found = [f["p99"] for f in self.figures.get(work, {}).get(player, ()) if f.get("p99") is not None]
        return median(found) if found else None

    def note(self, player: str, work: str) -> str:
        """Return what a player says of its figure."""
        return next((f["note"] for f in self.figures.get(work, {}).get(player, ()) if f.get("note")), "")

    def ratio(self, player: str, work: Work) -> float | None:
        """Return how many times better actorlab is than a player at a work."""
        ours, theirs = self.median(OURS, work.name), self.median(player, work.name)
        if not ours or not theirs:
            return None
        return ours / theirs if work.more_is_better else theirs / ours

    def players(self, work: str) -> list[str]:
        """Return who has figures for a work, actorlab first, then the best."""
        chosen = next(w for w in (*WORKS, *SAVINA_WORKS) if w.name == work)
        others = [name for name in self.figures.get(work, {}) if name != OURS]
        others.sort(key=lambda name: self.ratio(name, chosen) or 0.0)
        return [name for name in (OURS, *others) if name in self.figures.get(work, {})]

    def ahead(self) -> dict[str, list[Work]]:
        """Return the works at which somebody is better than actorlab, by player."""
        found: dict[str, list[Work]] = {}
        for work in (*WORKS, *SAVINA_WORKS):
            for player in self.players(work.name):
                if not player.startswith(OURS) and (self.ratio(player, work) or 1.0) < 1.0:
                    found.setdefault(player, []).append(work)
        return found

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            work: {
                player: {
                    "median": self.median(player, work), "p99": self.tail(player, work),
                    "note": self.note(player, work), "runs": [figure["value"] for figure in figures],
                }
                for player, figures in by_player.items()
            }
            for work, by_player in self.figures.items()
        }  # fmt: skip
