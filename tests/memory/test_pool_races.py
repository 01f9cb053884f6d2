"""Two at a time at one pool, in the order that harms: what can be had stays whole, and errors say what happened."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from pool_drill import MIB, table

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
