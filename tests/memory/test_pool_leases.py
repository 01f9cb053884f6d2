"""Who holds what is known from outside, and whoever dies lets go."""

from __future__ import annotations

import fcntl
import os
import signal
import weakref
from pathlib import Path

import pytest
from pool_drill import MIB, charged, helper, table

from actorlab.memory import ContextPool, PoolUsage, lease, name_holders, read_usage


@pytest.fixture
def pool(tmp_path: Path) -> ContextPool:
    (tmp_path / "pools").mkdir(mode=0o700)
    return ContextPool(tmp_path / "pools", "p", max_bytes=64 * MIB)


def usage(pool: ContextPool) -> PoolUsage:
    (one,) = read_usage(Path(pool.path).parents[1], workers={os.getpid(): 0})
    return one


def test_a_lease_begins_with_the_mapping_and_ends_with_its_last_view(pool):
    handle = pool.put("v", table())
    assert pool.leases() == ()
    column = handle.get()["n"]
    (lease,) = pool.leases()
    assert (lease.dataset, lease.version, lease.pid, lease.stopped) == ("v", 1, os.getpid(), False)
    assert pool.is_held(handle)
    del column
    assert pool.leases() == ()
    assert not pool.is_held(handle)


def test_a_holder_need_not_decode(pool):
    handle = pool.put("v", table())
    held = handle.hold()
    assert pool.is_held(handle)
    held.close()
    assert not pool.is_held(handle)


def test_a_killed_reader_leaks_nothing(pool):
    handle = pool.put("v", table())
    with helper(pool) as reader:
        reader.take(handle)
        pool.drop(handle)
        assert [(row.dataset, row.version, row.pid) for row in pool.leases()] == [("v", 1, reader.pid)]
        reader.kill()
        assert pool.leases() == ()
        pool.tidy()
    assert pool.bytes_shared() == 0


def test_a_stopped_reader_holds_on_and_is_shown(pool, eventually):
    handle = pool.put("v", table())
    with helper(pool) as reader:
        reader.take(handle)
        reader.signal(signal.SIGSTOP)
        eventually(lambda: pool.leases()[0].stopped)
        assert pool.leases()[0].pid == reader.pid
        reader.signal(signal.SIGCONT)
        eventually(lambda: not pool.leases()[0].stopped)


def test_two_handles_of_one_content_are_two_versions_of_one_segment(pool):
    first, second = pool.put("v", table()), pool.put("w", table())
    kept = second.get()
    assert pool.is_held(first), "the segment is what is held"
    assert [(row.dataset, row.version) for row in pool.leases()] == [("w", 1)]
    del kept


def test_the_process_says_for_whom_it_holds(pool):
    now = [0]
    name_holders(lambda: now[0], lambda who: f"actor-{who}")
    try:
        handle = pool.put("v", table())
        kept = handle.get()
        for now[0] in (7, 8, 7):
            handle.get()
        assert pool.leases()[0].actors == ("actor-7", "actor-8")
        del kept
        now[0] = 9
        kept = handle.get()
        assert pool.leases()[0].actors == ("actor-9",), "those of an earlier mapping are gone"
        del kept
    finally:
        name_holders(lambda: 0, str)


def test_usage_is_read_from_the_directory_alone(pool):
    kept, dropped, idle = pool.put("a", table(1000)), pool.put("a", table(2000)), pool.put("b", table(3000))
    mine = kept.get()
    with helper(pool) as reader:
        reader.take(dropped)
        pool.drop(dropped)
        seen = usage(pool)
        sizes = [charged(handle.size_bytes) for handle in (kept, dropped, idle)]
        assert (seen.name, seen.backend, seen.max_bytes) == ("p", "shm", 64 * MIB)
        assert (seen.live_bytes, seen.retired_bytes, seen.cold_bytes) == (sizes[0] + sizes[2], sizes[1], 0)
        assert seen.held_bytes == sizes[0] + sizes[1]
        assert [(one.name, one.versions, one.live_bytes, one.retired_bytes) for one in seen.datasets] == [
            ("a", 1, sizes[0], sizes[1]),
            ("b", 1, sizes[2], 0),
        ]
        assert [(row.dataset, row.version, row.pid, row.worker) for row in seen.leases] == [
            ("a", 1, os.getpid(), 0),
            ("a", 2, reader.pid, None),
        ]
    del mine


def test_of_a_node_that_is_gone_there_is_no_usage(tmp_path):
    assert read_usage(tmp_path / "nothing") == ()


def test_threads_that_take_versions_at_once_do_not_disturb_each_other(pool, monkeypatch):
    class TakenMeanwhile(weakref.WeakValueDictionary):
        def __contains__(self, key: object) -> bool:
            lease._noted[("another thread's", "v", len(lease._noted), 0)] = (1, set())
            return super().__contains__(key)

    monkeypatch.setattr(lease, "_maps", TakenMeanwhile(lease._maps))
    monkeypatch.setattr(lease, "_noted", {("let go", "v", n, 0): (1, set()) for n in range(1000)})
    assert pool.put("v", table()).get().equals(table())


def test_a_child_forked_while_a_version_is_put_or_looked_at_does_not_hold_it(pool, monkeypatch):
    flock, copies = fcntl.flock, []

    def flock_and_fork(fd: int, operation: int) -> None:
        flock(fd, operation)
        copies.append(os.dup(fd))  # as a child has it that another thread forks now

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", flock_and_fork)
        handle = pool.put("v", table())
        assert not pool.is_held(handle)
    assert not pool.is_held(handle)
    for fd in copies:
        os.close(fd)
