"""Benchmark: names per second in and nanoseconds per lookup, hit and miss, at several sizes of the registry.

    python tools/bench/bench_registry.py [--names 10,10000,200000] [--partitions 1,8] [--where /dev/shm]

`cold` lookups search the table each time (as after a restart of the reader), `cached` ones repeat names that this
process has seen, `miss` ones ask for names nobody has. A `dict` behind the same contract (`local`) runs beside, as the
floor, and one message to another process over a pipe, which is what a lookup would cost without shared memory.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence

from actorlab.ids import pack
from actorlab.registry import LocalBackend, RegistryBackend, SharedBackend, SharedReader

BATCH = 2_000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--names", default="10,10000,200000")
    arguments.add_argument("--partitions", default="1,8")
    arguments.add_argument("--where", default="/dev/shm")
    options = arguments.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"commit {commit.stdout.strip()}; ns per operation: median (p99 of batches of {BATCH})"
    )
    print(
        f"{'backend':8} {'parts':>5} {'names':>9} {'register/s':>11} {'longest':>9} {'cold hit':>15} "
        f"{'cached hit':>15} "
        f"{'lookup()':>15} {'miss':>15} {'release/s':>11}"
    )
    for count in map(int, options.names.split(",")):
        for partitions in map(int, options.partitions.split(",")):
            measure("local", LocalBackend(partitions), None, count, partitions)
            with tempfile.TemporaryDirectory(dir=options.where, prefix="actorlab-bench-") as directory:
                backend = SharedBackend.create(directory, partitions)
                measure("shared", backend, directory, count, partitions)
                backend.remove()
    print(f"one question over a pipe to another process: {pipe_ns():,.0f} ns")


def measure(kind: str, backend: RegistryBackend, directory: str | None, count: int, partitions: int) -> None:
    names = [f"agent-{number}" for number in range(count)]
    longest = 0.0
    began = last = time.perf_counter()
    for number, name in enumerate(names):
        backend.register(name, pack(1 + number % 4, number, 1))
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    took = last - began
    reader = backend if directory is None else SharedReader.open(directory)
    pick = random.Random(1)
    asked = [pick.choice(names) for _ in range(100_000)]
    seen = [pick.choice(names[:1000]) for _ in range(100_000)]
    absent = [f"nobody-{number}" for number in range(100_000)]
    for name in names[:1000]:
        reader.whereis(name)
    cached = batches(reader.whereis, seen)
    entries = batches(reader.lookup, seen)
    miss = batches(reader.whereis, absent)
    if isinstance(reader, SharedReader):
        cold = batches(reader.whereis, asked, before=reader.forget)
    else:
        cold = batches(reader.whereis, asked)
    began = time.perf_counter()
    freed = sum(len(backend.release_home(home)) for home in range(1, 5))
    release = freed / (time.perf_counter() - began)
    print(
        f"{kind:8} {partitions:5} {count:9,} {count / took:11,.0f} {longest * 1e3:6.1f} ms {cold:>15} {cached:>15} "
        f"{entries:>15} {miss:>15} {release:11,.0f}"
    )


def batches(ask: Callable[[str], object], names: Sequence[str], before: Callable[[], None] | None = None) -> str:
    """Return median and 99th percentile of the mean time of a question, over batches."""
    times = []
    for start in range(0, len(names), BATCH):
        batch = names[start : start + BATCH]
        if before is not None:
            before()
        began = time.perf_counter_ns()
        for name in batch:
            ask(name)
        times.append((time.perf_counter_ns() - began) / len(batch))
    return f"{statistics.median(times):,.0f} ({statistics.quantiles(times, n=100)[98]:,.0f})"


def pipe_ns() -> float:
    """Return what a byte to a process that answers with a byte costs."""
    there, answer_in = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(there[1])
        while os.read(there[0], 1):
            os.write(answer_in[1], b"x")
        os._exit(0)
    times = []
    for _ in range(2_000):
        began = time.perf_counter_ns()
        os.write(there[1], b"x")
        os.read(answer_in[0], 1)
        times.append(time.perf_counter_ns() - began)
    for fd in (*there, *answer_in):
        os.close(fd)
    os.waitpid(child, 0)
    return statistics.median(times)


if __name__ == "__main__":
    main()
