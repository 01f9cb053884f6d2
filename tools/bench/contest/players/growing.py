"""How calls, tells and look-ups grow: with actors, workers, the size of a message, and names; on each framework.

    python growing.py actorlab|ray|xoscar|pykka|multiprocessing|beam call_by_actors=100000 lookup_by_names=10000 …

The number says how far to go. All is done from this process, one thing at a time; only `tell_by_workers` is done by the
workers, each of which tells an actor of the next. A point takes about a second, however fast that is.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Callable

import playing
from ways import WAYS, Way

POINTS = {
    "actors": (1, 10, 100, 1_000, 10_000, 100_000),
    "workers": (1, 2, 4, 8),
    "bytes": (16, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000),
    "names": (10, 100, 1_000, 10_000, 100_000, 1_000_000),
}
SMALL = bytes(100)
SECONDS, MOST = 0.6, 100_000


def some(way: Way, n: int) -> list[object]:
    """Return `n` of the actors, going round them all."""
    step = max(1, len(way.refs) // n)
    return [way.refs[i * step % len(way.refs)] for i in range(n)]


def enough(taken_s: float, n: int, least: int = 5) -> int:
    """Return how many to do within the time for a point, when `n` took so long."""
    return max(least, min(MOST, int(n * SECONDS / max(taken_s, 1e-9))))


def call_us(way: Way, message: bytes) -> float:
    """Return the median of a call to one after the other."""
    probe = way.ask(message, some(way, 20))
    times = way.ask(message, some(way, enough(sum(probe) / 1e9, 20)))
    return statistics.median(times) / 1e3


def tell_per_s(way: Way, message: bytes) -> float:
    """Return how many messages a second they handle, told one after the other."""
    probe = 20 if len(message) > 100_000 else 200
    n = enough(way.tell(message, some(way, probe)), probe)
    if len(message) > 100_000:
        n = min(n, 300_000_000 // len(message))  # some frameworks keep all that was told, and copies of it
    return n / way.tell(message, some(way, n))


def along(works: dict[str, int], by: str) -> dict[str, tuple[int, ...]]:
    """Return the points of the curves over `by` that were asked for."""
    curves = (f"call_by_{by}", f"tell_by_{by}", f"lookup_by_{by}")
    return {curve: tuple(x for x in POINTS[by] if x <= works[curve]) for curve in curves if curve in works}


def say(curve: str, x: int, value: float) -> None:
    playing.say(curve, value, at=x)


def by_actors(make: Callable[[int], Way], works: dict[str, int]) -> None:
    wanted, way = along(works, "actors"), make(2)
    for n in POINTS["actors"]:
        curves = [curve for curve, points in wanted.items() if n in points]
        if not curves:
            continue
        way.grow(n)
        way.tell(SMALL, way.refs)  # the first message to an actor finds out where it is
        for curve in curves:
            say(curve, n, (call_us if curve == "call_by_actors" else tell_per_s)(way, SMALL))
    way.end()


def by_workers(make: Callable[[int], Way], works: dict[str, int]) -> None:
    for n in POINTS["workers"]:
        curves = [curve for curve, points in along(works, "workers").items() if n in points]
        if not curves:
            continue
        way = make(n)
        way.grow(n)
        for curve in curves:
            if curve == "call_by_workers":
                say(curve, n, call_us(way, SMALL))
                continue
            each = enough(way.ring(SMALL, 200), 200) // n
            say(curve, n, n * each / way.ring(SMALL, each))
        way.end()


def by_bytes(make: Callable[[int], Way], works: dict[str, int]) -> None:
    wanted, way = along(works, "bytes"), make(1)
    way.grow(1)
    for curve, points in wanted.items():
        for n in points:
            say(curve, n, (call_us if curve == "call_by_bytes" else tell_per_s)(way, bytes(n)))
    way.end()


def by_names(make: Callable[[int], Way], works: dict[str, int]) -> None:
    (points,) = along(works, "names").values()
    way, chance = make(1), random.Random(1)
    for n in points:
        way.name(n)
        names = [f"agent-{chance.randrange(n)}" for _ in range(20_000)]
        probe = sum(way.look_up(names[:20])) / 1e9
        times = way.look_up(names[: enough(probe, 20)])
        say("lookup_by_names", n, statistics.median(times) / 1e3)
    way.end()


def main() -> None:
    make, works = WAYS[sys.argv.pop(1)], playing.wanted()
    for by, curves in (("actors", by_actors), ("workers", by_workers), ("bytes", by_bytes), ("names", by_names)):
        if along(works, by):
            curves(make, works)


if __name__ == "__main__":
    main()
