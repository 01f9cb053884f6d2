"""The judge: reads a round's journals and prints the verdict as JSON, in a process of its own.

Edge (files). Of its own, because what a history takes in memory would be taken for the node's.

    python -m tools.soak.judge FOLDER
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from .history import History, check
from .journal import read

PATIENCE_S = 15.0
"""How long a send may take until it is settled: its own deadline, and a machine that is busy with other things."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a round's history shows."""

    violations: list[str]
    messages: int
    handled: int
    outcomes: dict[str, int]
    killed: list[int]


def judge(folder: Path) -> Verdict:
    """Check a folder of journals."""
    history = History.of_events(read(folder))
    return Verdict(
        [str(violation) for violation in check(history, PATIENCE_S)],
        len(history.sends),
        len(history.of["begin"]),
        dict(Counter(history.outcome(message) or "unsaid" for message in history.sends)),
        list(history.killed),
    )


def judge_apart(folder: str) -> Verdict:
    """`judge`, in another process. Raises CalledProcessError."""
    top = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(top), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "tools.soak.judge", folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return Verdict(**json.loads(done.stdout))


if __name__ == "__main__":
    print(json.dumps(asdict(judge(Path(sys.argv[1])))))
