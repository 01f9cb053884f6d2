"""The contest's command: `python -m tools.bench.contest [works] [--install] [--runs 3] [--json FILE] [--page FILE]`.

Edge (the terminal, files). Each run starts every player anew, one after the other, and each does all works it can, and
goes along all curves as far as it can; with `--growth-runs`, in the first few runs only. The exit status is 1 when
actorlab could not do one.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..report import machine
from . import environment
from .curves import text
from .growth import CURVES, GROWING, Growth
from .page import page, table
from .standing import OURS, Standing
from .works import PLAYERS, SAVINA_PLAYERS, SAVINA_WORKS, WORKS, Player, parts


def main() -> int:
    """Install the peers, or let them play and print how they stand."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.contest", description=__doc__)
    names = [work.name for work in (*WORKS, *SAVINA_WORKS)], [curve.name for curve in CURVES]
    parser.add_argument("works", nargs="*", help=f"some of: {', '.join(names[0] + names[1])}; all if none")
    parser.add_argument("--growth", action="store_true", help="the curves only: everything with `_by_` in its name")
    parser.add_argument("--install", action="store_true", help="make the peers' environment first")
    parser.add_argument("--runs", type=int, default=3, help="runs of each player (3)")
    parser.add_argument("--growth-runs", type=int, help="in how many of them the curves are gone along (all)")
    parser.add_argument("--only", metavar="NAMES", help="only these players, by commas; actorlab is always one")
    parser.add_argument("--json", metavar="FILE", help="keep every figure in FILE")
    parser.add_argument("--page", metavar="FILE", help="write FILE (docs/benchmarks.md), its plots and figures beside")
    options = parser.parse_args()
    asked = set(options.works) | (set(names[1]) if options.growth else set()) or {*names[0], *names[1]}
    if unknown := asked - {*names[0], *names[1]}:
        parser.error(f"no such work: {', '.join(sorted(unknown))}")
    if options.install:
        environment.install()
    only = None if options.only is None else {name.strip().lower() for name in options.only.split(",")} | {OURS}
    players = _who_can([p for p in (*PLAYERS, *SAVINA_PLAYERS, *GROWING) if only is None or p.name.lower() in only])
    if any(player.packages for player in players) and not environment.python().exists():
        print(f"the peers are not installed in {environment.folder()}: say --install", file=sys.stderr)
        return 2
    where = machine() | {"peers": ", ".join(f"{name} {version}" for name, version in environment.versions().items())}
    print(*(f"{key:<8}{value}" for key, value in where.items()), sep="\n", end="\n\n", flush=True)
    standing, growth = Standing(), Growth()
    for run in range(options.runs):
        grows = options.growth_runs is None or run < options.growth_runs
        for player in players if grows else (player for player in players if player not in GROWING):
            _play(player, asked, standing, growth, f"run {run + 1}")
    print(table(standing), text(growth), sep="\n")
    kept = json.dumps(
        {"machine": where, "figures": standing.as_json(), "growth": growth.as_json()}, indent=1, ensure_ascii=False
    )
    if options.page:
        page(standing, growth, where, Path(options.page))
    for file in filter(None, (options.json, options.page and Path(options.page).with_suffix("") / "figures.json")):
        Path(file).write_text(kept + "\n", "utf-8")
    done = {work for work in names[0] if standing.median(OURS, work) is not None}
    done |= {curve for curve in names[1] if max(growth.line(curve, OURS), default=0) == GROWING[0].amounts[curve]}
    return 1 if asked - done else 0


def _who_can(players: list[Player]) -> list[Player]:
    """Return those whose programs are there, and say who does not play."""
    for player in players:
        if lacking := environment.absent(player):
            print(f"{player.name} does not play: there is no {', '.join(lacking)} on this machine", file=sys.stderr)
    return [player for player in players if not environment.absent(player)]


def _play(player: Player, asked: set[str], standing: Standing, growth: Growth, run: str) -> None:
    """Let a player do what it can of what was asked, and note what comes out."""
    chosen = {work: n for work, n in player.amounts.items() if work in asked}
    if not chosen and ("start" not in asked or player.arguments):
        return
    for part in parts(chosen):
        for figure in environment.play(player, part):
            if figure["work"] in asked:
                (growth if player in GROWING else standing).add(player.name, figure)
    print(f"{run}: {player.name} has played", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
