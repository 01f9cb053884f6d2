"""The peers: the same work done with Pykka, or with the standard library's `multiprocessing`, without a framework.

Edge (processes). What runs in another process is a function of this module, started by `spawn`, for this process
has threads.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from statistics import median
from typing import Any

import psutil
import pykka

from .cores import apart
from .sample import Sample, latency, rate, time_each

CONTEXT = multiprocessing.get_context("spawn")


class PykkaEcho(pykka.ThreadingActor):
    """Answers; counts what it is told."""

    use_daemon_thread = True

    def __init__(self, goal: int = 0) -> None:
        super().__init__()
        self.left, self.done, self.ended_ns = goal, threading.Event(), 0

    def on_receive(self, message: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            self.ended_ns = time.perf_counter_ns()
            self.done.set()
        return message

    def ask(self, other: pykka.ActorRef[Any], n: int) -> list[int]:
        return time_each(other.ask, n, warm_up=100)


def pykka_tell(n: int = 100_000) -> Sample:
    """Tell one ThreadingActor from the main thread, until it has handled the last."""
    ref = PykkaEcho.start(n)
    proxy = ref.proxy()
    done: threading.Event = proxy.done.get()
    started = time.perf_counter_ns()
    for i in range(n):
        ref.tell(i)
    done.wait()
    taken = rate(n, proxy.ended_ns.get() - started)
    ref.stop()
    return taken


def pykka_ask(n: int = 3_000) -> Sample:
    """One ThreadingActor asks another."""
    asker, other = PykkaEcho.start(), PykkaEcho.start()
    taken = latency(asker.proxy().ask(other, n).get())
    asker.stop()
    other.stop()
    return taken


def pykka_spawn(n: int = 2_000) -> Sample:
    """Start ThreadingActors, one after the other."""
    started = time.perf_counter_ns()
    refs = [PykkaEcho.start() for _ in range(n)]
    taken = rate(n, time.perf_counter_ns() - started)
    for ref in refs:
        ref.stop()
    return taken


def pykka_idle(n: int = 1_000) -> Sample:
    """Private memory per idle ThreadingActor, in bytes, measured in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=CONTEXT) as fresh:
        return fresh.submit(uss_of_pykka, n).result()


def uss_of_pykka(n: int) -> Sample:
    before = psutil.Process().memory_full_info().uss
    refs = [PykkaEcho.start() for _ in range(n)]
    after = psutil.Process().memory_full_info().uss
    for ref in refs:
        ref.stop()
    return Sample((after - before) / n, n)


def echo_over_pipe(end: Any) -> None:
    while (message := end.recv()) is not None:
        end.send(message)


@contextmanager
def echo_process(context: Any = CONTEXT) -> Iterator[tuple[Any, Any]]:
    """Yield a process that sends back what it gets, and our end of the pipe to it."""
    ours, theirs = context.Pipe()
    process = context.Process(target=echo_over_pipe, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    ours.send(0)
    ours.recv()
    try:
        yield process, ours
    finally:
        if process.is_alive():
            ours.send(None)
        process.join()
        ours.close()


def pipe_round_trip(n: int, gap_s: float = 0.0, *, pinned: bool = True) -> Sample:
    """A bare `multiprocessing.Pipe` round trip of a small tuple."""
    with echo_process() as (process, pipe), apart(others=(process.pid,), pinned=pinned):

        def round_trip(i: int) -> None:
            pipe.send(("echo", i))
            pipe.recv()

        return latency(time_each(round_trip, n, gap_s=gap_s, warm_up=20))


def take_all(queue: Any, n: int, end: Any) -> None:
    end.send("ready")
    for _ in range(n):
        queue.get()
    end.send(time.perf_counter_ns())


def queue_tell(n: int = 100_000) -> Sample:
    """A bare `multiprocessing.Queue`, one process to another, with no actor behind it."""
    queue = CONTEXT.Queue()
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=take_all, args=(queue, n, theirs), daemon=True)
    process.start()
    ours.recv()
    with apart(others=(process.pid,)):
        started = time.perf_counter_ns()
        for i in range(n):
            queue.put(i)
        taken = rate(n, ours.recv() - started)
    process.join()
    return taken


def pour(end: Any, n: int, batch: int) -> None:
    """Send `n` numbers, one a message or `batch` in a list."""
    end.recv()
    for i in range(0, n, batch):
        end.send(i if batch == 1 else list(range(i, min(n, i + batch))))
    end.send(None)


def _pipe_stream(n: int, batch: int) -> Sample:
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=pour, args=(theirs, n, batch), daemon=True)
    process.start()
    with apart(others=(process.pid,)):
        started = time.perf_counter_ns()
        ours.send("go")
        while ours.recv() is not None:
            pass
        taken = rate(n, time.perf_counter_ns() - started)
    process.join()
    return taken


def pipe_items(n: int = 200_000) -> Sample:
    """A bare `multiprocessing.Pipe` from one process to another, an item a message."""
    return _pipe_stream(n, 1)


def pipe_batches(n: int = 2_000_000) -> Sample:
    """The same with 512 items a message."""
    return _pipe_stream(n, 512)


def manager_lookup(n: int = 2_000) -> Sample:
    """A look-up in a `multiprocessing.Manager` dictionary: one process that everyone asks."""
    with CONTEXT.Manager() as manager:
        names = manager.dict({f"name-{i}": i for i in range(1_000)})
        return latency(time_each(lambda _: names["name-500"], n, warm_up=20))


def take_arrays(end: Any, reads: bool) -> None:
    while (array := end.recv()) is not None:
        if isinstance(array, int):
            end.send(time.perf_counter_ns())
        elif reads:
            array.sum()


def pipe_arrays(size: int, n: int, rounds: int, *, reads: bool = False) -> Sample:
    """A bare `multiprocessing.Pipe` that sends an array of `size` bytes `n` times: the median of `rounds`, in GB/s."""
    import numpy

    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=take_arrays, args=(theirs, reads), daemon=True)
    process.start()
    theirs.close()
    array = numpy.ones(size // 8)
    with apart(others=(process.pid,)):
        ours.send(array)
        ours.send(0)
        ours.recv()
        times = []
        for _ in range(rounds):
            started = time.perf_counter_ns()
            for _ in range(n):
                ours.send(array)
            ours.send(0)
            times.append(ours.recv() - started)
        taken = Sample(array.nbytes * n / median(times), n * rounds)
    ours.send(None)
    process.join()
    ours.close()
    return taken
