"""A writer of an append stream, killed by SIGKILL between any two stores: old end or new end, and the next goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest

from actorlab.memory import AppendStream, ContextPool, stream_part, stream_writer
from actorlab.transport import arm_crashpoints, crashpoint_labels, kill_at

PAGE = 4096
PART_BYTES, MAX_BYTES = 4 * PAGE, 12 * PAGE
POINTS = [(module, label) for module in (stream_writer, stream_part) for label in crashpoint_labels(module)]


def batch(n: int) -> pa.RecordBatch:
    rows = 1 + n * 37 % 150  # from a few bytes to more than a page
    return pa.record_batch({"n": np.full(rows, n), "text": [f"row {n}.{i}" for i in range(rows)]})


def killed_at(module: ModuleType, label: str, n: int, work: Callable[[Callable[[int], object]], None]) -> list[int]:
    """Run `work(say)` in a child that dies at the n-th pass of `label`; return what it said."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            arm_crashpoints(module, kill_at(label, n))
            work(lambda number: os.write(write, f"{number}\n".encode()))
            os._exit(0)
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = [int(line) for line in pipe]
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    return said


def what_is_there(stream: AppendStream) -> list[int]:
    """Return the numbers of the batches that a new reader sees, each of them whole."""
    found = []
    for one in stream.follow(idle_s=0):
        number = one["n"][0].as_py()
        assert one.equals(batch(number)), "torn"
        found.append(number)
    return found


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize(("module", "label"), POINTS, ids=[label for _, label in POINTS])
def test_a_writer_killed_anywhere_leaves_the_old_end_or_the_new_end(
    tmp_path: Path, module: ModuleType, label: str, n: int
) -> None:
    pool = ContextPool(tmp_path, "p", max_bytes=1 << 20)
    stream = pool.stream("s")
    pool.append_stream("s", part_bytes=PART_BYTES).close()
    early = stream.follow(gaps="skip", idle_s=0)
    dropping = label.startswith("drop.")

    def work(say: Callable[[int], object]) -> None:
        for turn in range(10):
            writer = pool.append_stream("s", part_bytes=PART_BYTES, max_bytes=None if dropping else MAX_BYTES)
            for _ in range(30):
                say(writer.append(batch(writer.position)))
            if dropping:
                writer.drop_before(writer.position)
            writer.close()
            assert turn < 9

    said = killed_at(module, label, n, work)
    assert said == list(range(len(said)))
    there = what_is_there(stream)
    end = there[-1] + 1 if there else 0
    assert end in (len(said), len(said) + 1), "neither the old end nor the new one"
    assert there == list(range(stream.first, end))
    got = [one["n"][0].as_py() for one in early]
    assert got == sorted(set(got)) and (got[-1:] == [end - 1] or not end)

    with pool.append_stream("s", part_bytes=PART_BYTES, max_bytes=MAX_BYTES) as heir:
        assert heir.position == end
        newest = max(path for path in Path(stream.folder).iterdir() if path.suffix == ".part")
        data = newest.read_bytes()
        length = (int.from_bytes(data[64:72], "little") >> 32) * 8
        assert not any(data[PAGE + length :]), "the torn tail is still there"
        assert all(path.suffix == ".part" for path in Path(stream.folder).iterdir())
        for number in range(end, end + 60):
            assert heir.append(batch(number)) == number
        assert stream.bytes <= MAX_BYTES
        heir.finish()
    after = [one["n"][0].as_py() for one in early]
    assert early.ended and after == sorted(set(after)) and after[-1] == end + 59
    assert what_is_there(stream) == list(range(stream.first, end + 60))


def test_at_no_store_does_a_reader_see_less_than_before_or_half_a_batch(tmp_path: Path) -> None:
    pool = ContextPool(tmp_path, "p", max_bytes=1 << 20)
    stream = pool.stream("s")
    pool.append_stream("s", part_bytes=PART_BYTES).close()
    follower = stream.follow(idle_s=0)
    ends, looks = [0], set()

    def look(label: str) -> None:
        looks.add(label)
        for one in follower:
            assert one.equals(batch(follower.position - 1)), label
        ends.append(stream.end)

    undo = [arm_crashpoints(module, look) for module in (stream_writer, stream_part)]
    try:
        for _ in range(4):
            with pool.append_stream("s", part_bytes=PART_BYTES, max_bytes=MAX_BYTES) as writer:
                for _ in range(30):
                    writer.append(batch(writer.position))
        writer = pool.append_stream("s", part_bytes=PART_BYTES)
        writer.drop_before(writer.position)
        writer.close()
    finally:
        for each in undo:
            each()
    assert looks == {label for _, label in POINTS}
    assert ends == sorted(ends) and ends[-1] == 120
    assert follower.position == 120 and follower.missed == 0
