"""multiprocessing by itself: a Pipe to an echoing process and a Queue to a counting one; no actors, no framework."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from typing import Any

import playing

STARTED = time.perf_counter()
CONTEXT = multiprocessing.get_context("spawn")


def echo(end: Any) -> None:
    while (message := end.recv()) is not None:
        end.send(message)


def take(queue: Any, end: Any) -> None:
    while (n := end.recv()) is not None:
        for _ in range(n):
            queue.get()
        end.send(n)


def sink(end: Any) -> None:
    while end.recv() is not None:
        pass
    end.send("done")


def idle(end: Any) -> None:
    end.send("here")
    end.recv()


def start(target: Any, *args: Any) -> tuple[Any, Any]:
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=target, args=(*args, theirs), daemon=True)
    process.start()
    return process, ours


def main() -> None:
    works = playing.wanted()
    process, pipe = start(echo)
    queue: Any = CONTEXT.Queue()
    taker, counted = start(take, queue)
    pipe.send(1)
    pipe.recv()
    playing.say("start", time.perf_counter() - STARTED, note="two bare processes")
    if "base" in works:
        playing.say("base", playing.memory("pss") / 1e6, note="two bare processes")
    if n := works.get("call"):

        def ask() -> None:
            pipe.send(playing.MESSAGE)
            pipe.recv()

        playing.say_latency("call", playing.timed(ask, n), note="a Pipe")
    if n := works.get("tell"):
        counted.send(n)
        started = time.perf_counter()
        for _ in range(n):
            queue.put(playing.MESSAGE)
        counted.recv()
        playing.say("tell", n / (time.perf_counter() - started), n=n, note="a Queue")
    if n := works.get("array"):
        other, end = start(sink)
        data, started = playing.array(), time.perf_counter()
        for _ in range(n):
            end.send(data)
        end.send(None)
        end.recv()
        playing.say("array", n * playing.ARRAY_BYTES / (time.perf_counter() - started) / 1e9, n=n, note="a Pipe")
        other.join()
    if n := works.get("spawn"):
        started = time.perf_counter()
        made = [start(idle) for _ in range(n)]
        for _, end in made:
            end.recv()
        playing.say("spawn", n / (time.perf_counter() - started), n=n, note="processes")
        import psutil

        uss = sum(psutil.Process(one.pid).memory_full_info().uss for one, _ in made)
        playing.say("idle", uss / n, n=n, note="processes")
        for one, end in made:
            end.send(None)
            one.join()
    if n := works.get("restart"):
        times = []
        for _ in range(n):
            started = time.perf_counter()
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            process, pipe = start(echo)
            pipe.send(1)
            pipe.recv()
            times.append(time.perf_counter() - started)
        playing.say("restart", sorted(times)[len(times) // 2] * 1e3, n=n, note="by hand: join, spawn again")
    pipe.send(None)
    counted.send(None)
    process.join()
    taker.join()


if __name__ == "__main__":
    main()
