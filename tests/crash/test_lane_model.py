"""The lane as a model: every prefix of its stores, and its two ends' stores interleaved, recover to the right state.

A crash point stands between every two stores, so the file's bytes at each of them are what a kill there leaves. How the
two ends take turns is in lane_race.py.
"""

from __future__ import annotations

import gc
import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_race import BLOCKS, FullRace, Hooks, Race, check, new_lane, payload, schedules

from actorlab.transport import LaneReader, LaneWriter, create_lane, span_of


@pytest.fixture(autouse=True)
def _what_was_killed_is_unmapped():
    yield
    gc.collect()  # nobody closes what a "killed" end had open


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


@pytest.fixture(scope="module")
def lanes(tmp_path_factory):
    """Lanes to begin with, as (bytes, the messages in it), by the crash point at which their sender was killed.

    It was at a span of three blocks, and the receiver had given some back. "new" is a lane that nobody had used.
    """
    path = tmp_path_factory.mktemp("lanes") / "lane"
    found = {"new": (new_lane(path), [])}
    create_lane(path, BLOCKS)
    with Hooks() as hooks:
        writer, reader = LaneWriter(path), LaneReader(path)
        for number in range(1, 6):
            writer.try_send(1, number, 0, 0, payload(number))
        for record in reader.drain():
            if record[1] in (1, 2):
                reader.free(record[4])
        hooks.hook = lambda label: found.setdefault(label, (path.read_bytes(), [3, 4, 5]))
        writer.try_send(1, 9, 0, 0, payload(9))
        hooks.hook = None
        writer.close()
        reader.close()
    del found["span.published"]  # another expectation
    return found


SHORT, LONG = (105, 104, 107, 102), (101, 105, 107, 104, 109, 102)


@pytest.mark.parametrize(
    ("numbers", "switches", "begin"),
    [
        (SHORT, 3, "new"),
        (SHORT, 3, "span.ring"),
        (LONG, 2, "new"),
        (LONG, 2, "reclaim.first"),
        (LONG, 2, "span.first"),
        (LONG, 2, "span.tail"),
    ],
    ids=lambda value: f"{len(value)} messages" if isinstance(value, tuple) else str(value),
)
def test_all_schedules_of_few_switches_end_right(tmp_path, lanes, numbers, switches, begin):
    """Exhaustive: one end runs i steps, the other j, the first k, then each to its end, for all i, j and k there are.

    So the short race; the long one for all i and j.
    """
    path = tmp_path / "lane"

    def run(schedule):
        race = Race(hooks, path, lanes[begin], numbers)
        steps = race.run(schedule)
        race.finish()
        os.unlink(path)
        return steps

    with Hooks() as hooks:
        assert schedules(run, switches) > (6000 if switches == 3 else 1000)


FULL = [5] * 3 + [4000] * 3 + [5] * 13
"""Sizes (bytes) of messages that fill a lane of 64 blocks: three of one block, three of 16, and 13 of one."""


@pytest.mark.parametrize(
    ("filled", "freed", "wanted", "switches"),
    [
        (FULL, 1, [5], None),
        (FULL[3:] + FULL[:3], 1, [4000], None),
        (FULL, 3, [5, 5, 5], 3),
        (FULL, 3, [700], 4),
        (FULL[3:] + FULL[:3], 2, [4000, 700, 5], 4),
    ],
    ids=["a block", "a span", "three blocks", "a span of three that come free one by one", "spans and a block"],
)
def test_a_sender_that_waits_for_room_is_rung_whatever_the_schedule(tmp_path, filled, freed, wanted, switches):
    """Exhaustive: every schedule of the short ones, and all of three or four switches of the longer ones."""
    path = tmp_path / "lane"
    full = new_lane(path, filled)

    def run(schedule):
        race = FullRace(hooks, path, full, freed, wanted)
        steps = race.run(schedule)
        race.finish()
        os.unlink(path)
        return steps

    with Hooks() as hooks:
        assert schedules(run, switches) > 1500


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=5, max_size=140), st.integers(1, 140), st.integers(0, 99))
def test_both_ends_killed_after_any_schedule_recover(tmp_path_factory, lanes, schedule, cut, which):
    folder = tmp_path_factory.mktemp("race")
    with Hooks() as hooks:
        begin = list(lanes.values())[which // 2 % len(lanes) if which % 2 else 0]
        race = Race(hooks, folder / "lane", begin, LONG)
        race.run(schedule, cut)
        if race.survivors is not None:
            assert race.survivors == race.expected_survivors + [
                number for number in race.accepted if number in race.survivors and number > 100
            ]
        # Both recover: everything accepted and not freed is there, in order, whole.
        copy = folder / "copy"
        copy.write_bytes(race.raw)
        expected = [number for number in race.accepted if number not in race.freed]
        recovered(copy, expected, "rw" if len(race.delivered) % 2 else "wr")
