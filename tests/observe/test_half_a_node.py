"""An observer beside a node that goes, or of which it cannot have all: it says what is so, and shows the rest."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import actorlab as al
from actorlab.errors import StartError
from actorlab.observe import observer as looking
from actorlab.testing import few_descriptors

pytestmark = pytest.mark.process


class Clerk(al.Actor):
    pass


@pytest.fixture
def node() -> Iterator[al.Node]:
    with al.Node(workers=1) as node:
        node.spawn(Clerk, name="till")
        node.wait_idle()
        yield node


@pytest.fixture
def copy(node: al.Node, tmp_path: Path) -> Path:
    """A copy of the node's files, to be taken away at a moment of the test's choice."""
    no_files = shutil.ignore_patterns("bell.*", "*.sock")
    return Path(shutil.copytree(str(node.directory), tmp_path / "copy", ignore=no_files))


@pytest.mark.parametrize("moment", ["_read_pools", "_read_tree", "_read_cheap"])
def test_a_directory_that_goes_in_the_middle_of_a_look_is_the_nodes_end(
    copy: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    read: Callable[[looking.Observer], None] = getattr(looking.Observer, moment)

    def take_away(self: looking.Observer) -> None:
        shutil.rmtree(copy)
        read(self)

    monkeypatch.setattr(looking.Observer, moment, take_away)
    with pytest.raises(StartError, match="the directory is gone"):
        looking.Observer(copy).look(dear=True)


def test_names_whose_files_go_first_are_left_out_and_all_else_is_shown(copy: Path) -> None:
    for table in (copy / "names").glob("table-*"):
        table.unlink()
    look = looking.Observer(copy).look()
    assert look.totals.actors > 0
    assert {row.name for row in look.actors} == {""}


def test_names_of_a_backend_whose_code_is_not_here_are_left_out_and_all_else_is_shown(copy: Path) -> None:
    (copy / "names" / "backend").write_text("not_here:kind", "utf-8")
    look = looking.Observer(copy).look()
    assert look.totals.actors > 0
    assert {row.name for row in look.actors} == {""}


def test_an_observer_without_descriptors_does_not_say_that_the_node_is_over(node: al.Node) -> None:
    assert node.directory is not None
    observer = looking.Observer(node.directory, every_s=0.0)
    with few_descriptors(), pytest.raises(OSError, match="Too many open files"):
        observer.look()
    assert observer.look().state == "running"


def test_scrapes_at_the_same_time_look_one_after_another() -> None:
    pytest.importorskip("prometheus_client")
    from actorlab.observe.exposition import Accountant

    entered, release = threading.Event(), threading.Event()
    at_once: list[int] = []
    inside = 0

    class Looker:
        def look(self) -> Any:
            nonlocal inside
            inside += 1
            at_once.append(inside)
            entered.set()
            assert release.wait(20)
            inside -= 1
            raise StartError("shop", "over")

    accountant = Accountant(Looker())  # type: ignore[arg-type]
    first, second = (threading.Thread(target=lambda: list(accountant.collect()), daemon=True) for _ in range(2))
    first.start()
    assert entered.wait(20)
    entered.clear()
    second.start()
    entered.wait(0.2)  # it comes in at once, or not before the first is out
    release.set()
    first.join(20)
    second.join(20)
    assert at_once == [1, 1]
