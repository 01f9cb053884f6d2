"""Lazy values on real workers: one build a worker, however many actors, and gone with the last of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from lazy_drill import BlockingSearcher, Searcher, build_index, build_nothing, noted

import actorlab as al

pytestmark = pytest.mark.process

Eventually = Callable[..., None]
WORDS = ["one", "two", "three"]


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with al.Node(workers=2) as node:
        yield node


@pytest.fixture
def index(node: al.Node, tmp_path: Path) -> Iterator[al.Lazy[object]]:
    pool = node.pool("corpus")
    handle = pool.put("words", pa.table({"word": WORDS}))
    yield al.lazy(build_index, str(tmp_path), handle)
    pool.drop(handle)


def test_all_actors_of_a_worker_share_one_build_and_the_last_drops_it(
    node: al.Node, index: al.Lazy[object], tmp_path: Path, eventually: Eventually
) -> None:
    kinds = (Searcher, Searcher, BlockingSearcher)
    actors = {w: [node.spawn(kinds[n % 3], index, placement=w) for n in range(30)] for w in (1, 2)}
    asked = {
        w: [ref.request.find_async("two") if n % 3 == 1 else ref.request.find("two") for n, ref in enumerate(refs)]
        for w, refs in actors.items()
    }
    found = {w: {future.get(timeout=30) for future in futures} for w, futures in asked.items()}
    assert [[number for number, _ in found[w]] for w in (1, 2)] == [[1], [1]], "one object a worker"
    assert noted(tmp_path, "built") == [1, 1]

    held = node.lazies()
    assert [(row.what, row.built, row.holders) for row in held[1] + held[2]] == [("lazy build_index", True, 30)] * 2
    assert held[1][0].actors.count("Searcher") == 20
    assert held[0] == []

    for ref in actors[1][1:]:
        ref.stop()
    assert actors[1][0].call.find("three")[0] == 2
    assert noted(tmp_path, "dropped") == []
    actors[1][0].stop()
    eventually(lambda: noted(tmp_path, "dropped") == [1])
    eventually(lambda: node.lazies()[1] == [])
    assert [row.holders for row in node.lazies()[2]] == [30]

    again = node.spawn(Searcher, index, placement=1)
    assert again.call.find("one")[0] == 0
    assert noted(tmp_path, "built") == [1, 2]
    for ref in (again, *actors[2]):
        ref.stop()
    eventually(lambda: noted(tmp_path, "dropped") == [1, 2])


def test_a_build_that_raises_is_the_askers_error_each_time(node: al.Node, tmp_path: Path) -> None:
    actors = [node.spawn(Searcher, al.lazy(build_nothing, str(tmp_path)), placement=1) for _ in range(5)]
    for ref in actors:
        with pytest.raises(ValueError, match="nothing to build from"):
            ref.call.find("one")
    assert noted(tmp_path, "tried") == [5]
    for ref in actors:
        ref.stop()


def test_a_worker_that_was_killed_builds_again(index: al.Lazy[object], tmp_path: Path) -> None:
    tree = al.Supervisor(children=[al.child(Searcher, index, name=f"s{n}", placement=1) for n in range(4)])
    with al.Node(workers=1, tree=tree) as node:
        refs = [node.whereis(f"s{n}") for n in range(4)]
        assert {ref.within(30).call.find("two")[0] for ref in refs if ref} == {1}
        assert refs[0] is not None
        os.kill(refs[0].call.pid(), signal.SIGKILL)
        assert len({ref.within(30).call.find("two") for ref in refs if ref}) == 1
    assert noted(tmp_path, "built") == [1, 1]
