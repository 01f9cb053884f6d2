"""Slabs: shared memory lent to one large message after another, given back with the last view, and never too soon."""

from __future__ import annotations

import errno
import gc
import os
import pickle
import resource
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from actorlab.errors import SegmentCorrupt, SegmentGone, SharedMemoryError, SharedMemoryFull
from actorlab.transport import LaneReader, LaneWriter, create_lane, lane_path, slab_usage, wire
from actorlab.transport.slab_layout import lay_out_slabs
from actorlab.transport.slab_lender import IDLE_S
from actorlab.transport.spill import Spill
from actorlab.transport.spill_layout import SPILLED, parse_token

KIB, MIB = 1 << 10, 1 << 20
BUDGET = 64 * MIB
SMALL_BUDGET = 16 * MIB
SENDER, RECEIVER = 1, 2


class Pair:
    """A sender and a receiver in one process, with a lane between them, and everybody's epoch."""

    def __init__(self, directory: Path, budget: int = BUDGET) -> None:
        self.directory, self.budget = directory, budget
        self.epochs = {SENDER: 1, RECEIVER: 1}
        create_lane(lane_path(directory, SENDER, RECEIVER), 64)
        self.lane = LaneWriter(lane_path(directory, SENDER, RECEIVER))
        self.reader = LaneReader(lane_path(directory, SENDER, RECEIVER))
        self.opened: list[Spill] = []
        self.sender, self.receiver = self.open(SENDER), self.open(RECEIVER)

    def open(self, slot: int) -> Spill:
        """Return what the slot's process of today sends and receives with."""
        spill = Spill(self.directory, slot, self.epochs[slot], 64 * MIB, self.budget, self.epochs.__getitem__)
        self.opened.append(spill)
        return spill

    def succeed(self, slot: int) -> Spill:
        """Let the slot's process have died, and another one be in its place."""
        self.epochs[slot] += 1
        return self.open(slot)

    def write(self, message: Any) -> bytes:
        large = wire.encode(message, "m", 100)
        assert isinstance(large, wire.Large)
        return self.sender.write(large.pieces, large.buffers, to=RECEIVER)

    def publish(self, token: bytes) -> int:
        """Put a token into the lane; return its block."""
        assert self.lane.try_send(7, 0, 1, SPILLED, token) >= 0
        (record,) = self.reader.drain()
        return record[4]

    def files(self) -> list[str]:
        return sorted(name for name in os.listdir(self.directory) if name.startswith(("spill", "slabs")))

    def close(self) -> None:
        for spill in self.opened:
            spill.close()
        self.lane.close()
        self.reader.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.close()


@pytest.fixture
def tight(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path, SMALL_BUDGET)
    yield pair
    pair.close()


def is_in_slab(token: bytes) -> bool:
    return parse_token(token).in_slab


def slab_of(token: bytes) -> int:
    return parse_token(token).slab


@pytest.mark.parametrize("n", [10, 5_000, 50_000, 400_000])
def test_a_message_arrives_and_its_slab_comes_back(pair: Pair, n: int) -> None:
    message = {"text": "x" * n, "array": np.arange(n), "table": pa.table({"n": np.arange(n)})}
    token = pair.write(message)
    assert is_in_slab(token)
    got = pair.receiver.read(token)
    assert got["text"] == message["text"]
    assert (got["array"] == message["array"]).all()
    assert got["table"].equals(message["table"])
    if n > 5_000:
        assert pair.sender.statistics().slabs.held == 1
    del got
    slabs = pair.sender.statistics().slabs
    assert (slabs.lent, slabs.held, slabs.messages, slabs.fallbacks) == (0, 0, 1, 0)


def test_a_pickle_of_many_pieces_arrives_as_it_was(pair: Pair) -> None:
    message = ([bytes([i]) * (60_000 + 1_000 * i) for i in range(20)], np.arange(20_000))
    got = pair.receiver.read(pair.write(message))
    assert got[0] == message[0] and (got[1] == message[1]).all()
    assert [name for name in pair.files() if name.startswith("spill")] == []


def test_views_are_read_only_aligned_plain_bytes_of_shared_memory(pair: Pair) -> None:
    array, raw = pair.receiver.read(pair.write([np.ones(MIB, np.uint8), bytearray(b"7" * MIB)]))
    assert array.ctypes.data % 64 == 0
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 2
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True
    assert raw[0] == 55
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if "slabs.1.1" in line]
    start, end = (int(side, 16) for side in next(line for line in mapped if " r--s " in line).split()[0].split("-"))
    assert start <= array.ctypes.data < end


def test_the_last_slice_gives_a_slab_back_wherever_it_is_kept(pair: Pair) -> None:
    token = pair.write({"a": np.arange(MIB // 8), "b": np.ones(MIB // 8)})
    kept = pair.receiver.read(token)["a"][5:10].reshape(5, 1)
    pair.write([0] * 10_000)
    assert pair.sender.statistics().slabs.held == 1
    again = pair.write(np.zeros(MIB, np.uint8))
    assert slab_of(again) != slab_of(token)
    assert kept.ravel().tolist() == [5, 6, 7, 8, 9]
    del kept
    assert pair.sender.statistics().slabs.held == 0


def test_what_is_held_stays_as_it_was_however_many_messages_follow(pair: Pair) -> None:
    held = [pair.receiver.read(pair.write(np.full(MIB // 2, i, np.uint8))) for i in range(4)]
    for i in range(300):
        assert pair.receiver.read(pair.write(np.full(MIB // 2, 100 + i % 100, np.uint8)))[-1] == 100 + i % 100
    assert [int(array.min()) for array in held] == [int(array.max()) for array in held] == [0, 1, 2, 3]


def test_warm_slabs_are_used_again(pair: Pair) -> None:
    slabs = {slab_of(token) for token in (self_read(pair, i) for i in range(200))}
    assert len(slabs) == 1
    assert pair.sender.statistics().slabs.slabs == 1


def self_read(pair: Pair, i: int) -> bytes:
    token = pair.write(np.full(MIB, i % 256, np.uint8))
    assert pair.receiver.read(token)[i] == i % 256
    return token


def test_a_view_may_go_in_another_thread_or_with_a_cycle(pair: Pair) -> None:
    views = [pair.receiver.read(pair.write(np.ones(MIB)))]
    thread = threading.Thread(target=views.clear)
    thread.start()
    thread.join()
    assert pair.sender.statistics().slabs.held == 0
    knot: list[Any] = [pair.receiver.read(pair.write(np.ones(100_000)))]
    knot.append(knot)
    del knot
    gc.collect()
    assert pair.sender.statistics().slabs.held == 0


def test_a_view_that_is_sent_on_is_copied_and_let_go(pair: Pair) -> None:
    pair.epochs[3] = 1
    third = pair.open(3)
    view = pair.receiver.read(pair.write(np.arange(100_000)))
    large = wire.encode(view, "m", 100)
    assert isinstance(large, wire.Large)
    on = third.read(pair.receiver.write(large.pieces, large.buffers, to=3))
    del view, large
    assert pair.sender.statistics().slabs.held == 0
    assert pair.receiver.statistics().slabs.held == 1
    for _ in range(20):
        pair.receiver.read(pair.write(np.zeros(100_000, np.int64)))
    assert (on == np.arange(100_000)).all()


def test_when_all_slabs_are_held_messages_go_into_files_until_one_comes_back(tight: Pair) -> None:
    held = [tight.receiver.read(tight.write(np.full(MIB, i, np.uint8))) for i in range(40)]
    slabs = tight.sender.statistics().slabs
    assert slabs.held + slabs.fallbacks == 40
    assert 8 <= slabs.held <= 16
    assert slabs.bytes <= SMALL_BUDGET
    assert [int(array[-1]) for array in held] == list(range(40))
    del held[:20]
    assert is_in_slab(tight.write(np.zeros(MIB, np.uint8)))


def test_a_message_larger_than_the_largest_slab_goes_into_a_file(tight: Pair) -> None:
    largest = lay_out_slabs(SMALL_BUDGET).largest_bytes
    assert largest == SMALL_BUDGET // 4
    assert is_in_slab(tight.write(bytearray(largest - 1000)))
    token = tight.write(np.ones(largest, np.uint8))
    assert not is_in_slab(token)
    assert tight.receiver.read(token).sum() == largest
    assert tight.sender.statistics().slabs.fallbacks == 1


def test_the_budget_bounds_the_pages_of_all_sizes_together(tight: Pair) -> None:
    for size in (4000 * KIB, 60 * KIB, MIB, 200 * KIB, 3000 * KIB) * 4:
        held = [tight.receiver.read(tight.write(np.ones(size, np.uint8))) for _ in range(8)]
        assert tight.sender.statistics().slabs.bytes <= SMALL_BUDGET
        assert slab_usage(tight.directory)[0].bytes <= SMALL_BUDGET + 100 * KIB  # the table
        del held
    assert tight.sender.statistics().slabs.given_back_bytes > 0


def test_without_a_budget_there_are_no_slabs(tmp_path: Path) -> None:
    pair = Pair(tmp_path, budget=0)
    token = pair.write(np.ones(MIB))
    assert not is_in_slab(token)
    assert pair.files() == [f"spill-1-1-{parse_token(token).serial:x}"]
    pair.close()


def test_idle_slabs_go_back_to_the_system_and_come_again(pair: Pair) -> None:
    began = time.monotonic()  # what was lent since then is idle later still, however long this takes
    held = pair.receiver.read(pair.write(np.arange(100_000)))
    for _ in range(3):
        pair.receiver.read(pair.write(np.ones(100_000)))
    pair.sender.rest(began + IDLE_S / 2)
    assert pair.sender.statistics().slabs.slabs == 2
    pair.sender.rest(time.monotonic() + 2 * IDLE_S)
    slabs = pair.sender.statistics().slabs
    assert (slabs.slabs, slabs.held) == (1, 1)
    assert slab_usage(pair.directory)[0].bytes < MIB
    assert (held == np.arange(100_000)).all()
    assert (pair.receiver.read(pair.write(np.ones(100_000))) == 1).all()


def test_a_message_read_or_discarded_twice_is_gone(pair: Pair) -> None:
    token = pair.write(np.arange(MIB))
    first = pair.receiver.read(token)
    with pytest.raises(SegmentGone):
        pair.receiver.read(token)
    pair.receiver.discard(token)
    assert first[-1] == MIB - 1
    assert pair.sender.statistics().slabs.held == 1
    del first
    with pytest.raises(SegmentGone):
        pair.receiver.read(token)
    later = pair.write(np.zeros(MIB))
    assert slab_of(later) == slab_of(token)
    with pytest.raises(SegmentGone):
        pair.receiver.read(token)
    pair.receiver.discard(token)
    assert pair.receiver.read(later).sum() == 0


def test_a_kept_message_is_there_until_it_is_discarded_whatever_its_views_do(pair: Pair) -> None:
    token = pair.write(np.arange(MIB))
    assert pair.receiver.read(token, keep=True)[-1] == MIB - 1
    assert pair.sender.statistics().slabs.held == 1
    view = pair.receiver.read(token, keep=True)
    pair.receiver.discard(token)
    assert pair.sender.statistics().slabs.held == 1
    assert view[-1] == MIB - 1
    del view
    assert pair.sender.statistics().slabs.held == 0


def test_a_message_that_was_not_sent_is_taken_back(pair: Pair) -> None:
    token = pair.write(np.ones(MIB))
    assert pair.sender.statistics().slabs.lent == 1
    pair.sender.discard(token)
    assert pair.sender.statistics().slabs.lent == 0


def test_a_message_whose_unpickling_fails_gives_its_slab_back(pair: Pair) -> None:
    token = pair.sender.write(b"not a pickle", to=RECEIVER)
    with pytest.raises(pickle.UnpicklingError):
        pair.receiver.read(token)
    gc.collect()
    assert pair.sender.statistics().slabs.held == 0


def test_empty_and_many_buffers_keep_their_places(pair: Pair) -> None:
    parts = [bytes([i % 256]) * (i % 7 * 100) for i in range(3000)]
    meta = wire.dumps(len(parts))
    token = pair.sender.write(meta, [memoryview(part) for part in parts], to=RECEIVER)
    assert is_in_slab(token)
    assert pair.receiver.read(token) == 3000


# ---- too little room


def test_a_full_file_system_is_a_typed_error_and_leaves_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.receiver.read(pair.write(np.ones(MIB)))
    before = pair.files()

    def full(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SharedMemoryFull):
        pair.write(np.ones(3 * MIB, np.uint8))
    slabs = pair.sender.statistics().slabs
    assert (slabs.lent, slabs.held) == (0, 0)
    assert pair.files() == before
    assert pair.receiver.read(pair.write(np.ones(MIB))).sum() == MIB  # a warm slab needs nothing


def test_slabs_leave_the_last_of_the_file_system_to_others(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.receiver.read(pair.write(np.ones(100_000)))
    real = os.statvfs(pair.directory)

    class Crowded:
        f_frsize, f_blocks = real.f_frsize, 8 * MIB // real.f_frsize
        f_bavail = 2 * MIB // real.f_frsize

    monkeypatch.setattr(os, "statvfs", lambda path: Crowded)
    assert not is_in_slab(pair.write(np.ones(2 * MIB, np.uint8)))
    assert pair.sender.statistics().slabs.fallbacks == 1


def test_a_limit_on_the_size_of_files_leaves_files(pair: Pair) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, hard))
    try:
        token = pair.write(np.ones(MIB, np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not is_in_slab(token)
    assert pair.receiver.read(token).sum() == MIB


def test_without_a_descriptor_the_message_waits_to_be_read_or_discarded(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair.write(np.ones(MIB)), pair.write(np.ones(MIB))
    real = os.open

    def none_left(*args: Any, **kwargs: Any) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", none_left)
    with pytest.raises(SharedMemoryError):
        pair.receiver.read(first)
    pair.receiver.discard(second)
    monkeypatch.setattr(os, "open", real)
    assert pair.receiver.read(first).sum() == MIB
    pair.receiver.rest(0.0)
    slabs = pair.sender.statistics().slabs
    assert (slabs.lent, slabs.held) == (0, 0)


def test_without_a_descriptor_what_the_dead_held_waits(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    token = pair.write(np.ones(MIB))
    block = pair.publish(token)
    view = pair.receiver.read(token)
    pair.reader.free(block)
    pair.succeed(RECEIVER)
    real = os.open

    def none_left(*args: Any, **kwargs: Any) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", none_left)
    pair.sender.rest(0.0)
    assert pair.sender.statistics().slabs.held == 1
    monkeypatch.setattr(os, "open", real)
    pair.sender.rest(0.0)
    assert pair.sender.statistics().slabs.held == 0
    assert view[0] == 1


def test_a_damaged_slab_file_is_corrupt(pair: Pair) -> None:
    token = pair.write(np.ones(MIB))
    path = pair.directory / "slabs.1.1"
    data = path.read_bytes()[:64]
    with path.open("r+b") as file:
        file.write(b"\xff" * 8)
    with pytest.raises(SegmentCorrupt):
        pair.receiver.read(token)
    with path.open("r+b") as file:
        file.write(data)
    beyond = parse_token(token)._replace(size=1 << 40).pack()
    with pytest.raises(SegmentCorrupt):
        pair.receiver.read(beyond)
    assert pair.receiver.read(token).sum() == MIB


# ---- deaths


def test_what_a_dead_receiver_held_comes_back_when_no_block_refers_to_it(pair: Pair) -> None:
    handled, in_hand, unread = (pair.write(np.full(MIB, i, np.uint8)) for i in range(3))
    blocks = [pair.publish(token) for token in (handled, in_hand, unread)]
    views = [pair.receiver.read(token) for token in (handled, in_hand)]
    pair.reader.free(blocks[0])
    pair.sender.rest(0.0)
    assert pair.sender.statistics().slabs.recovered == 0
    successor = pair.succeed(RECEIVER)
    pair.sender.rest(0.0)
    slabs = pair.sender.statistics().slabs
    assert (slabs.recovered, slabs.held, slabs.lent) == (1, 1, 1)
    successor.discard(in_hand)
    assert successor.read(unread)[0] == 2
    slabs = pair.sender.statistics().slabs
    assert (slabs.held, slabs.lent) == (0, 0)
    assert views[1][0] == 1


def test_what_a_guests_host_still_looks_at_stays_lent_when_the_guest_has_left(pair: Pair) -> None:
    """A slot that is a guest in another's process leaves it; a cache there, of all its actors, has a view."""
    token = pair.write(np.full(MIB, 7, np.uint8))
    block = pair.publish(token)
    view = pair.receiver.read(token)
    pair.reader.free(block)
    pair.receiver.leave()
    successor = pair.succeed(RECEIVER)
    pair.sender.rest(0.0)
    assert pair.sender.statistics().slabs.held == 1
    for i in range(60):
        successor.read(pair.write(np.full(MIB, 100 + i, np.uint8)))
    assert (view == 7).all()
    descriptors = len(os.listdir("/proc/self/fd"))
    del view
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) < descriptors
    pair.sender.rest(0.0)
    slabs = pair.sender.statistics().slabs
    assert (slabs.held, slabs.recovered) == (0, 0)


def test_a_message_in_a_dead_receivers_hand_can_be_read_again_by_its_successor(pair: Pair) -> None:
    token = pair.write(np.arange(MIB))
    pair.publish(token)
    old = pair.receiver.read(token, keep=True)
    successor = pair.succeed(RECEIVER)
    pair.sender.rest(0.0)
    view = successor.read(token, keep=True)
    assert (view == old).all()
    successor.discard(token)
    del view
    assert pair.sender.statistics().slabs.held == 0


def test_a_dead_senders_messages_stay_and_its_file_goes_with_the_last_of_them(pair: Pair) -> None:
    held, published, unsent = (pair.write(np.full(MIB, i, np.uint8)) for i in range(3))
    pair.publish(published)
    view = pair.receiver.read(held)
    successor = pair.succeed(SENDER)
    assert successor.has_predecessors()
    assert successor.sweep({published}) == 1
    assert successor.statistics().slabs.adopted == 1
    assert slab_usage(pair.directory)[0].bytes < 3 * MIB
    assert pair.receiver.read(published)[-1] == 1
    successor.rest(0.0)
    assert pair.files() == ["slabs.1.1"]
    part = view[3:9]
    del view
    assert part.tolist() == [0] * 6
    del part
    successor.rest(0.0)
    assert pair.files() == []
    assert not successor.has_predecessors()
    with pytest.raises(SegmentGone):
        pair.receiver.read(unsent)


def test_both_ends_of_a_message_may_die(pair: Pair) -> None:
    handled, in_hand, unread = (pair.write(np.full(MIB, i, np.uint8)) for i in range(3))
    block, *_ = [pair.publish(token) for token in (handled, in_hand, unread)]
    views = [pair.receiver.read(token) for token in (handled, in_hand)]
    pair.reader.free(block)
    sender = pair.succeed(SENDER)
    sender.sweep({in_hand, unread})
    receiver = pair.succeed(RECEIVER)
    sender.rest(0.0)
    receiver.discard(in_hand)
    assert receiver.read(unread)[0] == 2
    sender.rest(0.0)
    assert pair.files() == []
    assert len(views) == 2


# ---- forks


def test_a_forked_child_keeps_what_it_sees_until_it_ends(pair: Pair) -> None:
    view = pair.receiver.read(pair.write(np.full(MIB, 7, np.uint8)))
    go, going = os.pipe()
    said, say = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(going)
        os.read(go, 1)  # until the parent has let go and sent much else
        os.write(say, bytes([int(view.min()), int(view.max())]))
        del view
        gc.collect()
        os.read(go, 1)
        os._exit(0)
    del view
    for i in range(60):
        pair.receiver.read(pair.write(np.full(MIB, 100 + i, np.uint8)))
    pair.receiver.rest(0.0)
    assert pair.sender.statistics().slabs.held == 1
    os.write(going, b"1")
    assert os.read(said, 2) == bytes([7, 7])
    pair.receiver.rest(0.0)
    assert pair.sender.statistics().slabs.held == 1  # the child's letting go is nobody's business
    os.write(going, b"1")
    assert os.waitpid(child, 0)[1] == 0
    pair.receiver.rest(0.0)
    assert pair.sender.statistics().slabs.held == 0
    for end in (go, going, said, say):
        os.close(end)


def test_a_child_outlives_the_process_that_held_the_message(pair: Pair) -> None:
    token = pair.write(np.full(MIB, 7, np.uint8))
    block = pair.publish(token)
    go, going = os.pipe()
    said, say = os.pipe()
    holder = os.fork()
    if holder == 0:
        receiver = pair.open(RECEIVER)
        view = receiver.read(token)
        pair.reader.free(block)
        child = os.fork()
        if child:
            os.write(say, child.to_bytes(4, "little"))
            signal.pause()
        os.close(going)
        os.read(go, 1)
        os.write(say, bytes([int(view.min()), int(view.max())]))
        os._exit(0)
    os.close(say)
    os.read(said, 4)
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    pair.epochs[RECEIVER] += 1
    pair.receiver = pair.open(RECEIVER)
    pair.sender.rest(0.0)
    assert pair.sender.statistics().slabs.held == 1
    for i in range(60):
        pair.receiver.read(pair.write(np.full(MIB, 100 + i, np.uint8)))
    os.write(going, b"1")
    assert os.read(said, 2) == bytes([7, 7])
    assert os.read(said, 1) == b""  # it has ended
    pair.sender.rest(0.0)
    assert pair.sender.statistics().slabs.held == 0
    for end in (go, going, said):
        os.close(end)


def test_a_fork_that_holds_nothing_costs_nothing(pair: Pair) -> None:
    pair.receiver.read(pair.write(np.ones(MIB)))
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert not [name for name in os.listdir(pair.directory) if name.startswith("children")]


# ---- looking from outside


def test_anybody_reads_who_holds_what(pair: Pair) -> None:
    pair.epochs[3] = 1
    third = pair.open(3)
    unread = pair.write(np.ones(MIB, np.uint8))
    held = pair.receiver.read(pair.write(np.ones(300 * KIB, np.uint8)))
    large = wire.encode(np.ones(70 * KIB, np.uint8), "m", 100)
    assert isinstance(large, wire.Large)
    theirs = third.read(pair.sender.write(large.pieces, large.buffers, to=3))
    (usage,) = slab_usage(pair.directory)
    assert (usage.sender, usage.sender_epoch, usage.slabs, usage.lent, usage.held) == (SENDER, 1, 3, 1, 2)
    assert usage.lent_bytes >= MIB
    assert usage.held_bytes >= held.nbytes + theirs.nbytes
    assert [slot for slot, _ in usage.held_by] == [2, 3]
    assert usage.messages == 3
    assert usage.held_bytes + usage.lent_bytes <= usage.bytes == os.stat(pair.directory / "slabs.1.1").st_blocks * 512
    pair.receiver.discard(unread)


def test_nothing_of_the_slabs_outlives_the_last_view(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    view = pair.receiver.read(pair.write(np.arange(MIB)))
    pair.close()
    for path in tmp_path.iterdir():
        path.unlink()
    assert view[-1] == MIB - 1
    gone = weakref.ref(view)
    del view
    assert gone() is None
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()
