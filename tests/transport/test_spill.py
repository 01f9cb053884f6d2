"""Messages in files of their own: zero-copy, read-only, counted, and never left behind."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from actorlab.errors import SegmentCorrupt, SegmentGone, SharedMemoryFull
from actorlab.transport import spill as spill_module
from actorlab.transport import wire
from actorlab.transport.spill import MAP_BYTES, Spill, name_in
from actorlab.transport.spill_layout import TOKEN_BYTES, size_in

MIB = 1 << 20


@pytest.fixture
def sender(tmp_path: Path) -> Spill:
    return Spill(tmp_path, slot=1, epoch=4, quota_bytes=64 * MIB)


@pytest.fixture
def receiver(tmp_path: Path) -> Spill:
    return Spill(tmp_path, slot=2, epoch=1, quota_bytes=64 * MIB)


def send(spill: Spill, message: object) -> bytes:
    large = wire.encode(message, "m", 100)
    assert isinstance(large, wire.Large)
    return spill.write(large.pieces, large.buffers)


def files(spill: Spill) -> list[str]:
    return sorted(os.listdir(spill.directory))


@pytest.mark.parametrize("n", [10, 5_000, 50_000, 500_000])
def test_a_message_arrives_and_leaves_no_file(sender, receiver, n):
    message = {"text": "x" * n, "array": np.arange(n), "table": pa.table({"n": np.arange(n)})}
    token = send(sender, message)
    assert len(token) == TOKEN_BYTES
    got = receiver.read(token)
    assert got["text"] == message["text"]
    assert (got["array"] == message["array"]).all()
    assert got["table"].equals(message["table"])
    assert files(sender) == []


def test_a_pickle_of_many_pieces_arrives_as_it_was(sender, receiver):
    message = ([bytes([i]) * (60_000 + 1_000 * i) for i in range(20)], list(range(200_000)), np.arange(20_000))
    large = wire.encode(message, "m", 100)
    assert len(large.pieces) > 20
    got = receiver.read(sender.write(large.pieces, large.buffers))
    assert got[:2] == message[:2] and (got[2] == message[2]).all()


@pytest.mark.parametrize("nbytes", [MAP_BYTES // 2, 2 * MAP_BYTES])
def test_arrays_are_read_only_and_aligned(sender, receiver, nbytes):
    message = [np.ones(nbytes, np.uint8), np.ones(nbytes + 1, np.uint8), np.ones(nbytes + 1, np.uint8)]
    for array in receiver.read(send(sender, message)):
        assert array.ctypes.data % 64 == 0
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 2


def test_arrays_of_a_large_message_are_the_file_itself(sender, receiver):
    token = send(sender, np.zeros(MIB, np.uint8))
    path = os.path.join(sender.directory, name_in(token))
    array = receiver.read(token, keep=True)
    with open(path, "r+b") as file:  # no one does that; it shows whose memory the array is
        file.seek(size_in(token) - 1)
        file.write(b"\x07")
    assert array[-1] == 7


def test_views_outlive_the_name_and_the_message(sender, receiver):
    array = receiver.read(send(sender, {"a": np.arange(MIB)}))["a"]
    part = array[5:10]
    del array
    assert files(sender) == []
    assert part.tolist() == [5, 6, 7, 8, 9]


def test_a_mapping_goes_with_its_last_view(sender, receiver):
    array = receiver.read(send(sender, np.zeros(4 * MIB, np.uint8)))
    assert "spill-1-4" in Path("/proc/self/maps").read_text()
    del array
    assert "spill-1-4" not in Path("/proc/self/maps").read_text()


def test_a_kept_message_can_be_read_again_and_then_discarded(sender, receiver):
    token = send(sender, list(range(1000)))
    assert receiver.read(token, keep=True) == receiver.read(token, keep=True)
    receiver.discard(token)
    assert files(sender) == []
    receiver.discard(token)
    assert receiver.statistics().discarded == 1


def test_a_message_read_twice_is_gone(sender, receiver):
    token = send(sender, list(range(1000)))
    receiver.read(token)
    with pytest.raises(SegmentGone):
        receiver.read(token)


def test_a_message_whose_unpickling_fails_leaves_no_file(sender, receiver):
    token = sender.write(b"not a pickle")
    with pytest.raises(pickle.UnpicklingError):
        receiver.read(token)
    assert files(sender) == []


def test_empty_and_many_buffers_keep_their_places(sender, receiver):
    parts = [bytes([i % 256]) * (i % 7) for i in range(3000)]
    taken: list[pickle.PickleBuffer] = []
    meta = pickle.dumps([pickle.PickleBuffer(part) for part in parts], 5, buffer_callback=taken.append)
    token = sender.write(meta, [buffer.raw() for buffer in taken])
    assert [bytes(part) for part in receiver.read(token)] == parts


def test_the_quota_counts_what_nobody_has_read(sender, receiver):
    sender.quota_bytes = 3 * MIB
    first, _ = send(sender, np.zeros(MIB, np.uint8)), send(sender, np.zeros(MIB, np.uint8))
    with pytest.raises(SharedMemoryFull) as full:
        send(sender, np.zeros(MIB, np.uint8))
    assert full.value.needed_bytes > MIB > full.value.free_bytes
    assert len(files(sender)) == 2
    receiver.read(first)
    send(sender, np.zeros(MIB, np.uint8))
    assert sender.statistics().waiting == 2


def test_a_full_file_system_is_a_typed_error_and_leaves_nothing(sender, monkeypatch):
    def full(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SharedMemoryFull) as error:
        send(sender, np.zeros(MIB, np.uint8))
    assert error.value.needed_bytes > MIB
    assert files(sender) == []
    assert sender.statistics().waiting_bytes == 0


def test_a_file_size_limit_is_a_typed_error_and_leaves_nothing(sender):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    try:
        with pytest.raises(SharedMemoryFull):
            send(sender, np.zeros(2 * MIB, np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(sender) == []


def test_a_file_of_another_length_is_corrupt(sender, receiver):
    token = send(sender, np.zeros(MIB, np.uint8))
    os.truncate(os.path.join(sender.directory, name_in(token)), 1000)
    with pytest.raises(SegmentCorrupt, match="1,000 bytes"):
        receiver.read(token)


def test_a_file_with_a_damaged_header_is_corrupt(sender, receiver):
    token = send(sender, np.zeros(MIB, np.uint8))
    for damage in (b"\xff" * 8, b"alspill1" + b"\xff" * 8, b"alspill1" + bytes(8) + b"\xff\xff\xff" + bytes(5)):
        with open(os.path.join(sender.directory, name_in(token)), "r+b") as file:
            file.write(damage)
        with pytest.raises(SegmentCorrupt):
            receiver.read(token, keep=True)


def test_without_a_free_descriptor_a_large_message_is_copied_out(sender, receiver, monkeypatch):
    def no_more(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    token = send(sender, np.arange(MIB))
    monkeypatch.setattr(spill_module.mmap, "mmap", no_more)
    array = receiver.read(token)
    assert array[-1] == MIB - 1
    assert not array.flags.writeable


def test_threads_of_one_process_do_not_share_names(sender, receiver):
    tokens: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: tokens.extend(send(sender, [i] * 500) for i in range(50))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({name_in(token) for token in tokens}) == 200
    for token in tokens:
        receiver.discard(token)
    assert sender.statistics().waiting_bytes == 0


# ---- kills


def run_and_be_killed(tmp_path: Path, source: str) -> bytes:
    prelude = (
        "import os, signal, sys, numpy as np\n"
        "from actorlab.transport import wire\n"
        "from actorlab.transport.spill import Spill\n"
        f"spill = Spill({str(tmp_path)!r}, 1, 4, 1 << 30)\n"
        "def die(): sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "def send(m): large = wire.encode(m, 'm', 100); return spill.write(large.pieces, large.buffers)\n"
    )
    done = subprocess.run([sys.executable, "-c", prelude + source], stdout=subprocess.PIPE, timeout=60)
    assert done.returncode == -signal.SIGKILL
    return done.stdout


def test_a_sender_killed_before_it_published_is_swept_by_its_successor(tmp_path):
    out = run_and_be_killed(
        tmp_path,
        "sys.stdout.buffer.write(send(np.ones(1 << 20)))\n"  # published, let us say
        "send(np.ones(1 << 20))\n"  # written, not published
        "os.posix_fallocate = lambda *a: die()\n"  # killed between open and write
        "send(np.ones(1 << 20))\n",
    )
    successor = Spill(tmp_path, slot=1, epoch=5, quota_bytes=MIB)
    published = name_in(out)
    assert len(files(successor)) == 3
    assert successor.sweep({out}) == 2
    assert files(successor) == [published]
    assert successor.read(out).sum() == MIB


def test_a_sweep_touches_no_other_slot_and_no_later_epoch(tmp_path):
    others = [Spill(tmp_path, slot, epoch, MIB) for slot, epoch in ((1, 5), (2, 1), (11, 1))]
    for other in others:
        send(other, list(range(1000)))
    assert Spill(tmp_path, 1, 5, MIB).sweep(set()) == 0
    assert Spill(tmp_path, 1, 6, MIB).sweep(set()) == 1


def test_a_reader_killed_with_the_message_in_hand_leaves_no_file(tmp_path):
    token = send(Spill(tmp_path, 2, 1, 64 * MIB), np.ones(MIB))
    out = run_and_be_killed(tmp_path, f"a = spill.read({token!r}); print(int(a.sum())); die()\n")
    assert out == b"%d\n" % MIB
    assert os.listdir(tmp_path) == []


def test_a_reader_killed_before_it_read_leaves_the_message_to_the_next(tmp_path, receiver):
    token = send(Spill(tmp_path, 2, 1, 64 * MIB), np.ones(MIB))
    run_and_be_killed(tmp_path, f"wire.loads = lambda *a, **k: die(); spill.read({token!r}, keep=True)\n")
    assert receiver.read(token).sum() == MIB
