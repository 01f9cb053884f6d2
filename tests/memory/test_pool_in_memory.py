"""A pool without files: memory that the node's controller keeps, sealed by the kernel, read without asking it."""

from __future__ import annotations

import errno
import fcntl
import os
import selectors
import shutil
import signal
import socket
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pool_drill import MIB, helper, table, temporaries

from actorlab.errors import PoolFull, SegmentCorrupt, SegmentGone, SharedMemoryError, SpecError
from actorlab.memory import ContextPool, Janitor, PoolSettings, read_usage
from actorlab.memory.keeper import Handover


@pytest.fixture
def janitor(tmp_path: Path) -> Iterator[Janitor]:
    (tmp_path / "pools").mkdir(mode=0o700)
    ContextPool(tmp_path / "pools", "p", settings=PoolSettings(4 * MIB, backend="memfd"))
    one = Janitor(str(tmp_path / "pools" / "p"))
    yield one
    one.close()


@pytest.fixture
def pool(janitor: Janitor) -> ContextPool:
    return janitor.pool


def kept() -> int:
    """How many segments this process keeps open."""
    links = [os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    return sum("memfd:actorlab" in os.readlink(link) for link in links if os.path.islink(link))


def test_it_is_the_same_to_whoever_uses_it(pool):
    handle = pool.publish("v", table())
    again = pool.put("w", table())
    array = pool.put("a", np.arange(1000))
    assert os.path.samefile(handle.path, again.path)
    assert (kept(), pool.bytes_shared()) == (2, pool.max_bytes - pool.bytes_free())
    with helper(pool) as reader:
        reader.take(handle)
        assert [(row.dataset, row.pid) for row in pool.leases()] == [("v", reader.pid)]
        reader.do("assert kept['a'].num_rows == 1000")
        reader.do("other = ContextPool(directory, name).put('v', np.arange(5000))")
    assert pool.version("v", 2).get()[-1] == 4999
    assert handle.get().equals(table())
    assert not array.get().flags.writeable
    (usage,) = read_usage(Path(pool.path).parents[1])
    assert (usage.backend, usage.live_bytes) == ("memfd", pool.bytes_shared())


def test_nobody_can_cut_or_change_it(pool):
    handle = pool.put("v", table())
    fd = os.open(handle.path, os.O_RDWR)  # root may, whatever the mode says
    try:
        for change in (lambda: os.ftruncate(fd, 10), lambda: os.pwrite(fd, b"x", 0)):
            with pytest.raises(PermissionError):
                change()
        with pytest.raises(PermissionError):
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 0)
    finally:
        os.close(fd)
    assert handle.get().equals(table())


def test_what_was_dropped_is_let_go_of_when_nobody_holds_it(pool, janitor):
    handle = pool.put("v", table())
    with helper(pool) as reader:
        reader.take(handle)
        pool.drop(handle)
        janitor.look()
        assert kept() == 1
        reader.kill()
        janitor.look()
    assert (kept(), pool.bytes_shared()) == (0, 0)
    with pytest.raises(SegmentGone):
        handle.get()


def test_a_quota_holds_there_too(pool):
    with pytest.raises(PoolFull):
        pool.put("v", np.zeros(600_000))
    assert temporaries(pool) == []
    assert pool.bytes_free() == 4 * MIB


def test_a_writer_killed_before_its_link_is_there_leaves_nothing(pool, janitor, eventually):
    with helper(pool) as writer:
        writer.do(
            "from actorlab.memory.keeper import Handover; fd = os.memfd_create('actorlab x', os.MFD_ALLOW_SEALING)"
        )
        writer.do("kept['handover'] = Handover(sys.argv[1], fd)")
        assert kept() == 1
        janitor.look()
        assert kept() == 1, "it is about to be linked"
        writer.signal(signal.SIGKILL)
        eventually(lambda: kept() == 0)


def test_without_a_keeper_it_is_an_error_and_not_a_wait(tmp_path, monkeypatch):
    monkeypatch.setattr("actorlab.memory.keeper._PATIENCE_S", 0.05)
    pool = ContextPool(tmp_path, "p", settings=PoolSettings(MIB, backend="memfd"))
    with pytest.raises(SharedMemoryError, match="has no keeper"):
        pool.put("v", table())
    assert temporaries(pool) == []


def test_a_keeper_that_has_no_descriptor_left_does_not_spin_over_who_waits(tmp_path, monkeypatch):
    (tmp_path / "pools").mkdir(mode=0o700)
    ContextPool(tmp_path / "pools", "p", settings=PoolSettings(4 * MIB, backend="memfd"))
    accept, happened = socket.socket.accept, []

    class Selector(selectors.DefaultSelector):
        def select(self, timeout=None):
            happened.append(timeout)
            return super().select(timeout)

    def refuse(listener):
        if happened.count("refused") < 3:
            happened.append("refused")
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(listener)

    monkeypatch.setattr("actorlab.memory.keeper.selectors.DefaultSelector", Selector)
    monkeypatch.setattr(socket.socket, "accept", refuse)
    janitor = Janitor(str(tmp_path / "pools" / "p"))
    try:
        assert janitor.pool.put("v", table()).get().equals(table())
    finally:
        janitor.close()
    behind = [after for before, after in pairwise(happened) if before == "refused"]
    assert len(behind) == 3 and all(behind)  # with a limit: the listener is not listened to meanwhile


def test_a_keeper_can_begin_again_where_one_has_ended(pool, janitor):
    janitor.close()
    again = Janitor(pool.path)
    assert again.pool.put("v", table()).get().equals(table())
    again.close()


def test_an_append_stream_needs_files_and_says_so(pool):
    with pytest.raises(SpecError, match="no files"):
        pool.append_stream("log")


def test_a_link_that_no_pool_made_is_refused(pool, tmp_path):
    handle = pool.put("v", table())
    os.unlink(handle.path)
    os.symlink("/etc/passwd", handle.path)
    with pytest.raises(SegmentCorrupt, match="no pool made"):
        handle.get()
    os.unlink(handle.path)
    os.symlink("/proc/self/fd/0", handle.path)
    with pytest.raises(SegmentCorrupt, match="no pool made"):
        handle.get()
    os.unlink(handle.path)
    with open(tmp_path / "plain", "wb") as file:
        os.symlink(f"/proc/{os.getpid()}/fd/{file.fileno()}", handle.path)
        with pytest.raises(SegmentGone):
            handle.get()


def test_the_keeper_goes_on_when_the_pool_s_links_are_removed_under_its_hands(pool):
    fd = os.memfd_create("one")
    handover = Handover(pool.path, fd)
    os.close(fd)
    shutil.rmtree(os.path.join(pool.path, "data"))
    handover.close()
    again = ContextPool(Path(pool.path).parent, "p")
    assert again.put("v", table()).get().equals(table())


def test_a_pool_that_is_removed_and_made_anew_between_two_looks_has_a_keeper_again(pool, janitor):
    pool.put("v", table())
    pool.remove()
    again = ContextPool(Path(pool.path).parent, "p", settings=pool.settings)
    janitor.look()
    assert again.put("v", table()).get().equals(table())
