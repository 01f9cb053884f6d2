"""The page: the contest's table for a terminal and as Markdown, with a plot a work.

Edge (files); plots are SVG written here, for a dozen bars on a logarithmic scale need no library that would have to be
installed for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

from ..report import figure
from . import curves
from .growth import CURVES, Growth
from .standing import OURS, Standing
from .works import PLAYERS, SAVINA_WORKS, WORKS, Work

WIDTH, BAR, GAP, LEFT = 720, 18, 8, 150


def table(standing: Standing) -> str:
    """Return the table for a terminal."""
    lines = []
    for work in (*WORKS, *SAVINA_WORKS):
        if not standing.players(work.name):
            continue
        lines.append(f"{work.title} [{work.unit}]")
        for player in standing.players(work.name):
            ratio = "" if player == OURS else f"   actorlab is {figure(standing.ratio(player, work))} × as good"
            note = f"   ({standing.note(player, work.name)})" if standing.note(player, work.name) else ""
            tail = standing.tail(player, work.name)
            p99 = f"  p99 {figure(tail):>8}" if tail is not None else " " * 14
            lines.append(f"  {player:<18} {figure(standing.median(player, work.name)):>12}{p99}{ratio}{note}")
        lines.append("")
    return "\n".join(lines)


def page(standing: Standing, growth: Growth, machine: Mapping[str, str], file: Path) -> None:
    """Write the Markdown page, and its plots into a folder beside it that is called like it."""
    plots = file.with_suffix("")
    plots.mkdir(exist_ok=True)
    text = [_HEAD, "```console", *(f"{key:<8}{value}" for key, value in machine.items()), "```", ""]
    for work in (*WORKS, *SAVINA_WORKS):
        players = standing.players(work.name)
        if not players:
            continue
        (plots / f"{work.name}.svg").write_text(plot(standing, work), "utf-8")
        better = "more is better" if work.more_is_better else "less is better"
        text += [f"## {work.title[0].upper()}{work.title[1:]}", "", f"![{work.name}]({plots.name}/{work.name}.svg)", ""]
        text += [f"| {work.unit}, {better} | median | p99 | actorlab is | |", "|---|---|---|---|---|"]
        for player in players:
            ratio = "" if player == OURS else f"{figure(standing.ratio(player, work))} × as good"
            cells = (figure(standing.median(player, work.name)), figure(standing.tail(player, work.name)), ratio)
            text.append(f"| {player} | {' | '.join(cells)} | {standing.note(player, work.name)} |")
        text += ["", *absences(work.name), ""]
    text += ahead(standing, growth)
    for curve in CURVES:
        if growth.players(curve.name):
            (plots / f"{curve.name}.svg").write_text(curves.plot(growth, curve), "utf-8")
    if growth.points:
        text += curves.section(growth, plots.name)
    file.write_text("\n".join(text).rstrip() + "\n", "utf-8")


def absences(work: str) -> list[str]:
    """Return who does not do a work, and why, as one line; nothing where all do it."""
    said = [f"{player.name}: {player.cannot[work]}" for player in PLAYERS if work in player.cannot]
    return ["Not here: " + "; ".join(said) + "."] if said else []


_HEAD = """# Beside the peers

The same work, done by actorlab and by what people use today, on one machine, in turn: each player is started anew in
each run, in an environment of its own, and does everything it can. Medians over the runs. Nothing is pinned to a core.

    python -m tools.bench.contest --install --page docs/benchmarks.md

`--growth` goes along the curves at the end of this page only, `--growth-runs 1` along them once, `--only Ray,BEAM` has
some of them play, `--json FILE` keeps every figure with the machine and the commit.

Ray and Thespian have a process for every actor; Pykka has threads and no other process; `multiprocessing` is a bare
pipe, queue or process with no actor behind it. BEAM is the distribution's Erlang, two virtual machines that talk over
loopback where a work is between processes; where no Erlang is installed it does not play. Who is not in a table, and
why, is said at its end. For what is said of memory each player is started anew; what lies in shared memory counts once,
whether somebody has mapped it or not. Every figure of every run is in `benchmarks/figures.json`.
"""

_BEAM = """BEAM runs compiled code on a scheduler made for nothing else: within one machine a call, a flood of messages,
or a process made and gone costs it a fraction of what an interpreter takes, and a supervisor replaces a process
that died in microseconds. Between two machines it writes to a socket where actorlab writes to memory, and copies
what actorlab maps."""


def ahead(standing: Standing, growth: Growth) -> list[str]:
    """Return the section that says who is ahead of actorlab, and at what; nothing where nobody is."""
    found, grown = standing.ahead(), growth.ahead()
    rows = []
    for player in dict.fromkeys((*found, *grown)):
        works = found.get(player, ())
        rows += [f"| {player} | {work.title} | {figure(standing.ratio(player, work))} × |" for work in works]
        for curve, worse in grown.get(player, ()):
            where = ", ".join(f"{figure(ratio)} × at {x:,}" for x, ratio in worse.items())
            rows.append(f"| {player} | {curve.title} | {where} |")
    if not rows:
        return []
    text = ["## Where somebody is ahead", "", "| | at | of theirs, actorlab has |", "|---|---|---|", *rows]
    return [*text, "", *([_BEAM, ""] if "BEAM" in found else [])]


def plot(standing: Standing, work: Work) -> str:
    """Return bars on a logarithmic scale as SVG, readable on a light and on a dark page."""
    rows = [(player, standing.median(player, work.name) or 0.0) for player in standing.players(work.name)]
    values = [value for _, value in rows if value > 0]
    low, high = math.log10(min(values)) - 0.3, math.log10(max(values)) + 0.05
    height = len(rows) * (BAR + GAP) + GAP

    def bars() -> Iterator[str]:
        for i, (player, value) in enumerate(rows):
            y = GAP + i * (BAR + GAP)
            share = (math.log10(value) - low) / (high - low) if value > 0 else 0.0
            width = max(2.0, share * (WIDTH - LEFT - 120))
            colour = "#3b82f6" if player == OURS else "#94a3b8"
            yield f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(player)}</text>'
            yield f'<rect x="{LEFT}" y="{y}" width="{width:.0f}" height="{BAR}" rx="2" fill="{colour}"/>'
            yield f'<text x="{LEFT + width + 6:.0f}" y="{y + 13}">{figure(value)} {escape(work.unit)}</text>'

    style = "text { font: 12px system-ui, sans-serif; fill: #64748b }"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    title = f"<title>{escape(work.title)}, logarithmic</title>"
    return "\n".join((head, title, f"<style>{style}</style>", *bars(), "</svg>", ""))
