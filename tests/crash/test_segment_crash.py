"""A process SIGKILLed between any two stores of a new segment: its name has the whole file, or nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from actorlab.memory import Segment, segment
from actorlab.transport import arm_crashpoints, crashpoint_labels, kill_at

HEADER = b"header of a segment"
SIZE = 3 * 4096
LABELS = crashpoint_labels(segment)


def make(path: Path) -> None:
    with_header = Segment.create(path, SIZE, header=HEADER)
    with_header.close()


@pytest.mark.parametrize("label", LABELS)
def test_a_segment_whose_creator_was_killed_is_whole_or_not_there_and_the_next_makes_it(
    tmp_path: Path, label: str
) -> None:
    path = tmp_path / "thing"
    if (pid := os.fork()) == 0:
        try:
            arm_crashpoints(segment, kill_at(label, 1))
            make(path)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert path.exists() == (label in ("segment.linked", "segment.done"))
    drafts = [name for name in os.listdir(tmp_path) if name != "thing"]
    assert all(name.startswith(".thing.") and name.endswith(".tmp") for name in drafts)
    assert len(drafts) == (label != "segment.done")
    if path.exists():
        with pytest.raises(FileExistsError):
            make(path)
    else:
        make(path)
    opened = Segment.open(path, writable=True)
    assert bytes(opened.buf[: len(HEADER)]) == HEADER
    assert not any(opened.buf[len(HEADER) :]) and opened.size_bytes == SIZE
    opened.close()
    assert [name for name in os.listdir(tmp_path) if name != "thing"] == drafts  # they go with the directory
