"""Soak: rounds of traffic under a seeded nemesis, each judged; a report with a plot at the end.

Edge (processes, files). The node's files are on a small tmpfs of the soak's own where that may be mounted, so that the
nemesis can fill it without harm to others.

    python -m tools.soak --seconds 3600 --rate 1 --report soak-report      an hour with a kill a second
    python -m tools.soak --kills 10000 --rate 12 --workers 3               until so many kills
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from .campaign import Campaign, Plan, Round
from .measure import Sample, grown, look, trend
from .plot import draw

ROOM = "96m"


@contextlib.contextmanager
def own_room() -> Iterator[Path | None]:
    """Mount a small tmpfs and yield where; None if this user may not."""
    folder = tempfile.mkdtemp(prefix="actorlab-room-")
    mounted = False
    try:
        command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM},mode=0700", "none", folder]
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        yield Path(folder) if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "-l", folder], check=False)
        os.rmdir(folder)


def main(arguments: list[str] | None = None) -> int:
    """Run a soak; return 0 if no promise was broken and nothing grew that must not."""
    options = parser().parse_args(arguments)
    limit_s, limit = limits(options)
    report: Path = options.report
    report.mkdir(parents=True, exist_ok=True)
    rounds: list[Round] = []
    samples: list[Sample] = []
    too_much: list[str] = []
    with own_room() as room:
        plan = Plan(options.workers, options.seed, options.rate, options.round_s, room if options.fill else None)
        with Campaign(plan, report) as campaign:
            began = time.monotonic()
            kills = 0

            def sample() -> None:
                if not samples or time.monotonic() - began - samples[-1].at_s > options.every_s:
                    assert campaign.node.directory is not None
                    samples.append(look(began, campaign.node.directory, kills))

            while time.monotonic() - began < limit_s and kills < limit:
                outcome = campaign.run(len(rounds), sample)
                rounds.append(outcome)
                kills += outcome.kills
                print(line_of(outcome, kills), flush=True)
                for violation in outcome.violations[:20]:
                    print(f"    {violation}", flush=True)
                too_much = write(report, options, rounds, samples, time.monotonic() - began, plan.room is not None)
                if outcome.violations and not options.keep_going:
                    break
    broken = sum(bool(outcome.violations) for outcome in rounds)
    print(f"{len(rounds)} rounds, {kills} kills, {broken} rounds with violations; report in {report}")
    for growth in too_much:
        print(f"    grew: {growth}", flush=True)
    return 1 if broken or too_much else 0


def limits(options: argparse.Namespace) -> tuple[float, float]:
    """Return after how many seconds, and how many kills, it is over: whichever comes first."""
    if options.kills is None:
        return options.seconds or 60.0, math.inf
    return options.seconds or math.inf, options.kills


def end(number: int, frame: object) -> None:
    """Let a SIGTERM unwind, so that nothing is left behind."""
    raise SystemExit(128 + number)


def line_of(outcome: Round, kills: int) -> str:
    """Return a round in one line."""
    told = " ".join(f"{name} {number}" for name, number in sorted(outcome.outcomes.items()))
    verdict = f"{len(outcome.violations)} VIOLATIONS, history in {outcome.history}" if outcome.violations else "good"
    return (
        f"round {outcome.number}: {outcome.kills} kills (of {kills}), {outcome.messages} messages ({told}), "
        f"{outcome.took_s:.1f} s, at rest after {outcome.recovered_s:.2f} s: {verdict}"
    )


def write(
    report: Path, options: argparse.Namespace, rounds: list[Round], samples: list[Sample], took_s: float, filled: bool
) -> list[str]:
    """Write report.json, report.md and plot.svg; return what grew that must not."""
    outcomes: Counter[str] = Counter()
    blows: Counter[str] = Counter()
    for outcome in rounds:
        outcomes.update(outcome.outcomes)
        blows.update(outcome.blows)
    broken = [(outcome.number, outcome.violations) for outcome in rounds if outcome.violations]
    trends = trend(samples) if samples else {}
    kills = sum(outcome.kills for outcome in rounds)
    too_much = grown(trends, took_s, kills)
    summary = {
        "seconds": round(took_s, 1),
        "workers": options.workers,
        "seed": options.seed,
        "blows_a_second": options.rate,
        "rounds": len(rounds),
        "kills": kills,
        "messages": sum(outcome.messages for outcome in rounds),
        "handled": sum(outcome.handled for outcome in rounds),
        "outcomes": dict(outcomes),
        "blows": dict(blows),
        "shared_memory_filled": filled,
        "slowest_rest_s": round(max(outcome.recovered_s for outcome in rounds), 3),
        "rounds_with_violations": broken,
        "trend": trends,
        "grew": too_much,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "python": sys.version.split()[0],
        "commit": commit(),
    }
    (report / "report.json").write_text(json.dumps(summary, indent=1))
    lines = [f"# Soak: {summary['kills']} kills in {took_s:.0f} s, {len(broken)} of {len(rounds)} rounds broken", ""]
    for name, value in summary.items():
        if name not in ("trend", "rounds_with_violations"):
            lines.append(f"- {name}: {value}")
    lines += ["", "| measure | after a tenth | at the end | growth an hour |", "|---|---|---|---|"]
    for measure, row in trends.items():
        lines.append(f"| {measure} | {row['first']:.1f} | {row['last']:.1f} | {row['per_hour']:+.2f} |")
    if samples:
        title = f"{summary['kills']} kills, {summary['messages']} messages, {options.workers} workers, {took_s:.0f} s"
        (report / "plot.svg").write_text(draw(samples, title))
    lines += ["", *(f"- round {number}: {text}" for number, texts in broken for text in texts[:20])]
    (report / "report.md").write_text("\n".join(lines) + "\n")
    return too_much


def commit() -> str:
    """Return the commit of this checkout, "unknown" outside of one."""
    here = Path(__file__).parent
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    found = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__.split("\n")[0] if __doc__ else "")
    found.add_argument("--seconds", type=float, help="stop after so long (60, unless --kills says when)")
    found.add_argument("--kills", type=int, help="stop after so many kills")
    found.add_argument("--rate", type=float, default=4.0, help="blows of the nemesis a second (default 4)")
    found.add_argument("--workers", type=int, default=3, help="worker processes, at least 2 (default 3)")
    found.add_argument("--seed", type=int, default=1, help="what is done, and when, follows from it")
    found.add_argument("--round-s", type=float, default=5.0, help="length of a round in seconds (default 5)")
    found.add_argument("--every-s", type=float, default=1.0, help="seconds between two samples (default 1)")
    found.add_argument("--report", type=Path, default=Path("soak-report"), help="folder of the report")
    found.add_argument("--keep-going", action="store_true", help="go on after a round that broke a promise")
    found.add_argument("--no-fill", dest="fill", action="store_false", help="leave shared memory its room")
    return found


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    sys.exit(main())
