"""A name that means the newest version: atomic for readers, told to subscribers, with the last few kept."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pool_drill import MIB, charged, helper, table

from actorlab.errors import SegmentGone
from actorlab.memory import ContextPool, DatasetSettings, Janitor, NewVersion, PoolSettings


@pytest.fixture
def pool(tmp_path: Path) -> ContextPool:
    return ContextPool(tmp_path, "p", max_bytes=64 * MIB)


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


class Ear:
    """A subscriber in this process; a pickle of it is the same one."""

    heard: dict[str, list[Any]] = {}
    dead: set[str] = set()

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard[name] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return find_ear, (self.name,)

    def is_alive(self) -> bool:
        return self.name not in self.dead

    def tell(self, message: Any) -> None:
        self.heard[self.name].append(message)


def find_ear(name: str) -> Ear:
    ear = Ear.__new__(Ear)
    ear.name = name
    return ear


def test_the_published_version_is_what_the_name_means(pool):
    assert pool.current("v") is None
    first = pool.publish("v", table(10))
    assert pool.current("v") == first
    put = pool.put("v", table(20))
    assert pool.current("v") == first, "put publishes nothing"
    assert pool.publish("v", put) == put == pool.current("v")
    assert pool.get("v").num_rows == 20
    assert pool.get("v", version=1).num_rows == 10


def test_an_older_version_can_be_made_current_again(pool):
    first, second = pool.publish("v", table(10)), pool.publish("v", table(20))
    pool.publish("v", first)
    assert pool.get("v").num_rows == 10
    assert pool.versions("v") == [first, second]


def test_what_lies_under_one_name_is_published_under_another_without_a_copy(pool):
    draft = pool.put("draft", table())
    published = pool.publish("corpus", draft)
    assert (published.dataset, published.version) == ("corpus", 1)
    assert pool.bytes_shared() == charged(draft.size_bytes)
    pool.drop(draft)
    assert pool.get("corpus").equals(table())


def test_only_what_is_there_can_be_published(pool, tmp_path):
    gone = pool.put("v", table())
    pool.drop(gone)
    for dataset in ("v", "w"):
        with pytest.raises(SegmentGone):
            pool.publish(dataset, gone)
    with pytest.raises(ValueError, match="not of the pool"):
        pool.publish("v", ContextPool(tmp_path, "q", MIB).put("v", table()))
    with pytest.raises(SegmentGone, match="a published version of v"):
        pool.get("v")
    with pytest.raises(SegmentGone, match="v v7"):
        pool.version("v", 7)


def test_a_dropped_current_version_is_none(pool):
    pool.drop(pool.publish("v", table()))
    assert pool.current("v") is None


def test_the_last_few_versions_are_kept_and_no_more(tmp_path):
    settings = PoolSettings(64 * MIB, keep_last=2, datasets={"long": DatasetSettings(keep_last=4)})
    pool = ContextPool(tmp_path, "p", settings=settings)
    for n in range(1, 7):
        for name in ("short", "long", "only put"[:4]):
            (pool.put if name == "only" else pool.publish)(name, np.full(n, n))
    pool.tidy()
    assert [handle.version for handle in pool.versions("short")] == [5, 6]
    assert [handle.version for handle in pool.versions("long")] == [3, 4, 5, 6]
    assert len(pool.versions("only")) == 6
    assert pool.get("long", version=3)[0] == 3


def test_an_old_version_that_somebody_holds_stays_readable_for_all_until_it_is_let_go(pool):
    pinned = pool.publish("v", table(1))
    with helper(pool) as reader:
        reader.take(pinned)
        for n in range(2, 6):
            pool.publish("v", table(n))
        pool.tidy()
        assert pool.versions("v")[0] == pinned
        assert pool.get("v", version=1).num_rows == 1
        reader.let_go()
    pool.tidy()
    assert [handle.version for handle in pool.versions("v")] == [4, 5]


def test_the_janitor_keeps_a_version_for_those_who_were_just_told_of_it(pool):
    clock = Clock()
    janitor = Janitor(pool.path, now=clock)
    for n in range(1, 6):
        pool.publish("v", table(n))
    janitor.look()
    assert len(pool.versions("v")) == 5
    clock.at = 1.0
    janitor.look()
    assert [handle.version for handle in pool.versions("v")] == [4, 5]


def test_subscribers_are_told_of_each_version(pool):
    ann, bob = Ear("ann"), Ear("bob")
    assert pool.subscribe("v", ann) is None
    first = pool.publish("v", table(1))
    assert pool.subscribe("v", bob) == first
    pool.subscribe("v", bob)
    second = pool.publish("v", table(2))
    pool.publish("other", table(3))
    assert Ear.heard == {"ann": [NewVersion("v", first), NewVersion("v", second)], "bob": [NewVersion("v", second)]}
    assert pool.unsubscribe("v", ann)
    assert not pool.unsubscribe("v", ann)
    Ear.dead.add("bob")
    pool.publish("v", table(4))
    assert len(Ear.heard["ann"]) == 2 and len(Ear.heard["bob"]) == 1
    assert os.listdir(f"{pool.path}/subscribers/v") == [], "who is gone is forgotten"
    Ear.dead.clear()


def test_the_janitor_tells_what_a_killed_publisher_did_not(pool, monkeypatch):
    ear = Ear("eve")
    pool.subscribe("v", ear)
    with helper(pool) as publisher:
        publisher.do("pool = ContextPool(directory, name); pool.announce = lambda handle: None")
        publisher.do("pool.publish('v', np.arange(3))")
    janitor = Janitor(pool.path)
    janitor.look()
    assert Ear.heard["eve"] == [], "its publisher may be about to"
    monkeypatch.setattr("actorlab.memory.janitor.GRACE_S", 0.0)
    janitor.look()
    janitor.look()
    assert Ear.heard["eve"] == [NewVersion("v", pool.current("v"))]


def test_who_publishes_last_is_current_whoever_was_slower(pool):
    def publish(who: int) -> None:
        for n in range(20):
            pool.publish("v", np.full(n + 1, who))

    threads = [threading.Thread(target=publish, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    current = pool.current("v")
    assert current is not None and current.version == 80 == pool.versions("v")[-1].version


def test_readers_meet_no_torn_and_no_missing_version_while_it_is_published(pool, eventually):
    pool.publish("v", np.zeros(1000))
    ended, seen, wrong = threading.Event(), set(), []

    def read() -> None:
        last = -1.0
        while not ended.is_set():
            try:
                array = pool.get("v")
                if (array != array[0]).any() or array[0] < last:
                    wrong.append(array)
                last = array[0]
                seen.add(last)
            except Exception as error:
                wrong.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    eventually(lambda: seen or wrong)
    for n in range(1, 200):
        pool.publish("v", np.full(1000, float(n)))
        pool.tidy()
    eventually(lambda: 199.0 in seen or wrong)
    ended.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert len(seen) > 1
