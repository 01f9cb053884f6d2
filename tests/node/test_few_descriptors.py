"""A process that has no descriptor left: what needs one is refused or waits, nothing is lost and nobody ends of it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest
from recovery_drill import Clerk, kill_worker
from want_drill import Needy

import actorlab as al
from actorlab.node import inlet

pytestmark = pytest.mark.process


@pytest.fixture
def node() -> Iterator[al.Node]:
    with al.Node(workers=1, call_timeout_s=20.0) as node:
        yield node


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Refuse to open the next lanes to this process, so many times; then let them be opened."""
    refused: list[Any] = []
    real = inlet.LaneReader

    def refuse(path: Any) -> Any:
        if len(refused) < 4:
            refused.append(path)
            raise OSError(errno.EMFILE, "Too many open files", str(path))
        return real(path)

    monkeypatch.setattr(inlet, "LaneReader", refuse)
    return refused


def test_what_lies_in_a_lane_that_cannot_be_opened_is_taken_when_it_can(
    node: al.Node, refused: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    number = node.add_worker()
    ref = node.spawn(Clerk, 1, placement=number)
    assert ref.call.add(2) == 3 and node.is_well() and len(refused) == 4
    said = [record.getMessage() for record in caplog.records if "cannot be opened" in record.getMessage()]
    assert len(said) == 1 and f"from process {number} " in said[0] and "Too many open files" in said[0]


def test_who_watches_an_actor_hears_of_its_workers_death_when_the_dead_ones_lane_can_be_read(
    node: al.Node, refused: list[Any]
) -> None:
    ref = node.spawn(Clerk, placement=1)
    down = node.monitor(ref)
    node.wait_idle()
    runtime = node.runtime
    assert runtime.inlet is not None
    refused.clear()
    runtime.inlet.readers.pop(1).close()  # as if nothing had come from there yet
    kill_worker(node, 1)
    assert "SIGKILL" in str(down.get(timeout=20).reason) and len(refused) == 4
    assert node.spawn(Clerk, 1, placement=1).call.add() == 2


@pytest.mark.parametrize("size", [10, 100_000], ids=["in the lane", "beside it"])
def test_a_question_whose_lane_cannot_be_opened_leaves_nothing(size: int) -> None:
    with al.Node(workers=2, call_timeout_s=20.0) as node:
        needy, other = node.spawn(Needy, placement=1), node.spawn(Clerk, placement=2)
        assert needy.call.ask(other, size) == (errno.EMFILE, 0, 0, 0)
        assert needy.call.ask_again(other, size) == size


@pytest.mark.parametrize("size", [10, 100_000], ids=["in the lane", "beside it"])
def test_an_answer_whose_lane_cannot_be_opened_comes_later(size: int) -> None:
    with al.Node(workers=2, call_timeout_s=20.0) as node:
        asker, needy = node.spawn(Needy, placement=1), node.spawn(Needy, placement=2)
        needy.call.refuse_lanes(2)
        assert asker.call.ask_how_many(needy, size) == size
        assert needy.call.how_many() == (2, b"")
