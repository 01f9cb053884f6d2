"""What is kept but not read is compressed, and nobody who reads it again can tell."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import numpy as np
import pytest
from pool_drill import MIB, charged, helper, table, temporaries

from actorlab.errors import PoolFull, SegmentCorrupt
from actorlab.memory import ContextPool, Handle, Janitor, PoolSettings, PoolUsage, read_usage
from actorlab.memory.cold import Cold


@pytest.fixture
def pool(tmp_path: Path) -> ContextPool:
    (tmp_path / "pools").mkdir(mode=0o700)
    settings = PoolSettings(16 * MIB, keep_last=5, cold_after_s=1e-9)
    return ContextPool(tmp_path / "pools", "p", settings=settings)


def usage(pool: ContextPool) -> PoolUsage:
    (one,) = read_usage(Path(pool.path).parents[1])
    return one


def test_old_versions_are_compressed_and_read_as_ever(pool):
    old, new = pool.publish("v", table(10_000)), pool.publish("v", table(20_000))
    before = usage(pool)
    Janitor(pool.path).look()
    after = usage(pool)
    assert before.cold_bytes == 0 < after.cold_bytes < charged(old.size_bytes) // 2
    assert after.cold_bytes + after.saved_bytes == charged(old.size_bytes)
    assert after.live_bytes == charged(new.size_bytes), "the current one stays as it is"
    assert pool.bytes_shared() == after.live_bytes + after.cold_bytes
    assert old.get().equals(table(10_000))
    assert usage(pool).cold_bytes == 0
    assert pool.bytes_shared() == charged(old.size_bytes) + charged(new.size_bytes)


def test_what_somebody_holds_is_not_compressed(pool):
    old = pool.publish("v", table())
    pool.publish("v", table(2000))
    with helper(pool) as reader:
        reader.take(old)
        Janitor(pool.path).look()
        assert usage(pool).cold_bytes == 0


def test_what_does_not_shrink_stays_as_it_is_and_is_not_tried_again(pool):
    noise = np.random.default_rng(1).integers(0, 255, 100_000, dtype=np.uint8)
    old = pool.publish("v", noise)
    pool.publish("v", np.zeros(10))
    Janitor(pool.path).look()
    assert usage(pool).cold_bytes == 0
    assert os.stat(old.path).st_mtime_ns == 1
    np.testing.assert_array_equal(old.get(), noise)
    assert temporaries(pool) == []


def test_versions_that_share_a_segment_are_turned_over_together(pool):
    handles = [pool.publish("v", table()), pool.publish("w", table())]
    for name in ("v", "w"):
        pool.publish(name, table(2000))
    Janitor(pool.path).look()
    assert usage(pool).cold_bytes > 0
    assert handles[0].get().equals(table())
    assert usage(pool).cold_bytes == 0
    assert os.path.samefile(handles[0].path, handles[1].path)
    assert handles[1].get().equals(table())


def test_content_put_again_while_it_is_compressed_is_there_plain_and_compressed(pool):
    old = pool.publish("v", table())
    pool.publish("v", table(2000))
    Janitor(pool.path).look()
    again = pool.put("w", table())
    assert again.get().equals(table())
    assert old.get().equals(table())
    assert os.path.samefile(old.path, again.path)
    assert usage(pool).cold_bytes == 0


def test_a_reader_that_finds_no_room_to_unpack_is_told_so(tmp_path):
    settings = PoolSettings(MIB, keep_last=5, cold_after_s=1e-9)
    pool = ContextPool(tmp_path, "p", settings=settings)
    old = pool.publish("v", np.zeros(60_000))
    pool.publish("v", np.zeros(10))
    Janitor(pool.path).look()
    pool.put("w", np.random.default_rng(1).random(80_000))
    with pytest.raises(PoolFull):
        old.get()
    pool.drop(pool.version("w", 1))
    assert not old.get().any()


def test_a_cold_version_that_was_damaged_is_refused(pool):
    old = pool.publish("v", table(10_000))
    pool.publish("v", table())
    Janitor(pool.path).look()
    size = os.path.getsize(old.path)
    for at in (0, 10, size // 2, size - 1):
        with open(old.path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes((byte[0] ^ 0xFF,)))
        os.chmod(old.path, 0o400)
        with pytest.raises(SegmentCorrupt):
            old.get()
        assert temporaries(pool) == []
        with open(old.path, "r+b") as file:
            file.seek(at)
            file.write(byte)
    assert old.get().equals(table(10_000))


def test_a_version_compressed_again_before_its_reader_has_it_is_unpacked_again(pool, monkeypatch):
    old = pool.publish("v", table(10_000))
    pool.publish("v", table(20_000))
    janitor = Janitor(pool.path)
    janitor.look()
    thaw = Cold.thaw

    def thaw_in_vain(cold: Cold, handle: Handle) -> None:
        monkeypatch.setattr(Cold, "thaw", thaw)
        thaw(cold, handle)
        janitor.look()
        assert usage(pool).cold_bytes

    monkeypatch.setattr(Cold, "thaw", thaw_in_vain)
    assert old.get().equals(table(10_000))


def test_a_version_is_unpacked_while_somebody_looks_who_holds_it(pool):
    old = pool.publish("v", table(10_000))
    pool.publish("v", table(20_000))
    Janitor(pool.path).look()
    looking = os.open(old.path, os.O_RDONLY)
    try:
        fcntl.flock(looking, fcntl.LOCK_EX)  # as `is_held` does for a moment
        assert old.get().equals(table(10_000))
    finally:
        os.close(looking)


def test_what_was_killed_while_it_turned_a_version_over_keeps_nothing_from_coming_free(pool, monkeypatch):
    def die(*what: object) -> None:
        raise KeyboardInterrupt

    old = pool.publish("v", table(10_000))
    new = pool.publish("v", table(20_000))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", die)
        Janitor(pool.path).look()
    pool.drop(old)
    pool.drop(new)
    pool.tidy()
    assert pool.bytes_shared() == 0
