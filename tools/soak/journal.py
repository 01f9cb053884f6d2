"""Journal: what the actors and clients of one process invoke and see, a line each, in a file of the process's own.

Edge (files). A line is one `write` to an O_APPEND descriptor, so what a killed process had noted is whole up to its
last line, which may be torn. Times are CLOCK_MONOTONIC nanoseconds, which all processes of a machine share.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from .history import Event

_open: dict[str, tuple[int, int]] = {}  # folder → (pid, descriptor): one that was inherited by a fork is not ours


def note(folder: str, what: str, **fields: object) -> None:
    """Append one event to this process's file in `folder`. From any thread."""
    pid = os.getpid()
    owner, descriptor = _open.get(folder, (0, -1))
    if owner != pid:
        path = os.path.join(folder, f"{pid}.jsonl")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        _open[folder] = (pid, descriptor)
    line = json.dumps({"at": time.monotonic_ns(), "pid": pid, "what": what, **fields}, separators=(",", ":"))
    os.write(descriptor, line.encode() + b"\n")


def close(folder: str) -> None:
    """Close this process's file."""
    owner, descriptor = _open.pop(folder, (0, -1))
    if owner == os.getpid():
        os.close(descriptor)


def read(folder: Path) -> Iterator[Event]:
    """Yield the events of all files in a folder. Raises ValueError for a torn line that is not the last of its file."""
    for path in sorted(folder.glob("*.jsonl")):
        lines = path.read_bytes().split(b"\n")
        for number, line in enumerate(lines):
            if line:
                try:
                    fields = json.loads(line)
                except ValueError:
                    if number < len(lines) - 1:
                        raise ValueError(f"{path}:{number + 1}: a torn line in the middle: {line!r}") from None
                    continue
                yield Event(fields.pop("at"), fields.pop("pid"), fields.pop("what"), fields)
