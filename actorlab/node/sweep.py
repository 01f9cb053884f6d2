"""The sweep: what dead nodes left behind is found and removed.

Edge (files, processes); run at each node's start and by the doctor. Decides by locks and by identity
(pid, start time, boot, owner), never by age or by pid alone; a stranger is never signalled. With nothing stale it
costs a directory listing and a lock probe a node.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Literal

from ..lean_dataclass import dataclass
from .directory import (
    TREE_LOCK,
    WORKERS,
    base_directory,
    has_controller,
    is_held,
    locked_base,
    node_directories,
    remove_if_dead,
)
from .identity import Identity, read_identity


@dataclass(frozen=True, slots=True)
class Finding:
    """A directory of a dead node. `killed` are the orphans that had to be killed, by pid."""

    path: str
    what: Literal["dead", "orphans", "held"]
    removed: bool
    killed: tuple[int, ...] = ()

    def __str__(self) -> str:
        state = "removed" if self.removed else "still there"
        if self.what == "held":
            return f"{self.path}: its controller is gone, but an unrecorded process holds {TREE_LOCK}; {state}"
        orphans = f", {len(self.killed)} orphans killed" if self.killed else ""
        return f"{self.path}: every process of its node is dead{orphans}; {state}"


def sweep(base: Path | None = None, *, clean: bool = True, patience_s: float = 2.0) -> list[Finding]:
    """Remove the directories of dead nodes below `base`, killing workers that outlived their controller.

    With `clean=False` only looks. Blocks for at most `patience_s`, and only where orphans had to be killed. Raises
    UnsafeDirectory if `base` could be tampered with: what it says about processes is then not to be believed.
    """
    where = base or base_directory()
    suspects = [path for path in node_directories(where) if not has_controller(path)]
    if not suspects:
        return []
    findings: list[Finding] = []
    with locked_base(where):
        # Again, now that nobody is in the middle of creating one.
        suspects = [path for path in suspects if path.exists() and not has_controller(path)]
        for path in suspects:
            finding = _judge(path, clean, patience_s)
            if finding is not None:
                findings.append(finding)
    return findings


def _judge(path: Path, clean: bool, patience_s: float) -> Finding | None:
    if not clean:
        held = is_held(path / TREE_LOCK, shared=False)
        return Finding(str(path), "orphans" if held else "dead", removed=False)
    if remove_if_dead(path):
        return Finding(str(path), "dead", removed=True)
    killed = tuple(who.pid for who in recorded_workers(path) if _kill(who))
    deadline = time.monotonic() + patience_s
    while not remove_if_dead(path):
        if time.monotonic() > deadline:
            return Finding(str(path), "held", removed=False, killed=killed)
        time.sleep(0.002)
    return Finding(str(path), "orphans", removed=True, killed=killed)


def recorded_workers(path: Path) -> list[Identity]:
    """Return the workers that recorded themselves in a node's directory.

    Not the controller: it is a thread of the user's program, which may have let go of the node and live on.
    """
    return [who for who in map(read_identity, sorted((path / WORKERS).glob("*.json"))) if who is not None]


def _kill(who: Identity) -> bool:
    try:
        return who.send_signal(signal.SIGKILL)
    except OSError:
        return False  # no descriptor left to hold it by: it is still there, as the lock will say
