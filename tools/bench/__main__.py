"""The benchmarks' command: `python -m tools.bench [names] [--runs 5] [--json FILE] [--list]`.

Edge (the terminal). A name selects the rows, and the bench modules, that begin with it. The exit status is 1 when a
row could not be run; a target that is not met is said and is no error.
"""

from __future__ import annotations

import argparse
import sys
import traceback

from . import (
    bench_actors,
    bench_append,
    bench_call,
    bench_gc,
    bench_groups,
    bench_inproc,
    bench_large,
    bench_memory,
    bench_names,
    bench_node,
    bench_observe,
    bench_pool,
    bench_recycle,
    bench_route,
    bench_stream,
    bench_tell,
)
from .report import Result, lines, machine, run_row, save
from .sample import Row

MODULES = (
    bench_inproc,
    bench_call,
    bench_tell,
    bench_large,
    bench_actors,
    bench_node,
    bench_observe,
    bench_pool,
    bench_names,
    bench_groups,
    bench_memory,
    bench_gc,
    bench_recycle,
    bench_append,
    bench_stream,
    bench_route,
)


def select(names: list[str]) -> list[Row]:
    """Return the rows whose name, or whose module's name, begins with one of `names`; all without names."""
    chosen = []
    for module in MODULES:
        group = module.__name__.rpartition(".bench_")[2]
        chosen += [
            row for row in module.ROWS if not names or any(x.startswith(n) for n in names for x in (row.name, group))
        ]
    return chosen


def main() -> int:
    """Run what was asked for and print it as it comes."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("names", nargs="*", help="beginnings of the names of rows or modules; all if none")
    parser.add_argument("--runs", type=int, default=5, help="runs of each row (5)")
    parser.add_argument("--json", metavar="FILE", help="keep every run in FILE")
    parser.add_argument("--list", action="store_true", help="print the names and do nothing")
    options = parser.parse_args()
    rows = select(options.names)
    if options.list or not rows:
        print(*(row.name for row in select([])), sep="\n")
        return 0 if options.list else 2
    print(*(f"{key:<8}{value}" for key, value in machine().items()), sep="\n", end="\n\n", flush=True)
    results: list[Result] = []
    broken = 0
    for row in rows:
        try:
            results.append(run_row(row, options.runs))
            print(*lines(results[-1]), sep="\n", end="\n\n", flush=True)
        except Exception:
            broken += 1
            print(f"{row.name}: could not be run", flush=True)
            traceback.print_exc()
    if options.json:
        save(results, options.json)
    missed = [result.row.name for result in results if result.met is False]
    print(f"{len(results)} rows, {len(missed)} targets not met{': ' if missed else ''}{', '.join(missed)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
