"""Large messages: a numpy array as an argument between two workers, told in a row or called one by one.

Edge (starts nodes). Beside a bare pipe that sends the same array, with nobody behind it; beside a bare copy out of
shared memory, which is the most that the machine can do; and beside actorlab without slabs, a file a message.

GB/s are bytes of arrays, each counted once, until the last was handled; of a call, until its answer is there; of an
echo, one way. A run is many short rounds, and its figure their median: on a machine that is shared, a long one says how
often we were put off. All on two cores, a process on each. `read`: the handler sums the array up, and so must fetch
every byte from the other core; the pipe's reader then does too.
"""

from __future__ import annotations

import mmap
import time
from functools import partial
from statistics import median

import actorlab as al

from . import peers
from .agents import Feeder, Taker
from .cores import apart
from .sample import Row, Sample

KB, MB = 1 << 10, 1 << 20
SIZES = (("64kB", 64 * KB, 200, 20), ("256kB", 256 * KB, 100, 20), ("1MB", MB, 50, 20), ("16MB", 16 * MB, 6, 10))
"""Name, bytes, arrays a round, rounds."""


def _tell(size: int, n: int, rounds: int, reads: bool, slab_bytes: int = 256 * MB) -> Sample:
    with al.Node(workers=2, slab_bytes=slab_bytes, hold_warning_s=10.0) as node, apart(node):
        feeder, taker = node.spawn(Feeder, placement=1), node.spawn(Taker, reads, placement=2)
        taken = [feeder.within(60.0).call.feed(taker, size, n) for _ in range(rounds)]
        return Sample(size * n / median(taken), n * rounds)


def _call(method: str, size: int, n: int) -> Sample:
    with al.Node(workers=2, hold_warning_s=10.0) as node, apart(node):
        feeder, taker = node.spawn(Feeder, placement=1), node.spawn(Taker, False, placement=2)
        times = feeder.within(60.0).call.ask(taker, method, size, n)
        return Sample(size / median(times), n)


def _copy_out(size: int, n: int) -> Sample:
    with mmap.mmap(-1, size) as shared, apart():
        shared[:] = bytes(size)
        source, target = memoryview(shared), memoryview(bytearray(size))
        times = []
        for _ in range(n):
            started = time.perf_counter_ns()
            target[:] = source
            times.append(time.perf_counter_ns() - started)
        source.release()
        return Sample(size / median(times), n)


def _rows(name: str, size: int, n: int, rounds: int) -> list[Row]:
    pipe = ("a bare multiprocessing.Pipe", partial(peers.pipe_arrays, size, n, rounds))
    read_pipe = ("a bare multiprocessing.Pipe, read too", partial(peers.pipe_arrays, size, n, rounds, reads=True))
    copy = ("a bare copy out of shared memory", partial(_copy_out, size, n * rounds))
    files = ("actorlab with a file a message", partial(_tell, size, n, rounds, False, 0))
    target = 5.0 if size == MB else None
    row = partial(Row, unit="GB/s", more_is_better=True)
    calls = n * rounds // 2
    return [
        row(f"large_tell_{name}", run=partial(_tell, size, n, rounds, False), target=target, peers=(pipe, copy, files)),
        row(f"large_tell_read_{name}", run=partial(_tell, size, n, rounds, True), peers=(read_pipe, copy)),
        row(f"large_call_{name}", run=partial(_call, "take", size, calls), target=target, peers=(copy,)),
        row(f"large_echo_{name}", run=partial(_call, "echo", size, calls), peers=(copy,)),
    ]


ROWS = tuple(row for size in SIZES for row in _rows(*size))
