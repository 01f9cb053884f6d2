"""Report: runs a row beside its peers, and prints and keeps what came out.

Edge (the clock, the terminal, git). Our run and the peers' alternate, so that a machine that grows slower grows
slower for all.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from .sample import Row, Sample


@dataclass(frozen=True, slots=True)
class Series:
    """The runs of one way to do it; p99 is the median of the runs' p99s, lo and hi their lowest and highest figure."""

    name: str
    samples: tuple[Sample, ...]

    @property
    def median(self) -> float:
        return median(sample.value for sample in self.samples)

    @property
    def p99(self) -> float | None:
        tails = [sample.p99 for sample in self.samples if sample.p99 is not None]
        return median(tails) if tails else None

    def as_json(self) -> dict[str, Any]:
        values = [sample.value for sample in self.samples]
        extent = {"lo": min(values), "hi": max(values), "runs": len(values), "n": self.samples[0].n}
        return {"name": self.name, "median": self.median, "p99": self.p99, **extent, "values": values}


@dataclass(frozen=True, slots=True)
class Result:
    """A row that was run: ours first, then the peers."""

    row: Row
    series: tuple[Series, ...]

    @property
    def met(self) -> bool | None:
        """Whether the median reached the target; None without one."""
        if self.row.target is None:
            return None
        figure = self.series[0].median
        if self.row.target_is_ratio:
            figure /= self.series[1].median
        return figure >= self.row.target if self.row.more_is_better else figure <= self.row.target

    def ratio(self, peer: Series) -> float:
        """How many times better we are than `peer` (below 1: worse)."""
        ours, theirs = self.series[0].median, peer.median
        return ours / theirs if self.row.more_is_better else theirs / ours

    def as_json(self) -> dict[str, Any]:
        row = {"name": self.row.name, "unit": self.row.unit, "target": self.row.target, "met": self.met}
        peers = [peer.as_json() | {"ratio": self.ratio(peer)} for peer in self.series[1:]]
        return {**row, "ours": self.series[0].as_json(), "peers": peers}


def run_row(row: Row, runs: int) -> Result:
    """Run a row and its peers `runs` times, in turn; blocks as long as that takes."""
    ways = (("actorlab", row.run), *row.peers)
    taken: dict[str, list[Sample]] = {name: [] for name, _ in ways}
    for _ in range(runs):
        for name, run in ways:
            taken[name].append(run())
    return Result(row, tuple(Series(name, tuple(samples)) for name, samples in taken.items()))


def machine() -> dict[str, str]:
    """Return what a figure depends on: processor, kernel, interpreter, commit, and how busy the machine was."""
    cpus = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = cpus[0].partition(":")[2].strip() if cpus else platform.machine()

    def git(*arguments: str) -> str:
        here = Path(__file__).parent
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True).stdout.strip()

    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    busy = ": others are at work, so figures are worse than they could be, by chance more for one than for another"
    changed = " + changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    return {
        "cpu": f"{model}, {cores} cores usable",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "commit": (git("rev-parse", "--short", "HEAD") or "not a git checkout") + changed,
        "load": f"{load:.2f} over the last minute{busy if load > cores else ''}",
    }


def figure(value: float | None) -> str:
    """Write a figure with three significant digits.

    >>> figure(1234567.0), figure(12.345), figure(0.1234), figure(None)
    ('1,230,000', '12.3', '0.123', '-')
    """
    if value is None:
        return "-"
    if value >= 1000:
        digits = len(str(int(value))) - 3
        return f"{round(value / 10**digits) * 10**digits:,}"
    return f"{value:.3g}"


def lines(result: Result) -> Iterable[str]:
    """Yield the result as people read it."""
    row, met = result.row, {True: "met", False: "NOT MET", None: ""}[result.met]
    goal = ""
    if row.target is not None:
        than = f" × {result.series[1].name}" if row.target_is_ratio else f" {row.unit}"
        goal = f"   target {'≥' if row.more_is_better else '≤'} {figure(row.target)}{than}: {met}"
    yield f"{row.name} [{row.unit}]{goal}"
    for one in result.series:
        fields = one.as_json()
        text = f"  {one.name:<44} median {figure(one.median):>10}  p99 {figure(one.p99):>8}"
        text += f"  lo-hi {figure(fields['lo'])}-{figure(fields['hi'])}  n {fields['runs']} × {fields['n']:,}"
        if one is not result.series[0]:
            text += f"  actorlab is {figure(result.ratio(one))} × as good"
        yield text


def save(results: Iterable[Result], file: str) -> None:
    """Write the results and the machine to `file` as JSON."""
    kept = {"machine": machine(), "rows": [result.as_json() for result in results]}
    Path(file).write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")
