"""Growth: how calls, tells and look-ups change with actors, workers, the size of a message, and names.

Pure. A curve is one of these over one of those; each player goes as far along it as it sensibly can.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from .standing import OURS
from .works import Player


@dataclass(frozen=True, slots=True)
class Curve:
    """A plot: `unit` over `over`."""

    name: str
    title: str
    unit: str
    over: str
    more_is_better: bool = False


CURVES = (
    Curve("call_by_actors", "a call, over the number of actors", "µs", "actors"),
    Curve("tell_by_actors", "messages, over the number of actors", "msg/s", "actors", True),
    Curve("call_by_workers", "a call, over the number of workers", "µs", "workers"),
    Curve("tell_by_workers", "messages from each worker to the next, in all", "msg/s", "workers", True),
    Curve("call_by_bytes", "a call, over the size of its message", "µs", "bytes"),
    Curve("tell_by_bytes", "messages, over their size", "msg/s", "bytes", True),
    Curve("lookup_by_names", "a look-up, over the number of names", "µs", "names"),
)

_BOTH = ("call_by_{}", "tell_by_{}")


def _far(names: int, **over: int) -> dict[str, int]:
    found = {curve.format(by): most for by, most in over.items() for curve in _BOTH}
    return found | ({"lookup_by_names": names} if names else {})


def _grows(name: str, amounts: dict[str, int], *packages: str, programs: tuple[str, ...] = ()) -> Player:
    return Player(name, "growing.py", amounts, packages, (name.lower(),), programs)


_PIPES = _far(1_000_000, actors=100, workers=8, bytes=10_000_000)
del _PIPES["tell_by_workers"]

GROWING = (
    _grows(OURS, _far(1_000_000, actors=100_000, workers=8, bytes=10_000_000)),
    _grows("Ray", _far(10, actors=10, workers=4, bytes=10_000_000), "ray>=2.40"),
    _grows("xoscar", _far(10_000, actors=10_000, workers=8, bytes=10_000_000), "xoscar>=0.7"),
    _grows("BEAM", _far(100_000, actors=100_000, bytes=10_000_000), programs=("erl", "erlc")),
    _grows("Pykka", _far(1_000, actors=10_000), "pykka>=4.4"),
    _grows("multiprocessing", _PIPES),
)


@dataclass(slots=True)
class Growth:
    """What was measured at each point, by curve and player, over all runs."""

    points: dict[str, dict[str, dict[int, list[float]]]] = field(default_factory=dict)

    def add(self, player: str, figure: Mapping[str, Any]) -> None:
        """Note a figure of one run.

        >>> growth = Growth()
        >>> for value in (3.0, 1.0, 2.0): growth.add("Ray", {"work": "call_by_bytes", "at": 16, "value": value})
        >>> growth.line("call_by_bytes", "Ray")
        {16: 2.0}
        """
        by_player = self.points.setdefault(figure["work"], {})
        by_player.setdefault(player, {}).setdefault(figure["at"], []).append(figure["value"])

    def players(self, curve: str) -> list[str]:
        """Return who is on a curve, actorlab first, in the order they were met."""
        met = list(self.points.get(curve, {}))
        return sorted(met, key=lambda player: player != OURS)

    def line(self, curve: str, player: str) -> dict[int, float]:
        """Return the median of the runs at each point."""
        points = self.points.get(curve, {}).get(player, {})
        return {x: median(values) for x, values in sorted(points.items())}

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            curve: {
                player: [{"at": x, "median": median(runs), "runs": runs} for x, runs in sorted(points.items())]
                for player, points in by_player.items()
            }
            for curve, by_player in self.points.items()
        }
