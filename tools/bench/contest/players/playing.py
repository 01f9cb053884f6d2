"""What every player does alike: the message, timing, memory, and how a figure is said.

Edge (the clock, processes). Players run in an environment that has no actorlab in it, so this imports nothing of ours:
the standard library, psutil, and numpy and pyarrow where a work needs them.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import psutil

MESSAGE = (1, 2, 3, "increment", ("a text of forty-two characters, as it were", 7, 2.5, True))
"""What is sent where a work does not say otherwise: about 100 bytes as a pickle."""

ARRAY_BYTES = 1_000_000
CONTEXT_BYTES = 200_000_000


def wanted() -> dict[str, int]:
    """Return the works that this player was asked for, and how much of each: `call=1000 tell=20000 …`."""
    return {name: int(count) for name, _, count in (word.partition("=") for word in sys.argv[1:])}


def say(
    work: str, value: float, *, n: int = 1, p99: float | None = None, note: str = "", at: int | None = None
) -> None:
    """Print one figure, in the unit of its work; `at` which point, if it is one of a curve."""
    print(json.dumps({"work": work, "value": value, "n": n, "p99": p99, "note": note, "at": at}), flush=True)


def say_latency(work: str, times_ns: Iterable[int], note: str = "") -> None:
    """Print the median and the 99th percentile of operations that were timed one by one, in µs."""
    ordered = sorted(times_ns)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] / 1e3
    say(work, statistics.median(ordered) / 1e3, n=len(ordered), p99=p99, note=note)


def timed(operation: Callable[[], Any], n: int) -> list[int]:
    """Time `operation` `n` times, in ns."""
    now, times = time.perf_counter_ns, []
    for _ in range(n):
        started = now()
        operation()
        times.append(now() - started)
    return times


def family(*others: int, ours: bool = True) -> list[psutil.Process]:
    """Return this process, if it is one of `ours`, and the `others` (by pid), with all below them, each once."""
    found: dict[int, psutil.Process] = {}
    for root in (*((os.getpid(),) if ours else ()), *others):
        try:
            process = psutil.Process(root)
            for member in (process, *process.children(recursive=True)):
                found[member.pid] = member
        except psutil.NoSuchProcess:
            pass
    return list(found.values())


def memory(kind: str, *others: int, ours: bool = True) -> float:
    """Return the bytes (`pss` or `uss`) of the whole family."""
    total = 0
    for process in family(*others, ours=ours):
        try:
            total += getattr(process.memory_full_info(), kind)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            pass
    return float(total)


class Added:
    """What a family grows by from here on, and how long that takes.

    That is its PSS, and what of the files in /dev/shm that one of it has open or mapped is in nobody's: a page is in
    the PSS of a process only once that has touched it, but takes memory all the same. So it is a total for who keeps a
    table in shared memory as for who copies it.
    """

    def __init__(self, *others: int, ours: bool = True) -> None:
        self._others, self._ours = others, ours
        self._before, self._started = self._now(), time.perf_counter()
        self._taken = 0.0

    def bytes(self) -> float:
        """Return how much it has grown by; the time stops."""
        self._taken = time.perf_counter() - self._started
        return self._grown()[0]

    def said(self) -> str:
        """Return the time, and how much of the growth is shared memory, in words."""
        return f"{self._taken * 1e3:.0f} ms in all, {self._grown()[1] / 1e6:.0f} MB of it shared memory"

    def _grown(self) -> tuple[float, float]:
        return grown(self._before, self._now())

    def _now(self) -> tuple[float, float, float]:
        """Return the PSS of all, what of it is shared memory, and the size of all files in shared memory."""
        pss = mapped = 0.0
        files: dict[int, int] = {}
        for process in family(*self._others, ours=self._ours):
            try:
                with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as file:
                    fields = {line.partition(":")[0]: line.split() for line in file}
                files.update(shared_files(process.pid))
            except OSError:
                continue  # it has ended
            pss += int(fields["Pss"][1]) * 1024
            mapped += int(fields["Pss_Shmem"][1]) * 1024
        return pss, mapped, float(sum(files.values()))


def shared_files(pid: int) -> dict[int, int]:
    """Return the bytes of each file in /dev/shm that a process has open or mapped, by inode; unlinked ones too."""
    device, found = os.stat("/dev/shm").st_dev, {}
    for kind in ("fd", "map_files"):
        for name in os.listdir(f"/proc/{pid}/{kind}"):
            try:
                status = os.stat(f"/proc/{pid}/{kind}/{name}")
            except OSError:
                continue  # closed meanwhile
            if status.st_dev == device:
                found[status.st_ino] = status.st_blocks * 512
    return found


def grown(before: tuple[float, float, float], now: tuple[float, float, float]) -> tuple[float, float]:
    """Return by how much memory grew, and how much of that is shared: of PSS, shared memory in it, shared memory lying.

    >>> grown((100, 0, 5), (130, 20, 205))  # of 200 that were written, 20 have been touched by who reads
    (210, 200)
    >>> grown((100, 0, 5), (140, 20, 5))  # shared memory without a file
    (40, 20)
    """
    private, mapped, lying = now[0] - before[0], now[1] - before[1], now[2] - before[2]
    shared = max(mapped, lying)
    return private - mapped + shared, shared


def array() -> Any:
    """Return an array of 1 MB."""
    import numpy

    return numpy.ones(ARRAY_BYTES // 8)


def context() -> Any:
    """Return an Arrow table of 200 MB."""
    import numpy
    import pyarrow

    column = numpy.random.default_rng(1).random(CONTEXT_BYTES // 8 // 8)
    return pyarrow.table({f"c{i}": column + i for i in range(8)})


def read(table: Any) -> float:
    """Read every byte of a table, as somebody would who was given it."""
    import pyarrow.compute

    return float(sum(pyarrow.compute.sum(column).as_py() for column in table.columns))


def until(condition: Callable[[], Any], within_s: float = 60.0) -> None:
    """Wait for something, looking often; TimeoutError if it does not come."""
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {within_s:g} s")
        time.sleep(0.0005)
