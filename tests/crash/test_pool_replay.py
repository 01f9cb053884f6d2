"""Pools after every system call of who writes there, and streams after every store: whole versions, whole batches."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import test_pool_crash
from logged_memory import Logged
from replayed_memory import Log
from test_pool_crash import SCENARIOS, Stage, hash_of
from test_stream_crash import MAX_BYTES, PART_BYTES, batch, what_is_there

from actorlab.errors import SegmentCorrupt, StreamEnded
from actorlab.memory import ContextPool, Follower


@pytest.fixture(autouse=True)
def _unmapped() -> Iterator[None]:
    yield
    gc.collect()


# ---- versions


def small(dataset: str, number: int) -> np.ndarray:
    return np.full(6_000, hash_of(dataset) * 1000 + number, dtype=np.int64)


@pytest.mark.parametrize("name", ["files", "disk"])
def test_what_exists_in_a_pool_is_whole_after_any_system_call_and_all_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(test_pool_crash, "content", small)
    monkeypatch.setattr(test_pool_crash, "MIB", 320 << 10)
    base = tmp_path / "played"
    Stage(name, base)
    with Logged(base, only_calls=True) as logged:
        SCENARIOS[name](base)
    assert len(logged.log.steps) > (15 if name == "disk" else 150)
    current = 0
    for prefix in logged.log.prefixes(tmp_path / "replay", many=1):
        stage = Stage(name, prefix.copy(base), found=True)  # where it was, for a pool on disk knows its place
        if name == "files" and (base / "p" / "pool.json").exists():
            pool = ContextPool(base, "p")  # as one that only reads
            handle = pool.current("v")
            assert handle is not None or not current, prefix
            if handle is not None:
                stage.check_version(handle)
                assert handle.version >= current, prefix
                current = handle.version
        stage.check()
    assert name == "disk" or current > 3


# ---- streams


def appended(base: Path) -> Log:
    """The stores of three writers, one after the other, who fill some parts and drop the oldest."""
    pool = ContextPool(base, "p", max_bytes=1 << 20)
    pool.append_stream("s", part_bytes=PART_BYTES).close()
    with Logged(base) as logged:
        for turn in range(3):
            writer = pool.append_stream("s", part_bytes=PART_BYTES, max_bytes=MAX_BYTES)
            for _ in range(5):
                number = writer.position
                logged.note("appends", number)
                assert writer.append(batch(number)) == number
                logged.note("appended", number)
            if turn == 1:
                writer.drop_before(writer.position)
            writer.close()
    return logged.log


def follow_alive(log: Log, base: Path, backwards: bool = False) -> None:
    """Be the follower at every prefix of the writers' stores, and then the next writer."""
    follower: Follower | None = None
    got: list[int] = []
    for prefix in log.prefixes(base, backwards=backwards, many=3):
        if follower is None:
            stream = ContextPool(prefix.live, "p").stream("s")
            follower = stream.follow(idle_s=0)
        for one in follower:
            number = one["n"][0].as_py()
            assert one.equals(batch(number)), prefix
            got.append(number)
        assert got in (prefix.said("appends"), prefix.said("appended")), prefix
        assert stream.end == len(got), prefix
        succeed(ContextPool(prefix.copy(), "p"), len(got))
    assert follower is not None and follower.missed == 0 and len(got) == 15
    follower.close()


def succeed(pool: ContextPool, end: int) -> None:
    stream = pool.stream("s")
    there = what_is_there(stream)
    assert there == list(range(stream.first, end))
    with pool.append_stream("s", part_bytes=PART_BYTES, max_bytes=MAX_BYTES) as heir:
        assert heir.position == end
        assert all(path.suffix == ".part" for path in Path(stream.folder).iterdir())
        assert heir.append(batch(end)) == end
    assert what_is_there(stream) == list(range(stream.first, end + 1))
    assert stream.bytes <= MAX_BYTES


@pytest.mark.parametrize("backwards", [False, True], ids=["up", "down"])
def test_a_follower_gets_whole_batches_after_any_store_and_the_next_writer_goes_on(
    tmp_path: Path, backwards: bool
) -> None:
    base = tmp_path / "played"
    base.mkdir(mode=0o700)
    log = appended(base)
    assert any("roll" in step.where or "closed=True" in step.where for step in log.steps)
    follow_alive(log, tmp_path / "replay", backwards)


@pytest.mark.parametrize(
    ("early", "late"),
    [
        ("buf[at : at + piece.size]", "part.words[0] = pack(at - DATA, commit.batches + 1)"),
        ("part.words[0] = pack(at - DATA, commit.batches + 1)", "closed=True"),
    ],
    ids=["committed before written", "closed before committed"],
)
def test_a_writer_that_commits_too_early_is_found_out(tmp_path: Path, early: str, late: str) -> None:
    base = tmp_path / "played"
    base.mkdir(mode=0o700)
    log = appended(base)
    last = log.store_by(late)
    first = max(at for at in log.stores if at < last and early in log.steps[at].where)
    with pytest.raises((AssertionError, SegmentCorrupt, StreamEnded, OSError)):
        follow_alive(log.swapped(first, last), tmp_path / "replay")
