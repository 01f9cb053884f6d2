"""Floors: what no design in this interpreter, on this machine, does without: a queue, a pickle, a switch, a cache line.

Edge (greenlets, a forked process, shared memory). Beside the steps of `bench_steps`, timed in short rounds as they are.
"""

from __future__ import annotations

import mmap
import os
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from greenlet import getcurrent, greenlet

ns = time.perf_counter_ns
TURNS = 1_000
CROSSINGS = 100
BODY: tuple[str, tuple[int], dict[str, Any]] = ("take", (1,), {})
PAYLOAD = b"x" * 100


class _Taker:
    def take(self, message: Any) -> None:
        pass


def _queue() -> int:
    queue: deque[Any] = deque()
    append, popleft = queue.append, queue.popleft
    began = ns()
    for i in range(TURNS):
        append(i)
        popleft()
    return ns() - began


def _method() -> int:
    methods, taker, arguments, keywords = {"take": _Taker.take}, _Taker(), BODY[1], BODY[2]
    began = ns()
    for _ in range(TURNS):
        methods["take"](taker, *arguments, **keywords)
    return ns() - began


def _pickle() -> int:
    dumps = pickle.dumps
    began = ns()
    for _ in range(TURNS):
        dumps(BODY, 5)
    return ns() - began


def _unpickle() -> int:
    loads, packed = pickle.loads, pickle.dumps(BODY, 5)
    began = ns()
    for _ in range(TURNS):
        loads(packed)
    return ns() - began


def _copies() -> int:
    with mmap.mmap(-1, 4096) as shared:
        began = ns()
        for _ in range(TURNS):
            shared[0:100] = PAYLOAD
            shared[0:100]
        return ns() - began


def _switches() -> int:
    here = getcurrent()

    def other() -> None:
        while True:
            here.switch()

    there = greenlet(other)
    there.switch()
    switch = there.switch
    began = ns()
    for _ in range(TURNS):
        switch()
    took = ns() - began
    there.throw()
    return took


def _crossings() -> int:
    """A byte there and back between two processes that do nothing but look: what the machine takes for it."""
    cores = sorted(os.sched_getaffinity(0))
    with mmap.mmap(-1, 4096) as shared, memoryview(shared) as seen:
        pid = os.fork()
        if not pid:
            try:
                os.sched_setaffinity(0, {cores[-1]})
                for turn in range(CROSSINGS):
                    while seen[0] != turn & 1:
                        pass
                    seen[64] = turn & 1
            finally:
                os._exit(0)
        os.sched_setaffinity(0, {cores[0]})
        seen[64] = 1
        began = ns()
        for turn in range(CROSSINGS):
            seen[0] = turn & 1
            while seen[64] != turn & 1:
                pass
        took = ns() - began
        os.waitpid(pid, 0)
        os.sched_setaffinity(0, set(cores))
    return took * TURNS // CROSSINGS


FLOORS: dict[str, Callable[[], int]] = {
    "a deque, in and out": _queue,
    "a method called": _method,
    "pickled": _pickle,
    "unpickled": _unpickle,
    "100 bytes copied in and out": _copies,
    "a greenlet switch there and back": _switches,
    "a byte seen by another process, and one by us": _crossings,
}

PARTS: dict[str, dict[str, float]] = {
    "tell": {"a deque, in and out": 1, "a method called": 1},
    "sending": {"pickled": 1, "100 bytes copied in and out": 0.5},
    "handling": {"100 bytes copied in and out": 0.5, "unpickled": 1, "a method called": 1},
    "call": {"a greenlet switch there and back": 1, "a method called": 1},
    "call between": {
        "pickled": 2,
        "unpickled": 2,
        "100 bytes copied in and out": 2,
        "a method called": 1,
        "a greenlet switch there and back": 1,
        "a byte seen by another process, and one by us": 1,
    },
}
"""What the floor of each path is made of, and how often."""


def measure(paths: Iterable[str]) -> dict[str, float]:
    """Time once, in ns, what the floors of some paths are made of."""
    wanted = {name for path in paths for name in PARTS[path]}
    return {name: run() / TURNS for name, run in FLOORS.items() if name in wanted}
