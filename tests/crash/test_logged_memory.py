"""The log of stores itself: it misses none, in whatever way it is made, and tears what may be torn."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from logged_memory import Logged
from replayed_memory import Folder, Log, Store

from actorlab.memory import Segment

PAIR = struct.Struct("<QQ")


def stored(log: Log) -> list[tuple[int, bytes]]:
    return [(step.at, step.data) for step in log.steps if isinstance(step, Store)]


@pytest.fixture
def logged(tmp_path: Path) -> Logged:
    (tmp_path / "played").mkdir()
    return Logged(tmp_path / "played")


def test_each_store_is_a_step_through_whatever_view_it_goes(logged: Logged, tmp_path: Path) -> None:
    segment = Segment.create(tmp_path / "played" / "file", 4096)
    with logged:
        segment.buf[3] = 7
        segment.buf.cast("Q")[2] = 1 << 56 | 9
        segment.mmap[40:42] = b"ab"
        PAIR.pack_into(segment.mmap, 64, 5, 6)
        segment.buf.cast("I")[200] += 3
        segment.buf[3] = 7  # nobody can tell
    segment.close()
    assert stored(logged.log) == [
        (3, b"\7"), (16, b"\t\0\0\0\0\0\0\1"), (40, b"ab"), (64, b"\5\0\0\0\0\0\0\0"), (72, b"\6"), (800, b"\3"),
    ]  # fmt: skip
    assert [step.called for step in logged.log.steps if isinstance(step, Store)] == [False] * 3 + [True] * 2 + [False]


def test_a_copy_of_many_bytes_is_several_stores_in_either_order(logged: Logged, tmp_path: Path) -> None:
    segment = Segment.create(tmp_path / "played" / "file", 4096)
    with logged:
        segment.buf[4:22] = b"abcdefghijklmnopqr"
    segment.close()
    assert stored(logged.log) == [(4, b"abcd"), (8, b"efghijkl"), (16, b"mnopqr")]
    for backwards, first in ((False, b"abcd" + bytes(14)), (True, bytes(12) + b"mnopqr")):
        seen = [
            (prefix.copy() / "file").read_bytes()[4:22]
            for prefix in logged.log.prefixes(tmp_path / f"replay{backwards}", backwards=backwards)
        ]
        assert seen[0] == bytes(18) and seen[1] == first and seen[-1] == b"abcdefghijklmnopqr"
        assert len(seen) == 4


def test_system_calls_are_steps_and_a_replay_has_the_same_names(logged: Logged, tmp_path: Path) -> None:
    base = tmp_path / "played"
    with logged:
        logged.note("makes")
        Segment.create(base / "file", 4096, header=b"head").close()
        logged.note("made")
        os.rename(base / "file", base / "other")
        os.symlink("other", base / "link")
        os.truncate(base / "other", 2)
    names = [sorted(step.names) for step in logged.log.steps if isinstance(step, Folder)]
    assert names[1][0].endswith(".tmp") and ["file"] in names and names[-1] == ["link", "other"]
    for prefix in logged.log.prefixes(tmp_path / "replay"):
        copy = prefix.copy()
        assert sorted(os.listdir(copy)) == sorted(os.listdir(prefix.live)) == sorted(prefix.stage.names)
        if prefix.said("made"):
            assert any((copy / name).exists() for name in ("file", "other"))
        if "file" in prefix.stage.names:
            assert (copy / "file").read_bytes().startswith(b"head")
    assert (tmp_path / "replay").exists() is False
    assert prefix.stage.images[1] == b"he"


def test_a_live_reader_sees_each_store_when_its_turn_comes(logged: Logged, tmp_path: Path) -> None:
    segment = Segment.create(tmp_path / "played" / "file", 4096)
    with logged:
        for number in range(1, 5):
            segment.buf[number] = number
    segment.close()
    seen = []
    reader = None
    for prefix in logged.log.prefixes(tmp_path / "replay"):
        reader = reader or Segment.open(prefix.live / "file")
        seen.append(bytes(reader.buf[:5]))
    assert reader is not None
    reader.close()
    assert seen == [bytes(range(n + 1)) + bytes(4 - n) for n in range(5)]
