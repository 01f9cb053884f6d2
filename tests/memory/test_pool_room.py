"""A pool's quota: room is made by what nobody needs, or refused with all that one must know; nothing ever waits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pool_drill import MIB, charged, helper, table, temporaries

from actorlab.errors import PoolFull, SegmentGone, SpecError
from actorlab.memory import ContextPool, DatasetSettings, PoolSettings


def block(number: int) -> np.ndarray:
    """Some 280 kB that are no other's."""
    return np.full(35_000, number)


@pytest.fixture
def pool(tmp_path: Path) -> ContextPool:
    return ContextPool(tmp_path, "p", max_bytes=MIB)


def test_what_nobody_holds_makes_room_the_least_recently_taken_first(pool):
    first, second, third = (pool.put("v", block(n)) for n in range(3))
    taken = first.get()  # the last to be taken
    del taken
    pool.put("v", block(3))
    with pytest.raises(SegmentGone):
        second.get()
    assert (first.get()[0], third.get()[0]) == (0, 2)


def test_what_somebody_holds_is_not_evicted(pool):
    held = [pool.put("v", block(n)) for n in range(3)]
    with helper(pool) as reader:
        for n, handle in enumerate(held):
            reader.take(handle, str(n))
        with pytest.raises(PoolFull) as full:
            pool.put("v", block(3))
        assert f"pid {reader.pid}" in str(full.value)
        assert len(full.value.holders) == 3
        assert full.value.needed_bytes == charged(held[0].size_bytes)
        reader.let_go("1")
        pool.put("v", block(3))
    with pytest.raises(SegmentGone):
        held[1].get()
    assert held[0].get()[0] == 0


def test_the_newest_of_a_dataset_is_never_evicted(pool):
    alone = [pool.put(f"v{n}", block(n)) for n in range(3)]
    with pytest.raises(PoolFull, match="nobody holds any of it"):
        pool.put("w", block(3))
    assert [handle.get()[0] for handle in alone] == [0, 1, 2]


def test_what_is_refused_for_want_of_room_takes_nothing_away(pool):
    kept = [pool.put("v", block(n)) for n in range(3)]
    with pytest.raises(PoolFull) as full:
        pool.put("w", np.full(120_000, 7))  # more than all that could go
    assert full.value.free_bytes == MIB - 3 * charged(kept[0].size_bytes)
    assert pool.versions("v") == kept


def test_without_eviction_nothing_goes_unasked(tmp_path):
    pool = ContextPool(tmp_path, "p", settings=PoolSettings(MIB, evict=False))
    for n in range(3):
        pool.put("v", block(n))
    with pytest.raises(PoolFull):
        pool.put("v", block(3))
    assert len(pool.versions("v")) == 3


def test_a_dataset_has_a_quota_of_its_own(tmp_path):
    settings = PoolSettings(MIB, evict=False, datasets={"small": DatasetSettings(max_bytes=300_000)})
    pool = ContextPool(tmp_path, "p", settings=settings)
    pool.put("small", block(0))
    with pytest.raises(PoolFull, match="dataset 'small', 300,000 bytes"):
        pool.put("small", block(1))
    pool.put("large", block(1))
    assert temporaries(pool) == []


def test_a_dataset_above_its_quota_makes_room_out_of_its_own(tmp_path):
    settings = PoolSettings(4 * MIB, datasets={"small": DatasetSettings(max_bytes=600_000)})
    pool = ContextPool(tmp_path, "p", settings=settings)
    other = pool.put("other", block(9)), pool.put("other", block(8))
    small = [pool.put("small", block(n)) for n in range(3)]
    assert pool.versions("small") == small[1:]
    assert pool.versions("other") == list(other)


def test_content_that_is_there_already_needs_no_room(pool):
    for n in range(3):
        pool.put(f"v{n}", block(n))
    assert pool.put("again", block(1)).get()[0] == 1


def test_a_dropped_version_counts_until_its_last_holder_is_gone(pool):
    handle = pool.put("v", table())
    with helper(pool) as reader:
        reader.take(handle)
        pool.drop(handle)
        assert pool.bytes_shared() == charged(handle.size_bytes)
        pool.tidy()
        assert pool.bytes_shared() == charged(handle.size_bytes)
        reader.let_go()
        pool.tidy()
        assert pool.bytes_shared() == 0


def test_a_pool_that_exists_is_as_it_was_made(tmp_path):
    ContextPool(tmp_path, "p", MIB)
    assert ContextPool(tmp_path, "p").max_bytes == MIB
    with pytest.raises(SpecError, match="max_bytes 1,048,576"):
        ContextPool(tmp_path, "p", 2 * MIB)
    with pytest.raises(SpecError, match="other settings"):
        ContextPool(tmp_path, "p", settings=PoolSettings(MIB, keep_last=7))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"max_bytes": 0}, "max_bytes"),
        ({"keep_last": 0}, "keep_last"),
        ({"cold_after_s": -1.0}, "cold_after_s"),
        ({"backend": "disk"}, "shm, memfd, file"),
        ({"backend": "file"}, "directory"),
        ({"directory": "/tmp"}, "directory"),
        ({"backend": "file", "directory": "here"}, "absolute"),
        ({"persist": True}, "backend = 'file'"),
        ({"datasets": {"a/b": DatasetSettings()}}, "a/b"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, says):
    with pytest.raises(SpecError, match=says):
        PoolSettings(**wrong)
