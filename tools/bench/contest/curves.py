"""Curves: the growth as text for a terminal, and as tables and plots for the page.

Pure; both axes of a plot are logarithmic. SVG is written here for the same reason as the bars are (`page`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape

from ..report import figure
from .growth import CURVES, Curve, Growth
from .standing import OURS

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 300, 70, 130, 12, 40
COLOURS = {
    OURS: "#3b82f6", "Ray": "#ef4444", "xoscar": "#f59e0b", "BEAM": "#a855f7", "Pykka": "#10b981",
    "multiprocessing": "#94a3b8", "Thespian": "#ec4899", "Dask actors": "#84cc16",
}  # fmt: skip

HEAD = """How each thing changes as there is more of it; both axes of each plot are logarithmic. Medians over the runs.
All is done from the user's process, going round all actors, each of which has had a message before; only
messages over the number of workers go from each worker to an actor of the next, all at once. Two workers where
nothing else is said, one for sizes and names. Messages are 100 bytes, or as many as the axis says. Of 100 calls the
slowest is the 99th percentile. Starts, memory and restarts are those of a fresh interpreter each, the framework's
imports included, and an actor counts as started when it has answered.

Ray, Thespian and `multiprocessing` have a process for every actor (so a restart is that of so many processes, and the
workers are the actors), Pykka is threads of the same process, BEAM asks from one virtual machine and answers in
another; its names are those of one machine. `multiprocessing` looks names up in a manager's dictionary. Of many
workers, each sleeps by the time it is asked again. Who ends early was not taken further: it would take minutes, or
more memory than there is; Ray's names are its actors, Dask and Thespian have no names, BEAM no supervisor outside of
the virtual machine that dies, and a Dask actor is lost with its worker."""


def text(growth: Growth) -> str:
    """Return the growth for a terminal."""
    lines = []
    for curve in CURVES:
        if not growth.players(curve.name):
            continue
        places = _places(growth, curve)
        lines += [f"{curve.title} [{curve.unit}]", f"  {curve.over:<18}" + "".join(f"{x:>12,}" for x in places)]
        for player in growth.players(curve.name):
            line = growth.line(curve.name, player)
            lines.append(f"  {player:<18}" + "".join(f"{_cell(line.get(x)):>12}" for x in places))
        lines.append("")
    return "\n".join(lines)


def section(growth: Growth, folder: str) -> list[str]:
    """Return the page's section; its plots are in `folder`."""
    written = ["## Growth", "", HEAD, ""]
    for curve in CURVES:
        if not growth.players(curve.name):
            continue
        places = _places(growth, curve)
        title = curve.title[0].upper() + curve.title[1:]
        written += [f"### {title}", "", f"![{curve.name}]({folder}/{curve.name}.svg)", ""]
        written += [f"| {curve.unit}, {curve.over}: | " + " | ".join(f"{x:,}" for x in places) + " |"]
        written += ["|---" * (len(places) + 1) + "|"]
        for player in growth.players(curve.name):
            line = growth.line(curve.name, player)
            written.append(f"| {player} | " + " | ".join(_cell(line.get(x)) for x in places) + " |")
        written.append("")
    return written


def _places(growth: Growth, curve: Curve) -> list[int]:
    return sorted({x for player in growth.players(curve.name) for x in growth.line(curve.name, player)})


def _cell(value: float | None) -> str:
    return "" if value is None else figure(value)


def _short(x: int) -> str:
    """Write a number of many zeros shortly.

    >>> _short(16), _short(10_000), _short(1_000_000)
    ('16', '10 k', '1 M')
    """
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if x >= size:
            return f"{x // size} {letter}"
    return str(x)


def _tick(power: int) -> str:
    return _short(10**power) if power >= 0 else f"{10.0**power:g}"


def plot(growth: Growth, curve: Curve) -> str:
    """Return the lines of a curve as SVG, readable on a light and on a dark page."""
    lines = {player: growth.line(curve.name, player) for player in growth.players(curve.name)}
    xs = [math.log10(x) for line in lines.values() for x in line]
    ys = [math.log10(y) for line in lines.values() for y in line.values() if y > 0]
    left, right, low, high = min(xs), max(xs), math.floor(min(ys)), math.ceil(max(ys))

    def across(x: float) -> float:
        return LEFT + (math.log10(x) - left) / ((right - left) or 1) * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - (math.log10(y) - low) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM)

    def grid() -> Iterator[str]:
        for power in range(low, high + 1):
            y = up(10.0**power)
            yield f'<path d="M{LEFT} {y:.0f}H{WIDTH - RIGHT}" stroke="#94a3b8" stroke-opacity=".3"/>'
            yield f'<text x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{_tick(power)}</text>'
        for x in _places(growth, curve):
            yield f'<text x="{across(x):.0f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_short(x)}</text>'
        yield f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(curve.over)}</text>'
        yield f'<text x="{LEFT - 8}" y="{HEIGHT - 6}" text-anchor="end">{escape(curve.unit)}</text>'

    def drawn() -> Iterator[str]:
        for player, line in lines.items():
            places = [(across(x), up(y)) for x, y in line.items() if y > 0]
            path, width = " ".join(f"{x:.0f},{y:.0f}" for x, y in places), 3 if player == OURS else 1.5
            yield f'<polyline points="{path}" fill="none" stroke="{COLOURS[player]}" stroke-width="{width}"/>'
            for x, y in places:
                yield f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{width + 0.5}" fill="{COLOURS[player]}"/>'
        ends = {player: up(list(line.values())[-1]) for player, line in lines.items()}
        for player, y in apart(ends).items():
            colour = f'style="fill: {COLOURS[player]}"'
            yield f'<text x="{WIDTH - RIGHT + 10}" y="{y + 4:.0f}" {colour}>{escape(player)}</text>'

    style = "text { font: 12px system-ui, sans-serif; fill: #64748b }"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    title = f"<title>{escape(curve.title)}, both axes logarithmic</title>"
    return "\n".join((head, title, f"<style>{style}</style>", *grid(), *drawn(), "</svg>", ""))


def apart(heights: Mapping[str, float], step: float = 15.0, lowest: float = HEIGHT - BOTTOM) -> dict[str, float]:
    """Return where labels stand that would stand at `heights` if they were not in each other's way, the highest first.

    >>> apart({"a": 50.0, "b": 20.0, "c": 52.0})
    {'b': 20.0, 'a': 50.0, 'c': 65.0}
    >>> apart({"a": 259.0, "b": 260.0}, lowest=260.0)
    {'a': 245.0, 'b': 260.0}
    """
    placed: dict[str, float] = {}
    for name, height in sorted(heights.items(), key=lambda item: item[1]):
        placed[name] = max(height, max(placed.values(), default=-step) + step)
    below = lowest
    for name in reversed(placed):
        placed[name] = min(placed[name], below)
        below = placed[name] - step
    return placed
