"""Two at a time at one pool, in the order that harms: what can be had stays whole, and errors say what happened."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pool_drill import MIB, table

from actorlab.errors import SegmentGone
from actorlab.memory import ContextPool, Janitor, PoolSettings


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
