"""A lane after every prefix of its stores: who is alive reads whole messages in order, and whoever comes after goes on.

The stores are those that the code made, each seen (logged_memory); test_lane_model.py has the interleavings of both
ends, and test_lane_crash.py real processes.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from logged_memory import Logged
from replayed_memory import Log, Prefix
from test_lane_model import BLOCKS, check, payload, recovered

from actorlab.transport import LaneReader, LaneWriter, create_lane, span_of
from actorlab.transport.lane_layout import WANT

BOTH = pytest.mark.parametrize("backwards", [False, True], ids=["up", "down"])


@pytest.fixture(autouse=True)
def _what_was_killed_is_unmapped() -> Iterator[None]:
    yield
    gc.collect()  # nobody closes what a "killed" end had open


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "played").mkdir()
    create_lane(tmp_path / "played" / "lane", BLOCKS)
    return tmp_path / "played"


def sending(folder: Path, numbers: list[int]) -> Log:
    """The stores of a sender, from its start to its end."""
    with Logged(folder) as logged:
        writer = LaneWriter(folder / "lane")
        for number in numbers:
            logged.note("sends", number)
            assert writer.try_send(1, number, 0, 0, payload(number)) >= 0
            logged.note("sent", number)
        assert writer.want_room()
        writer.close()
    return logged.log


def receive_alive(log: Log, replay: Path, backwards: bool) -> None:
    """Be the receiver at every prefix of a sender's stores, and then both successors."""
    reader, delivered = None, []
    for prefix in log.prefixes(replay, backwards=backwards):
        reader = reader or LaneReader(prefix.live / "lane")
        for record in reader.drain():
            delivered.append(check(reader, record))
            reader.free(record[4])
        reader.take_want()
        begun = prefix.said("sends")
        assert delivered in (begun, prefix.said("sent")), prefix
        copy = prefix.copy() / "lane"
        recovered(copy, delivered, ("rw", "wr")[prefix.number % 2])
    assert reader is not None and delivered == begun
    reader.close()


@BOTH
def test_a_receiver_reads_after_any_store_of_the_sender_what_it_said_was_sent(
    folder: Path, tmp_path: Path, backwards: bool
) -> None:
    log = sending(folder, list(range(1, 11)))
    assert len(log.stores) > 300
    receive_alive(log, tmp_path / "replay", backwards)


@pytest.mark.parametrize(
    "early",
    ["self.mapped[start : start + length] = payload", "self.status[block] = SPAN", "self.ring[position & self.mask]"],
    ids=["payload", "status", "ring"],
)
def test_a_sender_that_publishes_before_it_has_written_is_found_out(folder: Path, tmp_path: Path, early: str) -> None:
    log = sending(folder, [2, 3, 5, 6])
    one, tail = log.store_by(early), log.store_by("self.words[TAIL] = self._tail")
    assert one < tail, "it is written before"
    with pytest.raises((AssertionError, IndexError)):
        receive_alive(log.swapped(one, tail), tmp_path / "replay", False)


def receiving(folder: Path, count: int) -> Log:
    """The stores of a receiver that drains and frees in some order."""
    with LaneWriter(folder / "lane") as writer:
        for number in range(1, count + 1):
            assert writer.try_send(1, number, 0, 0, payload(number)) >= 0
        writer.want_room()
    with Logged(folder) as logged:
        reader = LaneReader(folder / "lane")
        held = []
        while found := reader.drain(3):
            held += found
            while len(held) > 2:
                record = held.pop(len(held) // 2)
                logged.note("frees", record[1])
                reader.free(record[4])
                logged.note("freed", record[1])
            reader.take_want()
        reader.close()
    return logged.log


def test_a_sender_has_room_again_after_any_store_of_the_receiver_and_nothing_else_is_lost(
    folder: Path, tmp_path: Path
) -> None:
    log, writer = receiving(folder, 10), None
    rang = False
    for prefix in log.prefixes(tmp_path / "replay"):
        writer = writer or LaneWriter(prefix.live / "lane")
        left = [number for number in range(1, 11) if number not in prefix.said("freed")]
        freeing = set(prefix.said("frees")) - set(prefix.said("freed"))
        unanswered = writer.unanswered()
        assert set(left) - freeing <= unanswered <= set(left), prefix
        rang = rang or not writer.buf[WANT]
        writer.want_room()
        assert writer.statistics().used == sum(span_of(len(payload(number))) for number in unanswered)
        copy = prefix.copy() / "lane"
        recovered(copy, sorted(unanswered), ("rw", "wr")[prefix.number % 2])
    assert writer is not None and rang and len(unanswered) == 2
    writer.close()


def both(folder: Path) -> Log:
    """Both ends' stores, in a lane so full that spans are taken back and their blocks used again."""
    with Logged(folder) as logged:
        writer, reader = LaneWriter(folder / "lane"), LaneReader(folder / "lane")
        held = []
        for number in range(1, 22):
            logged.note("sends", number)
            if writer.try_send(1, number, 0, 0, payload(number)) >= 0:
                logged.note("sent", number)
            else:
                logged.note("refused", number)
            held += reader.drain(2)
            while len(held) > 3:
                record = held.pop(number % 3)
                logged.note("frees", record[1])
                reader.free(record[4])
                logged.note("freed", record[1])
        writer.close()
        reader.close()
    return logged.log


def expected_of(prefix: Prefix) -> tuple[list[int], list[int]]:
    """Return what must be there, and what may be."""
    refused = set(prefix.said("refused"))
    must = [number for number in prefix.said("sent") if number not in prefix.said("frees")]
    may = [n for n in prefix.said("sends") if n not in refused and n not in prefix.said("freed")]
    return must, may


@BOTH
def test_both_ends_killed_after_any_store_are_followed_by_two_that_go_on(
    folder: Path, tmp_path: Path, backwards: bool
) -> None:
    log = both(folder)
    assert len(log.stores) > 400
    for prefix in log.prefixes(tmp_path / "replay", backwards=backwards):
        with LaneReader(prefix.copy() / "lane") as reader:
            found = [check(reader, record) for record in reader.survivors()]
        must, may = expected_of(prefix)
        assert set(must) <= set(found) <= set(may) and found == sorted(found), prefix
        recovered(prefix.copy() / "lane", found, ("rw", "wr")[prefix.number % 2])


def test_a_recovery_killed_after_any_store_is_done_again(folder: Path, tmp_path: Path) -> None:
    log, recoveries = both(folder), 0
    for prefix in log.prefixes(tmp_path / "replay"):
        if prefix.number % 13:
            continue
        with LaneReader(prefix.copy() / "lane") as reader:
            expected = [check(reader, record) for record in reader.survivors()]
        place = prefix.copy()
        with Logged(place) as again:
            writer, reader = LaneWriter(place / "lane"), LaneReader(place / "lane")
            reader.survivors()
            writer.close()
            reader.close()
        for second in again.log.prefixes(tmp_path / "again"):
            recovered(second.copy() / "lane", expected, ("rw", "wr")[second.number % 2])
        recoveries += len(again.log.stores) > 1
    assert recoveries > 3
