"""Real processes, killed by SIGKILL between any two stores of a lane: nothing accepted is lost, doubled or leaked."""

from __future__ import annotations

import os
import random
import signal

import pytest

from actorlab.transport import (
    MAX_PAYLOAD_BYTES,
    LaneReader,
    LaneWriter,
    arm_crashpoints,
    crashpoint_labels,
    create_lane,
    kill_at,
    lane_reader,
    lane_writer,
    span_of,
)

BLOCKS = 64
SENDER_LABELS = crashpoint_labels(lane_writer)
RECEIVER_LABELS = crashpoint_labels(lane_reader)
PASSES = [1, 2, 5]


def payload(number):
    """Return a payload that says which message it is; every third takes several blocks."""
    return random.Random(number).randbytes(700 + number if number % 3 == 0 else 20)


def send(writer, number):
    return writer.try_send(7, number, number % 5, 0, payload(number))


def whole(reader, record):
    """Return the number of a record whose fields and payload are those that were sent."""
    dest, number, kind, flags, block, length = record
    assert (dest, kind, flags) == (7, number % 5, 0)
    assert reader.payload_bytes(block, length) == payload(number)
    return number


def in_child(work, module=None, label="", n=0):
    """Run `work(say)` in a child that dies at the n-th pass of a label; return the numbers it said, and its end."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            if module is not None:
                arm_crashpoints(module, kill_at(label, n))
            work(lambda number: os.write(write, number.to_bytes(4, "little", signed=True)))
            os._exit(0)
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    numbers = [int.from_bytes(said[at : at + 4], "little", signed=True) for at in range(0, len(said), 4)]
    return numbers, os.waitstatus_to_exitcode(status)


def used(lane):
    """Return how many blocks are in use once the sender took back what the receiver returned."""
    with LaneWriter(lane) as writer:
        return writer.statistics().used


def flows_and_empties(lane, reader, first):
    """Check that a next sender's messages arrive, through several turns of the blocks, and that nothing leaked."""
    with LaneWriter(lane) as writer:
        for number in range(first, first + 200):
            assert send(writer, number) >= 0
            (record,) = reader.drain()
            assert whole(reader, record) == number
            reader.free(record[4])
    assert used(lane) == 0


@pytest.fixture
def lane(tmp_path):
    create_lane(tmp_path / "lane", BLOCKS)
    return tmp_path / "lane"


def leave_a_mess(lane):
    """Leave what senders killed before left: returned spans, REST bytes without a head, an unpublished span."""
    with LaneReader(lane) as reader:
        with LaneWriter(lane) as writer:
            for number in (3, 4, 6, 7, 9):
                assert send(writer, number) >= 0
        for record in reader.drain():
            if record[1] != 7:
                reader.free(record[4])

    def die(say):
        with LaneWriter(lane) as writer:
            send(writer, 12)

    assert in_child(die, lane_writer, "span.first", 1)[1] == -signal.SIGKILL


@pytest.mark.parametrize("n", PASSES)
@pytest.mark.parametrize("label", SENDER_LABELS)
def test_a_sender_killed_anywhere_loses_doubles_and_leaks_nothing(lane, label, n):
    leave_a_mess(lane)  # one message (7) is held; the rest is rubbish to clear
    with LaneReader(lane) as reader:

        def work(say):
            mine = LaneReader(lane)  # in this process, so that spans come back while it sends
            writer = LaneWriter(lane)
            for number in range(100, 140):
                accepted = send(writer, number) >= 0
                assert accepted
                say(number)
                if number < 120:  # the first twenty go at once, the rest stays for the survivor
                    (record,) = mine.drain()
                    say(-number)
                    mine.free(record[4])
                    if number % 4 == 0:
                        assert not writer.want_room(MAX_PAYLOAD_BYTES)

        said, ended = in_child(work, lane_writer, label, n)
        assert ended in (0, -signal.SIGKILL), ended
        accepted = {7} | {number for number in said if number > 0}
        done = {-number for number in said if number < 0}
        found = [whole(reader, record) for record in reader.survivors()]
        assert found == sorted(found)
        # killed between the tail and the word of it: accepted, and its sender never knew
        unsaid = set(found) - accepted
        assert len(unsaid) <= label.endswith(".published")
        assert set(found) - unsaid == accepted - done
        with LaneReader(lane) as heir:
            records = heir.survivors()
            assert used(lane) == sum(span_of(record[5]) for record in records)
            for record in records:
                heir.free(record[4])
            flows_and_empties(lane, heir, 1000)


def test_every_crash_point_of_the_sender_is_passed(lane):
    leave_a_mess(lane)
    passed = set()
    undo = arm_crashpoints(lane_writer, passed.add)
    try:
        with LaneWriter(lane) as writer, LaneReader(lane) as reader:
            for number in range(1, 7):
                send(writer, number)
            for record in reader.survivors():
                reader.free(record[4])
            assert writer.want_room(300)
            send(writer, 7)
            assert not writer.want_room(MAX_PAYLOAD_BYTES)
    finally:
        undo()
    assert passed >= set(SENDER_LABELS) - {"recover.free"}


@pytest.mark.parametrize(
    ("label", "n", "wanted", "waits", "sent_bytes"),
    [
        ("want.mark", 1, False, 0, 0),
        ("want.marked", 1, True, 0, 0),
        ("waits.count", 1, True, 0, 0),
        ("waits.counted", 1, True, 1, 0),
        ("bytes.count", 2, True, 1, 0),
        ("bytes.counted", 2, True, 1, 40),
    ],
)
def test_what_a_killed_sender_marked_and_counted_is_there_and_the_next_goes_on_from_it(
    lane, label, n, wanted, waits, sent_bytes
):
    def work(say):
        with LaneWriter(lane) as writer:  # it counts bytes at its first send, and as it closes
            assert [send(writer, number) for number in (1, 2)] == [0, 1]
            assert not writer.want_room(MAX_PAYLOAD_BYTES)

    assert in_child(work, lane_writer, label, n)[1] == -signal.SIGKILL
    with LaneWriter(lane) as heir, LaneReader(lane) as reader:
        found = heir.statistics()
        assert (found.wanted, found.waits, found.sent_bytes) == (wanted, waits, sent_bytes)
        assert reader.take_want() == wanted  # it rings a bell that nobody waits for, and that is all
        assert send(heir, 4) == 2 and not heir.want_room(MAX_PAYLOAD_BYTES)
        assert reader.take_want() and heir.statistics().waits == waits + 1
    with LaneReader(lane) as reader:
        assert [whole(reader, record) for record in reader.survivors()] == [1, 2, 4]
        assert reader.statistics().sent_bytes == sent_bytes + 20


@pytest.mark.parametrize("n", PASSES)
@pytest.mark.parametrize("label", RECEIVER_LABELS)
def test_a_receiver_killed_anywhere_leaves_all_it_had_not_freed(lane, label, n):
    with LaneWriter(lane) as writer:
        sent = list(range(1, 13))
        for number in sent:
            assert send(writer, number) >= 0

        def work(say):
            reader = LaneReader(lane)
            records = reader.survivors()  # as a replacement does
            held = records[::2]
            for record in records[1::2]:
                say(record[1])
                reader.free(record[4])
                say(-record[1])
            reader.take_want()
            for record in held[:2]:
                say(record[1])
                reader.free(record[4])
                say(-record[1])
            LaneWriter(lane).want_room()
            reader.take_want()
            with LaneWriter(lane) as other:
                for number in (101, 102, 103, 104, 105):
                    send(other, number)
                while reader.drain(1):
                    pass

        said, ended = in_child(work, lane_reader, label, n)
        assert ended in (0, -signal.SIGKILL), ended
        begun, done = {number for number in said if number > 0}, {-number for number in said if number < 0}
        with LaneReader(lane) as heir:
            records = heir.survivors()
            numbers = [whole(heir, record) for record in records]
            assert numbers == sorted(set(numbers))
            gone = set(sent) - set(numbers)
            assert done <= gone <= begun
            if label == "free.before":
                assert gone == done
            if label == "free.after" and begun != done:
                assert gone == begun
            for record in records:
                heir.free(record[4])
            flows_and_empties(lane, heir, 1000)


def test_sender_and_receiver_killed_at_once_by_turns_keep_the_order(lane):
    """A hundred incarnations of both ends, killed at random points; every accepted message is seen until freed."""
    rng = random.Random(11)
    accepted, freed, number = [], set(), 1
    for _ in range(100):
        first, label_s, label_r = number, rng.choice(SENDER_LABELS), rng.choice(RECEIVER_LABELS)

        def sender(say, first=first):
            writer = LaneWriter(lane)
            for one in range(first, first + 8):
                if send(writer, one) >= 0:
                    say(one)

        said, _ = in_child(sender, lane_writer, label_s, rng.randrange(1, 9))
        number += 8
        budget = rng.randrange(12)

        def receiver(say, budget=budget):
            reader = LaneReader(lane)
            for record in reader.survivors()[:budget]:
                whole(reader, record)
                say(record[1])
                reader.free(record[4])
                say(-record[1])

        took, _ = in_child(receiver, lane_reader, label_r, rng.randrange(1, 9))
        begun, done = {one for one in took if one > 0}, {-one for one in took if one < 0}
        assert not freed & begun, "delivered twice"
        with LaneReader(lane) as reader:
            left = [whole(reader, record) for record in reader.survivors()]
        unsaid = (set(left) | begun) - set(accepted) - set(said)
        assert len(unsaid) <= 1
        accepted = sorted({*accepted, *said, *unsaid})
        gone = set(accepted) - freed - set(left)
        assert done <= gone <= begun
        assert left == sorted(left)
        freed |= gone
    assert len(freed) > 100
