"""An observer beside a node that goes, or of which it cannot have all: it says what is so, and shows the rest."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import actorlab as al
from actorlab.actor import CALL
from actorlab.errors import StartError
from actorlab.observe import observer as looking
from actorlab.observe.board import read_at
from actorlab.testing import few_descriptors
from actorlab.transport import (
    LANE_BLOCKS,
    LANE_HEADER,
    LANE_IS_MESSAGE,
    LANE_TAIL,
    RING_AT,
    SPILLED,
    LaneLayout,
)

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


def test_a_lane_whose_block_is_written_anew_while_it_is_copied_spoils_no_look(copy: Path) -> None:
    """The copy has a new message's flags, which say that its payload is a token, and the length of the one before."""
    lane = next(copy.glob("lane.*"))
    words = memoryview(read_at(lane, 0, RING_AT)).cast("Q")
    layout = LaneLayout(words[LANE_BLOCKS])
    with open(lane, "r+b") as file:
        file.seek(LANE_TAIL * 8)
        file.write((99).to_bytes(8, "little"))
        file.seek(layout.status)
        file.write(bytes([LANE_IS_MESSAGE.index(1)]))
        file.seek(layout.data)
        file.write(LANE_HEADER.pack(1, 1, 0, CALL, SPILLED, 0, 5))
    assert looking.Observer(copy).look().totals.actors > 0


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
