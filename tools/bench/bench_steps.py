"""The hot path, step by step: what each step of a message costs, in time and in instructions, and what the whole does.

    python -m tools.bench.bench_steps [--runs 5] [PATH ...]

Edge (processes); prints the tables of docs/performance.md. Each path runs in processes of its own, in turn as it is,
and with probes between its steps (`probes`); of many short rounds the fastest quarter counts, and of that the mean: so
the steps add up, and what the machine was busy with meanwhile is left out. What the steps together differ from the
whole, measured without probes, is said. The receiver of messages between processes is stopped while the sender fills
its lane, and then goes on alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from . import floors
from .stepping import WAYS, WHOLE, Mode, Round, run_here

TITLES = {
    "tell": "A message within a worker",
    "sending": "A message between processes: sending",
    "handling": "A message between processes: handling",
    "call": "A call within a worker",
    "call between": "A call between processes",
}


def run_apart(way: str, mode: Mode) -> list[Round]:
    """Run it in a process of its own."""
    command = [sys.executable, "-m", "tools.bench.bench_steps", "--here", mode, way]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{way}, {mode}: {done.stderr}")
    rounds: list[Round] = json.loads(done.stdout.splitlines()[-1])
    return rounds


def undisturbed(rounds: Sequence[Round]) -> Round:
    """Return the mean of the fastest quarter of rounds.

    >>> undisturbed([{WHOLE: 9.0}, {WHOLE: 3.0}, {WHOLE: 5.0}, {WHOLE: 4.0}])
    {'the whole': 3.0}
    """
    fastest = sorted(rounds, key=lambda one: one[WHOLE])[: max(1, len(rounds) // 4)]
    return {step: fmean(one[step] for one in fastest) for step in fastest[0]}


def table(title: str, plain: Round, probed: Round, counted: Round, floor: dict[str, float]) -> str:
    """Return a path's table, as it is in docs/performance.md."""
    steps = [step for step in probed if step != WHOLE]
    together = sum(probed[step] for step in steps)
    whole = plain[WHOLE]
    lines = [f"### {title}", "", "| step | ns | instructions |", "|---|---|---|"]
    lines += [f"| {step} | {probed[step]:,.0f} | {_number(counted.get(step))} |" for step in steps]
    counts = sum(counted.get(step, 0.0) for step in steps)
    lines.append(f"| **the steps together** | {together:,.0f} | {counts:,.0f} |")
    lines.append(f"| **the whole, measured without probes** | {whole:,.0f} | |")
    lines.append(f"| not explained | {whole - together:+,.0f} ({(whole - together) / whole:+.0%}) | |")
    made = ", ".join(f"{name} {ns:,.0f}" for name, ns in floor.items())
    lines.append(f"| **floor**: {made} | {sum(floor.values()):,.0f} | |")
    return "\n".join([*lines, ""])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}".removesuffix(".0")


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.bench_steps", description=__doc__)
    parser.add_argument("ways", nargs="*", metavar="PATH", help=f"of {', '.join(WAYS)}; all without")
    parser.add_argument("--runs", type=int, default=5, help="how often each is run, with probes and without in turn")
    parser.add_argument("--here", choices=("plain", "probed", "counted"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(run_here(options.ways[0], options.here)))
        return
    ways = options.ways or list(WAYS)
    rounds: dict[tuple[str, Mode], list[Round]] = defaultdict(list)
    least: list[dict[str, float]] = []
    modes: tuple[Mode, ...] = ("plain", "probed")
    for _ in range(options.runs):
        least += [floors.measure(ways) for _ in range(20)]
        for way in ways:
            for mode in modes:
                rounds[way, mode] += run_apart(way, mode)
    cost = {name: fmean(sorted(one[name] for one in least)[: len(least) // 4]) for name in least[0]}
    for way in ways:
        floor = {name: often * cost[name] for name, often in floors.PARTS[way].items()}
        counted = min(run_apart(way, "counted"), key=lambda one: one[WHOLE])
        print(table(TITLES[way], undisturbed(rounds[way, "plain"]), undisturbed(rounds[way, "probed"]), counted, floor))


if __name__ == "__main__":
    main()
