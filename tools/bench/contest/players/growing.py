"""How things grow: with actors, workers, the size of a message, readers, and names; on each framework.

    python growing.py actorlab|ray|xoscar|pykka|multiprocessing|beam|thespian|dask call_by_actors=100000 …

The number says how far to go. All is done from this process, one thing at a time; only `tell_by_workers` is done by the
workers, each of which tells an actor of the next. A point takes about a second, however fast that is. What is said of a
start, of memory, and of a restart is measured in an interpreter of its own, that has done nothing else:

    python growing.py actorlab alone start actors=1000 workers=2
"""

from __future__ import annotations

import importlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import playing
from ways import Way

POINTS = {
    "actors": (1, 10, 100, 1_000, 10_000, 100_000),
    "workers": (1, 2, 4, 8),
    "bytes": (16, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000),
    "readers": (1, 2, 4, 8, 16),
    "names": (10, 100, 1_000, 10_000, 100_000, 1_000_000),
}
WAYS = {
    "actorlab": "ways.Ours", "ray": "ways.Ray", "xoscar": "ways.Xoscar", "pykka": "ways.Pykka",
    "multiprocessing": "ways.Processes", "beam": "ways.Beam", "thespian": "ways_by_process.Thespian",
    "dask": "ways_by_process.Dask",
}  # fmt: skip
PLAYERS = {"actorlab": "ours.py", "multiprocessing": "processes.py"}
"""Whose script for the table is not called `…_player.py`."""
SMALL = bytes(100)
SECONDS, MOST, FEW = 0.6, 100_000, 300
ALONE = ("start", "memory", "spawn", "restart")
PATIENCE_S = 180


def way_of(name: str) -> type[Way]:
    """Return the class that speaks for a framework; it imports the framework when it is made."""
    module, _, cls = WAYS[name].partition(".")
    return getattr(importlib.import_module(module), cls)


def some(way: Way, n: int) -> list[object]:
    """Return `n` of the actors, going round them all."""
    step = max(1, len(way.refs) // n)
    return [way.refs[i * step % len(way.refs)] for i in range(n)]


def enough(taken_s: float, n: int, least: int = 5) -> int:
    """Return how many to do within the time for a point, when `n` took so long."""
    return max(least, min(MOST, int(n * SECONDS / max(taken_s, 1e-9))))


def calls(way: Way, message: bytes) -> list[float]:
    """Return what a call to one after the other takes, in µs, the quickest first."""
    probe = way.ask(message, some(way, 20))
    return sorted(ns / 1e3 for ns in way.ask(message, some(way, enough(sum(probe) / 1e9, 20))))


def tell_per_s(way: Way, message: bytes) -> float:
    """Return how many messages a second they handle, told one after the other."""
    probe = 20 if len(message) > 100_000 else 200
    n = enough(way.tell(message, some(way, probe)), probe)
    if len(message) > 100_000:
        n = min(n, 300_000_000 // len(message))  # some frameworks keep all that was told, and copies of it
    return n / way.tell(message, some(way, n))


def fan_us(way: Way, message: bytes) -> float:
    """Return what a call takes, in µs, when all are asked at once; the median of a few rounds."""
    took = way.fan(message)
    rounds = [way.fan(message) for _ in range(enough(took, 1, 2) if took < SECONDS else 1)][:FEW]
    return statistics.median(rounds) / len(way.refs) * 1e6


def say(curve: str, x: int, value: float) -> None:
    playing.say(curve, value, at=x)


def exchange(way: Way, by: str, x: int, message: bytes, wanted: set[str]) -> None:
    """Say what calls and messages take at one point, of what is wanted."""
    if wanted & {f"call_by_{by}", f"tail_by_{by}"}:
        times = calls(way, message)
        if f"call_by_{by}" in wanted:
            say(f"call_by_{by}", x, statistics.median(times))
        if f"tail_by_{by}" in wanted and len(times) >= 100:
            say(f"tail_by_{by}", x, times[int(len(times) * 0.99)])
    if f"fan_by_{by}" in wanted:
        say(f"fan_by_{by}", x, fan_us(way, message))
    if f"tell_by_{by}" in wanted and by != "workers":
        say(f"tell_by_{by}", x, tell_per_s(way, message))


def by_actors(make: type[Way], works: dict[str, int]) -> None:
    way = make(2)
    for n in POINTS["actors"]:
        if not (wanted := {curve for curve, most in works.items() if n <= most}):
            continue
        way.grow(n)
        way.tell(SMALL, way.refs)  # the first message to an actor finds out where it is
        exchange(way, "actors", n, SMALL, wanted)
    way.end()


def by_workers(make: type[Way], works: dict[str, int]) -> None:
    for n in POINTS["workers"]:
        if not (wanted := {curve for curve, most in works.items() if n <= most}):
            continue
        way = make(n)
        way.grow(n)
        exchange(way, "workers", n, SMALL, wanted)
        if "tell_by_workers" in wanted:
            each = enough(way.ring(SMALL, 200), 200) // n
            say("tell_by_workers", n, n * each / way.ring(SMALL, each))
        way.end()


def by_bytes(make: type[Way], works: dict[str, int]) -> None:
    way = make(1)
    way.grow(1)
    for n in POINTS["bytes"]:
        exchange(way, "bytes", n, bytes(n), {curve for curve, most in works.items() if n <= most})
    way.end()


def by_names(make: type[Way], works: dict[str, int]) -> None:
    way, chance, before = make(1), random.Random(1), 0
    for n in POINTS["names"]:
        if n > max(works.values()):
            break
        started = time.perf_counter()
        way.name(n)
        if n <= works.get("register_by_names", 0):
            say("register_by_names", n, (n - before) / (time.perf_counter() - started))
        before = n
        if n <= works.get("lookup_by_names", 0):
            names = [f"agent-{chance.randrange(n)}" for _ in range(20_000)]
            probe = sum(way.look_up(names[:20])) / 1e9
            times = way.look_up(names[: enough(probe, 20)])
            say("lookup_by_names", n, statistics.median(times) / 1e3)
    way.end()


def by_start(name: str, by: str, works: dict[str, int]) -> None:
    """Say what is measured in an interpreter of its own."""
    for n in POINTS[by]:
        wanted = [kind for kind in ALONE if n <= works.get(f"{kind}_by_{by}", 0)]
        actors, workers = (n, 2) if by == "actors" else (n, n)
        parts = [[kind for kind in wanted if kind != "restart"], [kind for kind in wanted if kind == "restart"]]
        for kinds in filter(None, parts):
            how = [name, "alone", ",".join(kinds), f"actors={actors}", f"workers={workers}"]
            for figure in run(__file__, *how):
                say(f"{figure['work']}_by_{by}", n, figure["value"])


def by_readers(name: str, works: dict[str, int]) -> None:
    """Say what a table adds, as each one's script for the table has it."""
    script = Path(__file__).with_name(PLAYERS.get(name, f"{name}_player.py"))
    for n in POINTS["readers"]:
        if n <= works["context_by_readers"]:
            for figure in run(script, f"context={n}"):
                if figure["work"] == "context":
                    say("context_by_readers", n, figure["value"])


def run(script: str | Path, *arguments: str) -> list[dict]:
    """Run a script in an interpreter of its own; return the figures it says."""
    command, out = [sys.executable, str(script), *arguments], ""
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        out, _ = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def alone(make: type[Way], kinds: list[str], actors: int, workers: int) -> None:
    """Start everything, have so many actors, and say what was wanted of it."""
    make.prepare()
    started = time.perf_counter()
    way = make(workers)
    if kinds == ["restart"]:
        playing.say("restart", way.bring_back(actors) * 1e3)
    else:
        there = time.perf_counter()
        way.grow(actors)
        way.tell(SMALL, way.refs)
        answered = time.perf_counter()
        for kind, value in (("start", answered - started), ("spawn", actors / (answered - there))):
            if kind in kinds:
                playing.say(kind, value)
        if "memory" in kinds:
            playing.say("memory", way.memory() / 1e6)
    sys.stdout.flush()
    if kinds == ["restart"] and type(way).__name__ == "Xoscar":
        os._exit(0)  # a pool one of whose processes was killed does not stop
    way.end()


def main() -> None:
    name = sys.argv.pop(1)
    make = way_of(name)
    if sys.argv[1] == "alone":
        _, _, kinds, *amounts = sys.argv
        given = {key: int(value) for key, _, value in (word.partition("=") for word in amounts)}
        alone(make, kinds.split(","), given["actors"], given["workers"])
        return
    works = playing.wanted()
    curves: dict[str, Callable[[type[Way], dict[str, int]], None]] = {
        "actors": by_actors, "workers": by_workers, "bytes": by_bytes, "names": by_names,
    }  # fmt: skip
    make.prepare()
    for by, go in curves.items():
        here = {curve: most for curve, most in works.items() if curve.endswith(f"_by_{by}")}
        if together := {curve: most for curve, most in here.items() if curve.partition("_")[0] not in ALONE}:
            go(make, together)
        if len(together) < len(here):
            by_start(name, by, here)
    if "context_by_readers" in works:
        by_readers(name, works)


if __name__ == "__main__":
    main()
