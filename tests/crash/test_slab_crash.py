"""Real processes, killed by SIGKILL between any two stores of the slabs: no message torn, none lost, no slab leaked."""

from __future__ import annotations

import mmap
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from actorlab.transport import (
    LaneReader,
    LaneView,
    LaneWriter,
    arm_crashpoints,
    crashpoint_labels,
    create_lane,
    kill_at,
    lane_path,
    slab_borrower,
    slab_file,
    slab_lender,
    slab_usage,
    wire,
)
from actorlab.transport.slab_lender import IDLE_S
from actorlab.transport.spill import Spill
from actorlab.transport.spill_layout import SPILLED

KIB, MIB = 1 << 10, 1 << 20
SENDER, RECEIVER = 1, 2
PASSES = [1, 2, 5]
FILE = crashpoint_labels(slab_file)
LENDING = [label for label in crashpoint_labels(slab_lender) if label.startswith("lend.")] + FILE
ADOPTING = ["adopt.free", "adopt.unlink", "adopt.unlinked"]
ADOPTING += [label for label in FILE if label.startswith(("slab.", "shrink."))]
OWING = [label for label in crashpoint_labels(slab_borrower) if label.startswith("owed.")]
BORROWING = [label for label in crashpoint_labels(slab_borrower) if label not in OWING]


class Place:
    """A directory with a lane from slot 1 to slot 2, and the epochs of both where every process sees them."""

    slab_bytes = 32 * MIB

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lane = lane_path(directory, SENDER, RECEIVER)
        if not self.lane.exists():
            create_lane(self.lane, 64)
        self.shared = mmap.mmap(-1, mmap.PAGESIZE)
        self.epochs = memoryview(self.shared).cast("I")
        self.epochs[SENDER] = self.epochs[RECEIVER] = 1

    def spill(self, slot: int) -> Spill:
        epochs = self.epochs
        return Spill(self.directory, slot, epochs[slot], 64 * MIB, self.slab_bytes, lambda slot: epochs[slot])

    def in_lane(self) -> set[bytes]:
        with LaneView(self.lane) as lane:
            return set(lane.payloads(SPILLED))

    def files(self) -> list[str]:
        return [name for name in os.listdir(self.directory) if name.startswith(("slabs", "spill"))]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def send(spill: Spill, lane: LaneWriter, number: int) -> bool:
    """Send an array that says which message it is in every byte; False: the lane is full."""
    size = (60 * KIB, 300 * KIB, MIB, 100 * KIB)[number % 4]
    large = wire.encode(np.full(size, number % 251, np.uint8), "m", 100)
    assert isinstance(large, wire.Large)
    token = spill.write(large.pieces, large.buffers, to=RECEIVER)
    if lane.try_send(7, number, 1, SPILLED, token) < 0:
        spill.discard(token)
        return False
    return True


def take(spill: Spill, token: bytes, number: int, keep: bool = False) -> Any:
    """Read a message and look at every byte of it."""
    array = spill.read(token, keep)
    assert array.min() == array.max() == number % 251
    return array


def fork(work: Callable[[Callable[[int], object]], object], modules: tuple[ModuleType, ...] = (), label: str = "",
         n: int = 0) -> tuple[int, int]:  # fmt: skip
    """Run `work(say)` in a child that dies at the n-th pass of a label; return its pid and where it says numbers."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            for module in modules:
                arm_crashpoints(module, kill_at(label, n))
            work(lambda number: os.write(write, number.to_bytes(4, "little")))
            os._exit(0)
        finally:
            os._exit(1)
    os.close(write)
    return pid, read


def end_of(child: tuple[int, int]) -> tuple[list[int], int]:
    """Return what a child said until its end, and its exit code."""
    pid, read = child
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    numbers = [int.from_bytes(said[at : at + 4], "little") for at in range(0, len(said), 4)]
    return numbers, os.waitstatus_to_exitcode(status)


def records(reader: LaneReader, found: list[Any]) -> Iterator[tuple[int, int, bytes]]:
    """Yield block, number and token of each."""
    for _dest, number, _kind, _flags, block, length in found:
        yield block, number, reader.payload_bytes(block, length)


def settle(place: Place, look: Callable[..., Any] = take) -> list[int]:
    """Be the next sender and the next receiver; return the numbers that arrive. Afterwards nothing may be left."""
    place.epochs[SENDER] += 1
    place.epochs[RECEIVER] += 1
    sender, receiver = place.spill(SENDER), place.spill(RECEIVER)
    sender.sweep(place.in_lane())
    numbers = []
    with LaneReader(place.lane) as reader:
        for block, number, token in records(reader, reader.survivors()):
            look(receiver, token, number)
            numbers.append(number)
            reader.free(block)
    sender.rest(time.monotonic())
    assert place.files() == []
    sender.close()
    receiver.close()
    return numbers


def sender_process(place: Place, say: Callable[[int], object]) -> Spill:
    spill = place.spill(SENDER)
    with LaneWriter(place.lane) as lane:
        for number in range(12):
            assert send(spill, lane, number)
            say(number)
            if number == 7:  # nothing was given back, so what can go are the pages of slabs never sent
                unsent = [spill.write(bytes(size), to=RECEIVER) for size in (40 * KIB, 90 * KIB, 500 * KIB) * 2]
                for token in unsent:
                    spill.discard(token)
                spill.rest(time.monotonic() + 2 * IDLE_S)
    return spill


@pytest.mark.parametrize("n", PASSES)
@pytest.mark.parametrize("label", LENDING)
def test_a_sender_killed_at_any_store_leaves_whole_messages_and_no_slab(place: Place, label: str, n: int) -> None:
    said, code = end_of(fork(lambda say: sender_process(place, say), (slab_lender, slab_file), label, n))
    assert code == -signal.SIGKILL
    arrived = settle(place)
    assert arrived == list(range(len(arrived)))
    assert len(said) <= len(arrived) <= len(said) + 1


@pytest.mark.parametrize("n", PASSES)
@pytest.mark.parametrize("label", ADOPTING)
def test_a_successor_killed_while_it_clears_up_leaves_the_rest_to_the_next(place: Place, label: str, n: int) -> None:
    def leave(say: Callable[[int], object]) -> None:
        spill = sender_process(place, say)
        for size in (40 * KIB, 90 * KIB, 500 * KIB) * 2:
            spill.write(bytes(size), to=RECEIVER)
        os.kill(os.getpid(), signal.SIGKILL)

    def clear(say: Callable[[int], object]) -> None:
        spill = place.spill(SENDER)
        spill.sweep(place.in_lane())
        receiver = place.spill(RECEIVER)
        with LaneReader(place.lane) as reader:
            for block, number, token in records(reader, reader.survivors()):
                take(receiver, token, number)
                say(number)
                reader.free(block)
        spill.rest(time.monotonic())

    said, _ = end_of(fork(leave))
    assert len(said) == 12
    place.epochs[SENDER] += 1
    taken, code = end_of(fork(clear, (slab_lender, slab_file), label, n))
    assert code == -signal.SIGKILL or (label[:12], code) == ("adopt.unlink", 0)  # there is one file to unlink
    assert sorted(taken + settle(place)) == list(range(12))


@pytest.mark.parametrize("n", PASSES)
@pytest.mark.parametrize("label", BORROWING)
def test_a_receiver_killed_at_any_store_loses_only_what_it_had_in_hand(place: Place, label: str, n: int) -> None:
    def receive(say: Callable[[int], object]) -> None:
        spill, kept = place.spill(RECEIVER), []
        with LaneReader(place.lane) as reader:
            for block, number, token in records(reader, reader.drain()):
                if number % 3 == 0:
                    spill.discard(token)
                else:
                    array = take(spill, token, number, keep=number % 3 == 1)
                    if number % 2:
                        kept.append(array[5:50])
                    del array
                say(number)
                reader.free(block)
                if number % 3 == 1:
                    spill.discard(token)
                del kept[:-2]

    sender = place.spill(SENDER)
    with LaneWriter(place.lane) as lane:
        for number in range(24):
            assert send(sender, lane, number)
        said, code = end_of(fork(receive, (slab_borrower,), label, n))
        assert code == -signal.SIGKILL
        place.epochs[RECEIVER] += 1
        receiver = place.spill(RECEIVER)
        with LaneReader(place.lane) as reader:
            left = list(records(reader, reader.survivors()))
            block, first, token = left.pop(0)
            assert first in (len(said), len(said) - 1)
            receiver.discard(token)  # it was in hand, whatever had become of it
            reader.free(block)
            for block, number, token in left:
                take(receiver, token, number)
                reader.free(block)
            assert [number for _, number, _ in left] == list(range(first + 1, 24))
        sender.rest(time.monotonic())
        slabs = sender.statistics().slabs
        assert (slabs.lent, slabs.held) == (0, 0)
    sender.close()
    receiver.close()


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("label", OWING)
def test_a_receiver_killed_while_it_gives_back_what_its_children_held_leaves_it_to_the_sender(
    place: Place, label: str, n: int
) -> None:
    def receive(say: Callable[[int], object]) -> None:
        spill, kept = place.spill(RECEIVER), []
        with LaneReader(place.lane) as reader:
            for block, number, token in records(reader, reader.drain()):
                kept.append(take(spill, token, number))
                reader.free(block)
        hold, go = os.pipe()
        child = os.fork()  # it has the same memory in sight
        if child == 0:
            os.close(go)
            os.read(hold, 1)
            os._exit(0)
        kept.clear()
        spill.rest(time.monotonic())  # the child lives: nothing is given back
        say(slab_usage(place.directory)[0].held)
        os.close(go)
        os.waitpid(child, 0)
        spill.rest(time.monotonic())

    sender = place.spill(SENDER)
    with LaneWriter(place.lane) as lane:
        for number in range(3):
            assert send(sender, lane, number)
    said, code = end_of(fork(receive, (slab_borrower,), label, n))
    assert code == -signal.SIGKILL
    given = n - (label == "owed.back")
    assert (said, slab_usage(place.directory)[0].held) == ([3], 3 - given)
    place.epochs[RECEIVER] += 1
    sender.rest(time.monotonic())
    slabs = sender.statistics().slabs
    assert (slabs.lent, slabs.held, slabs.recovered) == (0, 0, 3 - given)
    sender.close()


def test_a_sender_killed_while_it_takes_from_the_dead_leaves_it_to_its_successor(place: Place) -> None:
    def hold_and_die(say: Callable[[int], object]) -> None:
        spill = place.spill(RECEIVER)
        with LaneReader(place.lane) as reader:
            arrays = []
            for block, number, token in records(reader, reader.drain()):
                arrays.append(take(spill, token, number))
                reader.free(block)
            os.kill(os.getpid(), signal.SIGKILL)

    def lend_and_die(say: Callable[[int], object]) -> None:
        spill = place.spill(SENDER)
        with LaneWriter(place.lane) as lane:
            for number in range(6):
                send(spill, lane, number)
            end_of(fork(hold_and_die))
            place.epochs[RECEIVER] += 1
            spill.rest(time.monotonic())

    _, code = end_of(fork(lend_and_die, (slab_lender,), "dead.free", 3))
    assert code == -signal.SIGKILL
    assert slab_usage(place.directory)[0].held == 4
    assert settle(place) == []


def test_processes_killed_at_random_never_show_a_torn_message_and_leave_nothing(place: Place) -> None:
    chance = random.Random(7)

    def stream(say: Callable[[int], object]) -> None:
        spill = place.spill(SENDER)
        spill.sweep(place.in_lane())
        number = 0
        with LaneWriter(place.lane) as lane:
            while True:
                if send(spill, lane, number):
                    number += 1
                    say(number)
                spill.rest(time.monotonic())

    def receive(say: Callable[[int], object]) -> None:
        spill = place.spill(RECEIVER)
        kept: list[Any] = []
        with LaneReader(place.lane) as reader:
            found = list(records(reader, reader.survivors()))
            for block, _number, token in found[:1]:
                spill.discard(token)
                reader.free(block)
            found = found[1:]
            count = 0
            while True:
                for block, number, token in found:
                    kept.append((number, take(spill, token, number)))
                    reader.free(block)
                    if len(kept) > 5:
                        old, array = kept.pop(random.Random(count).randrange(len(kept)))
                        assert array.min() == array.max() == old % 251
                        del array
                    count += 1
                    say(count)
                found = list(records(reader, reader.drain(8)))

    works = {SENDER: stream, RECEIVER: receive}
    running = {slot: fork(work) for slot, work in works.items()}
    try:
        for _ in range(24):
            slot = chance.choice((SENDER, RECEIVER))
            pid, pipe = running[slot]
            for _ in range(chance.randrange(1, 60)):
                assert os.read(pipe, 4), "it has ended by itself"
            os.kill(pid, signal.SIGKILL)
            del running[slot]
            assert end_of((pid, pipe))[1] == -signal.SIGKILL
            place.epochs[slot] += 1
            running[slot] = fork(works[slot])
    finally:
        for pid, _ in running.values():
            os.kill(pid, signal.SIGKILL)
        codes = [end_of(child)[1] for child in running.values()]
    assert codes == [-signal.SIGKILL] * 2
    settle_after_all(place)


def settle_after_all(place: Place, look: Callable[..., Any] = take) -> None:
    """Be the next sender and receiver; one message may have been in hand."""
    place.epochs[SENDER] += 1
    place.epochs[RECEIVER] += 1
    sender, receiver = place.spill(SENDER), place.spill(RECEIVER)
    sender.sweep(place.in_lane())
    with LaneReader(place.lane) as reader:
        for i, (block, number, token) in enumerate(records(reader, reader.survivors())):
            if i == 0:
                receiver.discard(token)
            else:
                look(receiver, token, number)
            reader.free(block)
    sender.rest(time.monotonic())
    assert place.files() == []
    sender.close()
    receiver.close()
