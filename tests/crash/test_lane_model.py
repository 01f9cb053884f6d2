"""The lane as a model: every prefix of its stores, and its two ends' stores interleaved, recover to the right state.

A crash point stands between every two stores, so the file's bytes at each of them are what a kill there leaves. Two
greenlets stand in for the two processes; a schedule says which one takes the next step.
"""

from __future__ import annotations

import gc
import os
import random
from itertools import combinations

import greenlet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorlab.transport import (
    LaneReader,
    LaneWriter,
    arm_crashpoints,
    create_lane,
    lane_reader,
    lane_writer,
    span_of,
)

BLOCKS = 64
SIZES = [5, 700, 30, 4000, 224, 225, 5, 2000]


def payload(number):
    return bytes([number & 255]) * SIZES[number % len(SIZES)]


def check(reader, record):
    _, number, _, _, block, length = record
    assert reader.payload_bytes(block, length) == payload(number)
    return number


@pytest.fixture(autouse=True)
def _what_was_killed_is_unmapped():
    yield
    gc.collect()  # nobody closes what a "killed" end had open


class Hooks:
    """Arms both ends' code for a while with one hook, which the test changes as it goes."""

    def __init__(self):
        self.hook = None

    def __enter__(self):
        self.undo = [arm_crashpoints(module, self) for module in (lane_writer, lane_reader)]
        return self

    def __exit__(self, *_):
        self.hook = None
        for undo in self.undo:
            undo()

    def __call__(self, label):
        if self.hook is not None:
            self.hook(label)


def recovered(path, expected, order):
    """Let both ends recover in `order`; check what survived, what is in use, and that the lane works on."""
    readers, writers = [], []
    recover = {"r": lambda: readers.append(LaneReader(path)), "w": lambda: writers.append(LaneWriter(path))}
    survivors = []
    for end in order:
        recover[end]()
        if end == "r":
            survivors = readers[0].survivors()
    reader, writer = readers[0], writers[0]
    assert [check(reader, record) for record in survivors] == expected
    writer.want_room()  # takes back returned spans
    assert writer.statistics().used == sum(span_of(record[5]) for record in survivors)
    for number in (501, 502, 503, 504):
        assert writer.try_send(1, number, 0, 0, payload(number)) >= 0
    assert [check(reader, record) for record in reader.drain()] == [501, 502, 503, 504]
    reader.close()
    writer.close()


def test_every_prefix_of_the_stores_recovers(tmp_path):
    path, copy = tmp_path / "lane", tmp_path / "copy"
    create_lane(path, BLOCKS)
    accepted, freed = [], set()
    now = {"send": 0, "free": 0}
    snapshots = []

    def hook(label):
        if label.endswith(".published"):
            accepted.append(now["send"])
        if label == "free.after":
            freed.add(now["free"])
        snapshots.append((path.read_bytes(), [number for number in accepted if number not in freed]))

    with Hooks() as hooks:
        hooks.hook = hook
        rng = random.Random(5)
        writer, reader, held = LaneWriter(path), LaneReader(path), []
        for number in range(1, 60):
            now["send"] = number
            writer.try_send(1, number, 0, 0, payload(number))
            if number % 3 == 0:
                held += reader.drain(rng.randrange(1, 6))
            rng.shuffle(held)
            while len(held) > 4 or (held and rng.random() < 0.3):
                record = held.pop()
                now["free"] = check(reader, record)
                reader.free(record[4])
        hooks.hook = None
        writer.close()
        reader.close()
    assert len(snapshots) > 500
    for at, (raw, expected) in enumerate(snapshots):
        copy.write_bytes(raw)
        recovered(copy, expected, ("rw", "wr")[at % 2])


def test_a_recovery_killed_at_any_store_is_done_again_by_the_next(tmp_path):
    path, copy = tmp_path / "lane", tmp_path / "copy"
    create_lane(path, BLOCKS)
    first, second = [], []
    with Hooks() as hooks:
        writer, reader = LaneWriter(path), LaneReader(path)
        for number in range(1, 9):
            writer.try_send(1, number, 0, 0, payload(number))
        for record in reader.drain():
            if record[1] in (1, 3, 6):
                reader.free(record[4])
        expected = [2, 4, 5, 7, 8]
        hooks.hook = lambda label: first.append(path.read_bytes()) if label.startswith("span.") else None
        LaneWriter(path).try_send(1, 9, 0, 0, payload(11))
        first.pop()  # the last one is published: another expectation
        for raw in first:
            for make in (LaneWriter, lambda path: LaneReader(path).survivors()):
                copy.write_bytes(raw)
                hooks.hook = lambda label: second.append(copy.read_bytes())
                make(copy)
                hooks.hook = None
    assert len(second) > 60
    for at, raw in enumerate(second):
        copy.write_bytes(raw)
        recovered(copy, expected, ("rw", "wr")[at % 2])


def test_any_of_the_rest_bytes_may_be_there_when_a_sender_dies(tmp_path):
    """They are stored, and cleared, as one run of bytes whose order nobody promises."""
    path, copy = tmp_path / "lane", tmp_path / "copy"
    create_lane(path, BLOCKS)
    with LaneWriter(path) as writer, LaneReader(path) as reader:
        for number in (1, 3, 9):  # spans of 3, 17 and 3 blocks
            writer.try_send(1, number, 0, 0, payload(number))
        (*_, block, _) = reader.drain()[1]
        at = writer.status_at
        held = path.read_bytes()
        reader.free(block)
        returned = path.read_bytes()
    rest = block + 1
    free = next(i for i in range(BLOCKS) if held[at + i] == 0)
    for pattern in range(64):
        raw = bytearray(returned)  # half cleared by a sender that took the span back
        for bit in range(6):
            if pattern >> bit & 1:
                raw[at + rest + bit] = 0
        copy.write_bytes(raw)
        recovered(copy, [1, 9], "rw")
        raw = bytearray(held)  # half set by a sender that was about to publish one
        for bit in range(6):
            if pattern >> bit & 1:
                raw[at + free + bit] = 3
        copy.write_bytes(raw)
        recovered(copy, [1, 3, 9], "wr")


class Race:
    """A sender and a receiver as greenlets that stop before every store; `run` follows a schedule, then ends.

    `cut` kills both after so many steps. Otherwise each runs to its end.
    """

    def __init__(self, hooks, path, dirty=None):
        self.hooks, self.path = hooks, path
        self.accepted, self.freed, self.delivered = [], [], []
        self.sending = 0
        self.reader = None
        if dirty is None:
            create_lane(path, BLOCKS)
            self.expected_survivors = []
        else:
            path.write_bytes(dirty[0])
            self.expected_survivors = list(dirty[1])
        self.accepted += self.expected_survivors
        self.survivors = None

    def sender(self):
        writer = LaneWriter(self.path)
        for number in (101, 105, 107, 104, 109, 102):
            self.sending = number
            writer.try_send(1, number, 0, 0, payload(number))
        self.writer = writer

    def receiver(self):
        reader = self.reader = LaneReader(self.path)
        records = reader.survivors()
        self.survivors = [check(reader, record) for record in records]
        self.delivered += self.survivors
        for turn in range(6):
            found = reader.drain(2)
            self.delivered += [check(reader, record) for record in found]
            records += found
            if turn % 2 and records:
                record = records.pop(0)
                self.freeing = record[1]
                check(reader, record)
                reader.free(record[4])
        self.held = records

    def hook(self, label):
        if label.endswith(".published"):
            self.accepted.append(self.sending)
        if label == "free.after":
            self.freed.append(self.freeing)
        self.main.switch()

    def run(self, schedule, cut=None):
        self.main = greenlet.getcurrent()
        ends = [greenlet.greenlet(self.sender), greenlet.greenlet(self.receiver)]
        self.hooks.hook = self.hook
        for turn in schedule[:cut]:
            end = ends[turn] if not ends[turn].dead else ends[1 - turn]
            if end.dead:
                break
            end.switch()
        if cut is None:
            for end in ends:
                while not end.dead:
                    end.switch()
        raw = self.path.read_bytes()
        self.hooks.hook = None
        for end in ends:  # no killed process unwinds as these do now; what they do no longer matters
            end.throw()
        return raw

    def settle(self, raw, copy):
        """After a cut: both recover. Everything accepted and not freed is there, in order, whole."""
        copy.write_bytes(raw)
        expected = [number for number in self.accepted if number not in self.freed]
        recovered(copy, expected, "rw" if len(self.delivered) % 2 else "wr")

    def finish(self):
        """After a full run: in order, once, nothing leaked."""
        self.delivered += [check(self.reader, record) for record in self.rest()]
        assert self.delivered == self.accepted
        assert len(set(self.delivered)) == len(self.delivered)
        with LaneWriter(self.path) as writer:
            spans = sum(span_of(len(payload(number))) for number in self.accepted if number not in self.freed)
            assert writer.statistics().used == spans
        self.reader.close()
        self.writer.close()

    def rest(self):
        while records := self.reader.drain():
            yield from records


@pytest.fixture(scope="module")
def dirty(tmp_path_factory):
    """Lanes whose sender was killed inside a span, and whose receiver had freed some: (bytes, expected survivors)."""
    path = tmp_path_factory.mktemp("dirty") / "lane"
    create_lane(path, BLOCKS)
    found = []
    with Hooks() as hooks:
        writer, reader = LaneWriter(path), LaneReader(path)
        for number in range(1, 8):
            writer.try_send(1, number, 0, 0, payload(number))
        for record in reader.drain():
            if record[1] in (1, 2):
                reader.free(record[4])
        hooks.hook = lambda label: found.append((path.read_bytes(), [3, 4, 5, 6, 7]))
        writer.try_send(1, 9, 0, 0, payload(9))  # a span: 700 bytes, three blocks
        writer.try_send(1, 8, 0, 0, payload(8))
        hooks.hook = None
        writer.close()
        reader.close()
    cut = next(at for at, (raw, _) in enumerate(found) if raw[64:72] != found[0][0][64:72])
    return found[:cut]


@pytest.mark.parametrize("clean", [True, False])
def test_all_schedules_of_few_switches_end_right(tmp_path, dirty, clean):
    """Exhaustive: the sender runs i steps, the receiver j, the sender k, then each to its end; and the reverse."""
    runs = 0
    with Hooks() as hooks:
        for first in (0, 1):
            for i, j in combinations(range(0, 60, 2), 2):
                for k in (1, 3, 7):
                    path = tmp_path / "lane"
                    race = Race(hooks, path, None if clean else dirty[(i + j + k) % len(dirty)])
                    race.run([first] * i + [1 - first] * (j - i) + [first] * k + [1 - first] * 200)
                    race.finish()
                    os.unlink(path)
                    runs += 1
    assert runs > 2000


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=5, max_size=140), st.integers(1, 140), st.integers(0, 99))
def test_both_ends_killed_after_any_schedule_recover(tmp_path_factory, dirty, schedule, cut, which):
    folder = tmp_path_factory.mktemp("race")
    with Hooks() as hooks:
        race = Race(hooks, folder / "lane", None if which % 2 else dirty[which % len(dirty)])
        raw = race.run(schedule, cut)
        if race.survivors is not None:
            assert race.survivors == race.expected_survivors + [
                number for number in race.accepted if number in race.survivors and number > 100
            ]
        race.settle(raw, folder / "copy")
