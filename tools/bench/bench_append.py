"""Append streams: what a batch costs its writer and its reader, and how soon a reader that sleeps has it.

Edge (files, processes). The peers do the nearest thing without a stream: a pickled row appended to a file by one write,
and a byte through a bare pipe to a process that sleeps in `read`.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actorlab.memory import ContextPool

from .sample import Row, Sample, latency, time_each

BATCHES = 5_000
WAKES = 300
GAP_S = 0.003
ROW = {"to": "anna", "amount": 5, "note": "a row of a log"}

FOLLOW = """
import pickle, sys, time
stream = pickle.loads(bytes.fromhex(sys.argv[1]))
follower = stream.follow("end")
print("ready", flush=True)
for batch in follower:
    print(time.perf_counter_ns() - batch["at"][0].as_py(), flush=True)
"""
READ = """
import sys, time
print("ready", flush=True)
for line in sys.stdin.buffer:
    print(time.perf_counter_ns() - int(line), flush=True)
"""


@contextmanager
def pool() -> Iterator[ContextPool]:
    """Make a pool in shared memory for a while."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield ContextPool(folder, "bench", max_bytes=256 << 20)


def append() -> Sample:
    """Microseconds an `append` of one row that is a batch already."""
    import pyarrow as pa

    batch = pa.RecordBatch.from_pylist([ROW])
    with pool() as one, one.append_stream("s") as writer:
        return latency(time_each(lambda _: writer.append(batch), BATCHES, warm_up=100))


def append_to_file() -> Sample:
    """The same row, pickled and appended to a file in shared memory by one write."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        fd = os.open(Path(folder, "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        taken = latency(time_each(lambda _: os.write(fd, pickle.dumps(ROW)), BATCHES, warm_up=100))
        os.close(fd)
        return taken


def read() -> Sample:
    """Microseconds a batch of one row that a reader takes, all of them there."""
    import pyarrow as pa

    batch = pa.RecordBatch.from_pylist([ROW])
    with pool() as one, one.append_stream("s") as writer:
        for _ in range(BATCHES + 100):
            writer.append(batch)
        follower = one.stream("s").follow()
        taken = latency(time_each(lambda _: follower.take(), BATCHES, warm_up=100))
        follower.close()
        return taken


def wake() -> Sample:
    """Microseconds from before `append` until a reader asleep in another process has the batch."""
    with pool() as one, one.append_stream("s") as writer:
        command = [sys.executable, "-c", FOLLOW, pickle.dumps(one.stream("s")).hex()]
        return woken(command, lambda: writer.append([{"at": time.perf_counter_ns()}]))


def wake_by_pipe() -> Sample:
    """The same through a bare pipe."""
    process: list[Any] = []
    return woken([sys.executable, "-c", READ], lambda: send(process), process)


def send(process: list[Any]) -> None:
    process[0].stdin.write(b"%d\n" % time.perf_counter_ns())
    process[0].stdin.flush()


def woken(command: list[str], send: Any, started: list[Any] | None = None) -> Sample:
    """Send to a process that sleeps, time after time, and take from it how long each was on its way."""
    top = str(Path(__file__).parents[2])
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": top}
    ) as process:
        if started is not None:
            started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        times = []
        for _ in range(WAKES):
            time.sleep(GAP_S)
            send()
            times.append(int(process.stdout.readline()))
        process.terminate()
        return latency(times)


ROWS = (
    Row("append_batch", "µs", append, peers=(("one write of a pickled row to a file", append_to_file),)),
    Row("append_read", "µs", read),
    Row("append_wake", "µs", wake, peers=(("a line through a bare pipe", wake_by_pipe),)),
)
