"""A lane delivers in order, whole and once; says when it is full; and its counts add up."""

from __future__ import annotations

import gc
import os
import random
import signal
import struct
import threading
from collections import deque

import pytest

from actorlab.errors import SegmentCorrupt, SharedMemoryFull
from actorlab.memory import Segment
from actorlab.transport import (
    MAX_PAYLOAD_BYTES,
    LaneReader,
    LaneView,
    LaneWriter,
    arm_crashpoints,
    create_lane,
    lane_writer,
    span_of,
)

BLOCKS = 64


class Destination:
    __slots__ = ("out",)

    def __init__(self):
        self.out = 0


@pytest.fixture
def lane(tmp_path):
    create_lane(tmp_path / "lane", BLOCKS)
    return tmp_path / "lane"


@pytest.fixture
def ends(lane):
    with LaneWriter(lane) as writer, LaneReader(lane) as reader:
        yield writer, reader


def test_a_message_arrives_with_everything_it_was_sent_with(ends):
    writer, reader = ends
    block = writer.try_send(2**64 - 1, 2**64 - 2, 255, 254, b"hello")
    assert reader.drain() == [(2**64 - 1, 2**64 - 2, 255, 254, block, 5)]
    assert reader.payload_bytes(block, 5) == b"hello"
    with reader.payload(block, 5) as view:
        assert bytes(view) == b"hello"


@pytest.mark.parametrize("size", [0, 1, 223, 224, 225, 479, 480, 481, 5000, MAX_PAYLOAD_BYTES])
def test_payloads_of_every_span_arrive_whole(ends, size):
    writer, reader = ends
    sent = random.Random(size).randbytes(size)
    assert writer.try_send(1, 0, 0, 0, sent) >= 0
    ((*_, block, length),) = reader.drain()
    assert reader.payload_bytes(block, length) == sent
    assert reader.statistics().used == span_of(size)
    reader.free(block)
    writer.want_room()
    assert reader.statistics().used == 0


def test_a_payload_above_the_most_is_refused_and_nothing_is_sent(ends):
    writer, reader = ends
    with pytest.raises(ValueError, match="spill"):
        writer.try_send(1, 0, 0, 0, bytes(MAX_PAYLOAD_BYTES + 1))
    assert reader.drain() == []


def test_messages_arrive_in_order_over_many_turns_of_the_ring(ends):
    writer, reader = ends
    rng, waiting, sent = random.Random(7), deque(), 0
    received = []
    while len(received) < 2000:
        size = rng.choice([10, 10, 10, 100, 300, 3000])
        if writer.try_send(1, sent, 0, 0, bytes([sent & 255]) * size) >= 0:
            sent += 1
        if rng.random() < 0.4:
            waiting += reader.drain(rng.randrange(1, 9))
        for _ in range(min(len(waiting), rng.randrange(4))):
            rng.shuffle(waiting)  # actors finish in any order
            _, number, _, _, block, length = waiting.popleft()
            assert reader.payload_bytes(block, length) == bytes([number & 255]) * length
            reader.free(block)
            received.append(number)
    rest = [record[1] for record in waiting] + [record[1] for record in iter_drain(reader)]
    assert sorted(received + rest) == list(range(sent))


def iter_drain(reader):
    while records := reader.drain(5):
        yield from records


def test_drain_takes_at_most_its_limit_and_goes_on_where_it_stopped(ends):
    writer, reader = ends
    for number in range(10):
        writer.try_send(1, number, 0, 0, b"")
    assert [len(reader.drain(4)) for _ in range(4)] == [4, 4, 2, 0]
    assert not reader.ready


def test_a_held_message_holds_up_nobody(ends):
    writer, reader = ends
    writer.try_send(1, 0, 0, 0, b"slow actor's")
    ((*_, held, length),) = reader.drain()
    for number in range(10 * BLOCKS):
        assert writer.try_send(2, number, 0, 0, b"quick") != held
        ((_, corr, _, _, block, _),) = reader.drain()
        assert corr == number
        reader.free(block)
    assert reader.payload_bytes(held, length) == b"slow actor's"


def test_a_full_lane_says_so_and_takes_again_what_was_freed(ends):
    writer, reader = ends
    for _ in range(BLOCKS):
        assert writer.try_send(1, 0, 0, 0, b"x") >= 0
    assert writer.try_send(1, 0, 0, 0, b"x") == -1
    assert writer.try_send(1, 0, 0, 0, b"x" * 300) == -1
    reader.free(reader.drain()[17][4])
    assert writer.try_send(1, 0, 0, 0, b"x" * 300) == -1
    assert writer.try_send(1, 0, 0, 0, b"x") >= 0
    assert writer.try_send(1, 0, 0, 0, b"x") == -1
    assert reader.statistics().waits == 4


def test_a_lane_is_crowded_from_the_first_block_on_that_leaves_less_than_half_free(ends):
    writer, reader = ends
    for used in range(BLOCKS):
        assert writer.is_crowded() == (BLOCKS - used < BLOCKS // 2)
        writer.try_send(1, 0, 0, 0, b"x")
    for used, record in enumerate(reader.drain()):  # the low blocks come free first, the upper half is in use
        assert writer.is_crowded() == (used < BLOCKS // 2)
        reader.free(record[4])
    assert not writer.is_crowded()


def test_whoever_waits_for_room_is_rung_after_a_free(ends):
    writer, reader = ends
    for _ in range(BLOCKS):
        writer.try_send(1, 0, 0, 0, b"x")
    assert not writer.want_room()
    assert reader.statistics().wanted
    assert not writer.want_room(300)
    reader.free(reader.drain()[0][4])
    assert reader.take_want()
    assert not reader.take_want()
    assert writer.want_room()  # room came before it slept
    assert not writer.want_room(300)


def test_a_destinations_count_is_what_the_receiver_has_not_freed(ends):
    writer, reader = ends
    a, b = Destination(), Destination()
    for number in range(30):
        writer.try_send(1, number, 0, 0, b"x" * (300 if number % 10 == 0 else 3), (a, b, None)[number % 3])
    assert (a.out, b.out) == (10, 10)
    for _, corr, _, _, block, _ in reader.drain(15):
        if corr % 3 == 0:
            reader.free(block)
    writer.recount()
    assert (a.out, b.out) == (5, 10)
    writer.recount()
    assert (a.out, b.out) == (5, 10)


def test_a_destinations_count_comes_down_as_its_blocks_are_used_again(ends):
    writer, reader = ends
    a, b = Destination(), Destination()
    rng = random.Random(3)
    for _ in range(50):
        for sink in (a, b, None):
            for _ in range(rng.randrange(12)):
                writer.try_send(1, 0, 0, 0, b"x" * rng.choice([5, 600]), sink)
        for *_, block, _ in reader.drain():
            reader.free(block)
        assert a.out >= 0
        assert b.out >= 0
    writer.recount()
    assert (a.out, b.out) == (0, 0)


def test_bad_arguments_leave_the_lane_as_it_was(ends):
    writer, reader = ends
    sink = Destination()
    writer.try_send(1, 0, 0, 0, b"first", sink)
    for dest, payload in [(-1, b"x"), (-1, b"x" * 300), (2**64, b"x")]:
        with pytest.raises((struct.error, OverflowError)):
            writer.try_send(dest, 0, 0, 0, payload, sink)
    assert (sink.out, reader.statistics().used, reader.statistics().sent) == (1, 1, 1)
    for _ in range(BLOCKS - 1):
        assert writer.try_send(1, 0, 0, 0, b"more", sink) >= 0
    assert len(reader.drain()) == BLOCKS


def test_threads_of_one_process_may_send_at_once(lane):
    with LaneWriter(lane) as writer, LaneReader(lane) as reader:
        stop = threading.Barrier(4)

        def send(who):
            stop.wait()
            number = 0
            while number < 500:
                number += writer.try_send(who, number, 0, 0, b"x" * (who * 200)) >= 0

        threads = [threading.Thread(target=send, args=(who,)) for who in range(3)]
        for thread in threads:
            thread.start()
        stop.wait()
        seen = {0: [], 1: [], 2: []}
        while sum(map(len, seen.values())) < 1500:
            for dest, corr, _, _, block, length in reader.drain():
                assert length == dest * 200
                seen[dest].append(corr)
                reader.free(block)
        for thread in threads:
            thread.join()
        assert all(numbers == list(range(500)) for numbers in seen.values())


def test_an_interrupt_in_the_middle_of_a_send_leaves_a_lane_that_works(lane):
    """Ctrl-C lands at any point of a loop of sends; the lock must not stay taken, nor a block be lost."""

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with LaneWriter(lane) as writer, LaneReader(lane) as reader:
            interrupts = 0
            for turn in range(300):
                sink = Destination()
                try:
                    signal.setitimer(signal.ITIMER_REAL, 20e-6 + (turn % 100) * 1e-6)
                    while True:
                        writer.try_send(1, turn, 0, 0, b"x" * (500 if turn % 3 == 0 else 5), sink)
                except KeyboardInterrupt:
                    interrupts += 1
                records = []
                while found := reader.drain():
                    records += found
                used = sum(span_of(record[5]) for record in records)
                writer.recount()
                assert (reader.statistics().used, sink.out) == (used, len(records))
                for record in records:
                    reader.free(record[4])
                done = []
                helper = threading.Thread(target=lambda done=done: done.append(writer.try_send(1, 0, 0, 0, b"")))
                helper.start()
                helper.join(30)
                assert done and done[0] >= 0, "the lock stayed taken"
                reader.free(reader.drain()[0][4])
            assert interrupts == 300
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(("size", "label"), [(5, "send.published"), (500, "span.published")])
def test_what_an_interrupt_finds_published_is_told_all_the_same(lane, size, label):
    told = []

    def interrupt(passed):
        if passed == label:
            raise KeyboardInterrupt

    undo = arm_crashpoints(lane_writer, interrupt)
    try:
        with LaneWriter(lane, 0, b"\0", 0, lambda: told.append(1)) as writer, LaneReader(lane) as reader:
            with pytest.raises(KeyboardInterrupt):
                writer.try_send(1, 7, 0, 0, bytes(size))
            assert [record[1] for record in reader.drain()] == [7]
            assert told
    finally:
        undo()


@pytest.mark.parametrize("size", [5, 500])
def test_an_interrupt_before_anything_was_told_is_made_up_for(lane, size):
    calls = []

    def wake():
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt  # it came at the first line of what tells the receiver

    with LaneWriter(lane, 0, b"\0", 0, wake) as writer, LaneReader(lane) as reader:
        with pytest.raises(KeyboardInterrupt):
            writer.try_send(1, 7, 0, 0, bytes(size))
        assert len(calls) == 2
        assert [record[1] for record in reader.drain()] == [7]
        assert writer.try_send(1, 8, 0, 0, bytes(size)) >= 0


def test_a_send_from_a_signal_handler_inside_a_send_is_refused_not_stuck(lane):
    with LaneWriter(lane) as writer, LaneReader(lane) as reader:
        inner = []

        class Payload(bytes):
            def __len__(self):  # runs while no lock is held: the usual case
                return super().__len__()

        class Noisy:
            """A sink whose counting runs user code in the middle of a send, as a signal handler would."""

            def __init__(self):
                self._out = 0

            @property
            def out(self):
                inner.append((writer.try_send(9, 9, 0, 0, b"x"), writer.try_send(9, 9, 0, 0, b"x" * 300)))
                return self._out

            @out.setter
            def out(self, value):
                self._out = value

        assert writer.try_send(1, 1, 0, 0, Payload(b"outer"), Noisy()) >= 0
        assert inner == [(-1, -1)]
        assert [record[0] for record in reader.drain()] == [1]


@pytest.mark.parametrize(
    "look",
    [
        lambda writer: writer.try_send(1, 100, 0, 0, b"outer"),
        lambda writer: writer.try_send(1, 100, 0, 0, b"o" * 300),
        lambda writer: writer.want_room(),
        lambda writer: writer.is_crowded(),
    ],
    ids=["a send", "a send of several blocks", "a look for room", "a look at how much is free"],
)
def test_what_is_sent_while_a_look_for_free_blocks_is_interrupted_costs_no_message(ends, look):
    """A signal handler, or a finalizer, may send in the middle of it: it is refused, or what it sent stands."""
    writer, reader = ends
    for _ in range(2):
        writer.try_send(1, 0, 0, 0, bytes(10 * 256 - 32))
    corr = 0
    while writer.try_send(1, corr + 1, 0, 0, b"mail") >= 0:
        corr += 1
    for record in reader.drain(2):
        reader.free(record[4])
    reader.drain()
    interrupts, accepted = [], []

    def interrupt(label):
        if label == "reclaim.done" and not interrupts:
            interrupts.append(label)
            accepted.extend(corr for corr in range(1000, 1020) if writer.try_send(1, corr, 0, 0, b"inner") >= 0)

    undo = arm_crashpoints(lane_writer, interrupt)
    try:
        outcome = look(writer)
    finally:
        undo()
    assert interrupts
    if type(outcome) is int and outcome >= 0:
        accepted.append(100)
    assert [record[1] for record in reader.drain()] == accepted
    assert {record[1] for record in reader.survivors()} == {*range(1, corr + 1), *accepted}
    assert writer.try_send(1, 2000, 0, 0, b"the lane is not busy") >= 0 or not writer.want_room()


def test_statistics_add_up_and_anyone_may_read_them(ends, lane):
    writer, reader = ends
    for size in (10, 20, 300):
        writer.try_send(1, 0, 0, 0, bytes(size))
    reader.free(reader.drain(2)[0][4])
    with LaneView(lane) as view:
        found = view.statistics()
        assert found == writer.statistics() == reader.statistics()
        assert (found.blocks, found.sent, found.drained, found.depth, found.used) == (BLOCKS, 3, 2, 1, 3)
        assert not found.wanted
    writer.close()
    assert reader.statistics().sent_bytes == 330


@pytest.mark.parametrize("blocks", [0, 63, 65, 65536, 32])
def test_a_lane_has_a_power_of_two_of_blocks(tmp_path, blocks):
    with pytest.raises(ValueError, match="power of two"):
        create_lane(tmp_path / "odd", blocks)
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_no_lane_is_refused(tmp_path, lane):
    Segment.create(tmp_path / "other", 4096, header=b"something else").close()
    for end in (LaneWriter, LaneReader, LaneView):
        with pytest.raises(SegmentCorrupt, match="starts with"):
            end(tmp_path / "other")
    os.truncate(lane, 8192)
    with pytest.raises(SegmentCorrupt, match="do not make a file"):
        LaneView(lane)
    gc.collect()


def test_a_lane_that_does_not_fit_is_refused_whole(tmp_path, monkeypatch):
    def no_room(fd, offset, length):
        raise OSError(28, "no space")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(SharedMemoryFull, match="a lane of 4096 blocks"):
        create_lane(tmp_path / "lane")
    assert os.listdir(tmp_path) == []
