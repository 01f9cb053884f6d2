"""Growth: how each thing changes with actors, workers, the size of a message, readers, and names.

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

    def ratio(self, ours: float, theirs: float) -> float:
        """Return how many times better actorlab is.

        >>> Curve("call_by_bytes", "a call", "µs", "bytes").ratio(10.0, 25.0)
        2.5
        """
        return ours / theirs if self.more_is_better else theirs / ours


CURVES = (
    Curve("call_by_actors", "a call, over the number of actors", "µs", "actors"),
    Curve("tail_by_actors", "the slowest of 100 calls, over the number of actors", "µs", "actors"),
    Curve("fan_by_actors", "a call, all asked at once, over the number of actors", "µs", "actors"),
    Curve("tell_by_actors", "messages, over the number of actors", "msg/s", "actors", True),
    Curve("spawn_by_actors", "actors started, over how many at once", "actors/s", "actors", True),
    Curve("start_by_actors", "start of everything until all have answered, over the number of actors", "s", "actors"),
    Curve("memory_by_actors", "memory of everything (PSS), over the number of actors", "MB", "actors"),
    Curve("restart_by_actors", "SIGKILL of all actors' process until all answer again", "ms", "actors"),
    Curve("call_by_workers", "a call, over the number of workers", "µs", "workers"),
    Curve("tail_by_workers", "the slowest of 100 calls, over the number of workers", "µs", "workers"),
    Curve("tell_by_workers", "messages from each worker to the next, in all", "msg/s", "workers", True),
    Curve("start_by_workers", "start of everything until each worker has answered", "s", "workers"),
    Curve("memory_by_workers", "memory of everything (PSS), over the number of workers", "MB", "workers"),
    Curve("call_by_bytes", "a call, over the size of its message", "µs", "bytes"),
    Curve("tail_by_bytes", "the slowest of 100 calls, over the size of the message", "µs", "bytes"),
    Curve("tell_by_bytes", "messages, over their size", "msg/s", "bytes", True),
    Curve("context_by_readers", "memory that a table of 200 MB adds, over how many actors read it", "MB", "readers"),
    Curve("lookup_by_names", "a look-up, over the number of names", "µs", "names"),
    Curve("register_by_names", "names given, over the number of names", "names/s", "names", True),
)


def _far(kinds: str, **over: int) -> dict[str, int]:
    """Return the curves of these kinds over each of these, and how far along them to go.

    >>> _far("call tail", bytes=100)
    {'call_by_bytes': 100, 'tail_by_bytes': 100}
    """
    return {f"{kind}_by_{by}": most for by, most in over.items() for kind in kinds.split()}


def _grows(name: str, *far: dict[str, int], packages: tuple[str, ...] = (), programs: tuple[str, ...] = ()) -> Player:
    amounts = {curve: most for part in far for curve, most in part.items()}
    return Player(name, "growing.py", amounts, packages, (name.split()[0].lower(),), programs)


_ASKED, _MADE = "call tail", "start memory spawn"
_NAMED = "lookup register"

GROWING = (
    _grows(
        OURS,
        _far(f"{_ASKED} tell", actors=100_000, workers=8, bytes=10_000_000),
        _far(f"{_MADE} fan", actors=100_000),
        _far("restart", actors=10_000),
        _far("start memory", workers=8),
        _far("context", readers=16),
        _far(_NAMED, names=1_000_000),
    ),
    _grows(
        "Ray",
        _far(f"{_ASKED} tell", actors=10, workers=4, bytes=10_000_000),
        _far(f"{_MADE} fan restart", actors=10),
        _far("start memory", workers=4),
        _far("context", readers=8),
        _far(_NAMED, names=10),
        packages=("ray>=2.40",),
    ),
    _grows(
        "xoscar",
        _far(f"{_ASKED} tell", actors=10_000, workers=8, bytes=10_000_000),
        _far(f"{_MADE} fan", actors=10_000),
        _far("restart", actors=100),
        _far("start memory", workers=8),
        _far("context", readers=4),
        _far(_NAMED, names=10_000),
        packages=("xoscar>=0.7",),
    ),
    _grows(
        "Dask actors",
        _far(f"{_ASKED} tell {_MADE} fan", actors=100),
        _far("start memory", workers=4),
        _far("context", readers=4),
        packages=("distributed>=2024.1", "dask>=2024.1"),
    ),
    _grows("Thespian", _far(f"{_ASKED} {_MADE}", actors=100), packages=("thespian>=4",)),
    _grows(
        "BEAM",
        _far(f"{_ASKED} tell", actors=100_000, bytes=10_000_000),
        _far(f"{_MADE} fan", actors=100_000),
        _far("context", readers=16),
        _far(_NAMED, names=100_000),
        programs=("erl", "erlc"),
    ),
    _grows(
        "Pykka",
        _far(f"{_ASKED} tell", actors=10_000),
        _far(f"{_MADE} fan", actors=1_000),
        _far("lookup", names=1_000),
        packages=("pykka>=4.4",),
    ),
    _grows(
        "multiprocessing",
        _far(f"{_ASKED} tell", actors=100, bytes=10_000_000),
        _far(f"{_MADE} fan", actors=100),
        _far("restart", actors=10),
        _far(_ASKED, workers=8),
        _far("start memory", workers=8),
        _far(_NAMED, names=1_000_000),
    ),
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

    def ahead(self) -> dict[str, list[tuple[Curve, dict[int, float]]]]:
        """Return by player the curves along which it is better than actorlab somewhere, and there how much of theirs
        actorlab has."""
        found: dict[str, list[tuple[Curve, dict[int, float]]]] = {}
        for curve in CURVES:
            ours = self.line(curve.name, OURS)
            for player in self.players(curve.name):
                theirs = self.line(curve.name, player)
                ratios = {x: curve.ratio(ours[x], value) for x, value in theirs.items() if x in ours}
                if worse := {x: ratio for x, ratio in ratios.items() if ratio < 1.0}:
                    found.setdefault(player, []).append((curve, worse))
        return found

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            curve: {
                player: [{"at": x, "median": median(runs), "runs": runs} for x, runs in sorted(points.items())]
                for player, points in by_player.items()
            }
            for curve, by_player in self.points.items()
        }
