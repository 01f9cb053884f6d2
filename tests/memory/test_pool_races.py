"""Two at a time at one pool, in the order that harms: what can be had stays whole, and errors say what happened."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pool_drill import MIB, table

from actorlab.errors import SegmentGone, SharedMemoryError
from actorlab.memory import ContextPool, Handle, Janitor, PoolSettings, catalogue, room
from actorlab.memory.catalogue import temporary_name
from actorlab.memory.content import as_content


@pytest.fixture
def pool(tmp_path: Path) -> ContextPool:
    return ContextPool(tmp_path, "p", settings=PoolSettings(16 * MIB, keep_last=1))


def just_before_locking(pool: ContextPool, monkeypatch: pytest.MonkeyPatch, do: Callable[[], Any]) -> None:
    """Have `do()` done once when the pool's lock is asked for next."""
    locked = pool.catalogue.locked

    def after_it() -> AbstractContextManager[None]:
        monkeypatch.setattr(pool.catalogue, "locked", locked)
        do()
        return locked()

    monkeypatch.setattr(pool.catalogue, "locked", after_it)


def test_a_version_published_again_while_the_janitor_looks_is_kept(pool, monkeypatch):
    now = [0.0]
    janitor = Janitor(pool.path, now=lambda: now[0])
    old = pool.publish("v", table(10))
    pool.publish("v", table(20))
    janitor.look()
    now[0] += 10
    just_before_locking(janitor.pool, monkeypatch, lambda: pool.publish("v", old))
    janitor.look()
    assert pool.current("v") == old
    assert pool.get("v").equals(table(10))


def test_batches_whose_pool_is_removed_while_they_come_are_refused_and_not_stored_in_part(pool):
    def batches() -> Iterator[pa.RecordBatch]:
        for n in range(10):
            if n == 5:
                shutil.rmtree(pool.path)
            yield pa.record_batch({"n": list(range(n * 20_000, (n + 1) * 20_000))})

    with pytest.raises(SegmentGone):
        pool.put("v", batches())
    assert pool.put("w", table()).get().equals(table())
    assert pool.versions("v") == []


def test_a_stream_can_be_begun_in_a_pool_that_was_removed_and_the_pool_is_whole_again(pool):
    shutil.rmtree(pool.path)
    with pool.append_stream("s") as writer:
        writer.append({"n": [1]})
    assert pool.put("v", table()).get().equals(table())
    assert pool.stream("s").table()["n"].to_pylist() == [1]
    assert os.stat(pool.catalogue.streams).st_mode & 0o077 == 0


def test_a_version_of_a_removed_pool_cannot_be_published(pool):
    handle = pool.put("v", table())
    shutil.rmtree(pool.path)
    with pytest.raises(SegmentGone):
        pool.publish("v", handle)


def test_what_a_killed_process_of_the_same_number_left_is_in_nobodys_way(pool, monkeypatch):
    monkeypatch.setattr(room, "_numbers", count(1))
    data = bytes(1000)
    left = temporary_name(os.getpid(), 1, as_content(data).size_bytes, "v")
    Path(pool.catalogue.segment(left)).touch()
    assert bytes(pool.put("v", data).get()) == data


def test_a_lock_that_was_removed_with_its_pool_locks_nothing(pool, monkeypatch):
    flock = fcntl.flock

    def removed_meanwhile(fd: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        shutil.rmtree(pool.path)
        ContextPool(Path(pool.path).parent, "p")
        flock(fd, operation)

    monkeypatch.setattr(catalogue, "_LOCK_TIMEOUT_S", 0)
    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    with pool.catalogue.locked(), pytest.raises(SharedMemoryError), catalogue.Catalogue(pool.path).locked():
        pass


@pytest.mark.parametrize("what", ["pool", "stream"])
def test_a_child_forked_while_a_lock_is_held_does_not_keep_it(pool, monkeypatch, what):
    flock, copies = fcntl.flock, []

    def flock_and_fork(fd: int, operation: int) -> None:
        flock(fd, operation)
        copies.append(os.dup(fd))  # as a child has it that another thread forks now

    monkeypatch.setattr(catalogue, "_LOCK_TIMEOUT_S", 0)
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", flock_and_fork)
        if what == "pool":
            pool.put("v", table())
        else:
            pool.append_stream("s").close()
    pool.put("v", table(20))
    pool.append_stream("s").close()
    for fd in copies:
        os.close(fd)


def test_that_all_were_told_of_a_version_is_noted_before_another_can_be_published(pool, monkeypatch):
    # Else a slower publisher would note the version before, and the janitor tell all of the newest once more.
    note, noted = pool.catalogue.set_announced, []

    def publish_meanwhile(handle: Handle) -> None:
        with pytest.raises(SharedMemoryError):
            ContextPool(Path(pool.path).parent, "p").publish("v", table(20))
        noted.append(handle)
        note(handle)

    monkeypatch.setattr(catalogue, "_LOCK_TIMEOUT_S", 0)
    monkeypatch.setattr(pool.catalogue, "set_announced", publish_meanwhile)
    assert pool.publish("v", table()) == noted[0]
