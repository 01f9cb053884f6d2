"""Real processes, killed by SIGKILL while a message leaves its lane unhandled: the books have it once."""

from __future__ import annotations

import os
import signal

import pytest

from actorlab.node import fate
from actorlab.transport import (
    DEAD_LETTERED,
    FAILED,
    INTENT,
    SLOT_U32,
    SLOT_WORDS,
    LaneReader,
    LaneWriter,
    NodeTable,
    arm_crashpoints,
    crashpoint_labels,
    create_lane,
    in_hand,
    kill_at,
    slot_template,
)

LABELS = [label for label in crashpoint_labels(fate) if label.startswith("fate.")]
FINISH = [label for label in crashpoint_labels(fate) if label.startswith("finish.")]
SENDER = 3


def in_child(work, label=""):
    """Run `work()` in a child that is killed at `label`, if it is told one and comes there; return whether it was."""
    pid = os.fork()
    if pid == 0:
        try:
            if label:
                arm_crashpoints(fate, kill_at(label, 1))
            work()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


@pytest.fixture
def place(tmp_path):
    return prepared(tmp_path)


def prepared(folder):
    """Make a table with one actor that has message 1 of 5 in hand, and the lane the messages came by."""
    create_lane(folder / "lane", 64)
    table = NodeTable.create(folder / "table", 16, 1)
    index, _ = table.allocate(slot_template())
    with LaneWriter(folder / "lane") as writer, LaneReader(folder / "lane") as reader:
        for number in range(1, 6):
            assert writer.try_send(7, number, 1, 0, b"x") >= 0
        records = reader.drain()
    table.words[index * SLOT_WORDS] = 40 << 24 | in_hand(SENDER, records[0][4])
    table.close()
    return folder, index, [record[4] for record in records]


def settle(place, which, failed, is_in_hand):
    folder, index, blocks = place
    table, reader = NodeTable.adopt(folder / "table"), LaneReader(folder / "lane")
    word, block = index * SLOT_WORDS, blocks[which]
    position = reader.position(block)
    fate.settle(
        table, word, in_hand(SENDER, block), position, failed, lambda hand: reader.free(hand & 0xFFFF), is_in_hand
    )


def finish(place):
    folder, _, _ = place
    table, reader = NodeTable.adopt(folder / "table"), LaneReader(folder / "lane")

    def still_there(hand, position):
        now = reader.position(hand & 0xFFFF)
        return reader.holds(hand & 0xFFFF) and now < reader.head and now & fate.POSITION_MASK == position

    fate.finish(table, still_there, lambda hand: reader.free(hand & 0xFFFF))


def books(place):
    """Return: failed, dead-lettered, handled, whether something is in hand, the messages that are left."""
    folder, index, _ = place
    table = NodeTable.open(folder / "table")
    with LaneReader(folder / "lane") as reader:
        left = [record[1] for record in reader.survivors()]
    view = table.read(index)
    assert table.header[INTENT] == 0
    table.close()
    return view.failed, view.dead_lettered, view.handled, bool(view.in_hand), left


@pytest.mark.parametrize("failed", [True, False])
@pytest.mark.parametrize("label", LABELS)
def test_an_owner_killed_anywhere_is_finished_once(place, label, failed):
    assert in_child(lambda: settle(place, 0, failed, True), label)
    finish(place)
    count = (1, 0) if failed else (0, 1)
    if label == "fate.intent":  # nothing had happened: it is still in hand, and taken over as that
        assert books(place) == (0, 0, 40, True, [1, 2, 3, 4, 5])
    else:
        assert books(place) == (*count, 40, False, [2, 3, 4, 5])


@pytest.mark.parametrize("label", LABELS[1:])
def test_a_message_that_was_not_in_hand_leaves_the_one_that_is(place, label):
    assert in_child(lambda: settle(place, 2, False, False), label)
    finish(place)
    assert books(place) == (0, 1, 40, True, [1, 2, 4, 5])


@pytest.mark.parametrize("label", LABELS[1:])
@pytest.mark.parametrize("again", FINISH)
def test_who_finishes_can_be_killed_as_well(place, label, again):
    assert in_child(lambda: settle(place, 0, True, True), label)
    in_child(lambda: finish(place), again)
    finish(place)
    assert books(place) == (1, 0, 40, False, [2, 3, 4, 5])


def test_a_block_that_was_filled_again_is_another_message(place):
    """Between the free and the end of the intent its sender may have used the block for something new."""
    folder, _, blocks = place
    assert in_child(lambda: settle(place, 0, True, True), "fate.word")
    with LaneWriter(folder / "lane") as writer:
        for number in range(6, 6 + 60):
            assert writer.try_send(7, number, 1, 0, b"x") >= 0
    with LaneReader(folder / "lane") as reader:
        assert blocks[0] in [record[4] for record in reader.drain()]
    finish(place)
    assert books(place) == (1, 0, 40, False, list(range(2, 66)))


@pytest.mark.parametrize("counter", [FAILED, DEAD_LETTERED])
def test_a_count_is_told_by_its_low_bits(place, counter):
    folder, index, _ = place
    table = NodeTable.adopt(folder / "table")
    table.u32[index * SLOT_U32 + counter] = 0xFFFF
    table.close()
    assert in_child(lambda: settle(place, 0, counter == FAILED, True), "fate.free")
    finish(place)
    assert sum(books(place)[:2]) == 0x10000
