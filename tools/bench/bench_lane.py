"""Measure lanes, the node table, the board and doorbells, beside multiprocessing.Pipe in the same run.

An edge; run as `python -m tools.bench.bench_lane [--quick]`. Steps: the best of many short rounds, in one process.
Pairs: two processes, the sender pickling each message, median of five runs. Doorbells: both processes asleep, 3 ms
between round trips, rounds interleaved so that a noisy minute hits them all.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import platform
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actorlab.transport import (
    SLOT_WORDS,
    WORD,
    Board,
    Doorbell,
    LaneReader,
    LaneWriter,
    NodeTable,
    Ringer,
    create_doorbell,
    create_lane,
    slot_template,
)

PAYLOAD = b"x" * 100
MESSAGE: tuple[str, tuple[int, int, str], dict[str, Any]] = ("add", (1, 2, "hello"), {})
ns = time.perf_counter_ns


class Destination:
    __slots__ = ("out",)

    def __init__(self) -> None:
        self.out = 0


def steps(folder: Path, rounds: int) -> None:
    """Print the nanoseconds of each step."""
    create_lane(folder / "lane")
    writer, reader, sink = LaneWriter(folder / "lane"), LaneReader(folder / "lane"), Destination()
    table, board = NodeTable.create(folder / "table"), Board.create(folder / "board")
    words, template, n = table.words, slot_template(), 500
    best: dict[str, int] = {}

    def note(step: str, began: int, count: int = n) -> None:
        took = (ns() - began) // count
        best[step] = min(best.get(step, took), took)

    for _ in range(rounds):
        send, free, copy, status = writer.try_send, reader.free, reader.payload_bytes, reader.status
        began = ns()
        for _ in range(n):
            send(77, 88, 1, 2, PAYLOAD, sink)
        note("lane: send 100 bytes, with a sink", began)
        began = ns()
        records = []
        while found := reader.drain(64):
            records += found
        note("lane: drain, 64 at a time", began)
        began = ns()
        for record in records:
            copy(record[4], record[5])
        note("lane: payload_bytes", began)
        began = ns()
        for record in records:
            free(record[4])
        note("lane: free", began)
        for _ in range(n):
            send(77, 88, 1, 2, PAYLOAD)
        began = ns()
        while found := reader.drain(64):
            for _dest, _corr, _kind, _flags, block, _length in found:
                status[block] = 0
        note("lane: drain and free by `status[block] = 0`", began)
        began = ns()
        for _ in range(50):
            send(77, 88, 1, 2, PAYLOAD * 20)
        note("lane: send 2,000 bytes", began, 50)
        for record in reader.drain():
            free(record[4])
        began = ns()
        for value in range(n):
            words[value * SLOT_WORDS + WORD] = value << 24
        note("table: store handled and in hand", began)
        began = ns()
        slots = table.allocate_many(n, template)
        note("table: allocate and fill a slot", began)
        for index, _ in slots:
            table.release(index)
        began = ns()
        for _ in range(n):
            board.post(3, 1)
        note("board: post, news already up", began)
        board.take(3)
        began = ns()
        for sender in range(200):
            board.post(3, sender)
        note("board: post", began, 200)
        board.take(3)
        began = ns()
        for _ in range(n):
            board.take(3)
        note("board: take, no news", began)
        floor(note, n)
    for step, took in best.items():
        print(f"{step:46s}{took:7,d} ns")
    for one in (writer, reader, table, board):
        one.close()
    os.unlink(folder / "lane")


def floor(note: Callable[[str, int, int], None], n: int) -> None:
    """Time what no design in this interpreter does without: a pickle each way, a queue, a call of a method."""
    dumps, loads, body, packed = pickle.dumps, pickle.loads, MESSAGE, pickle.dumps(MESSAGE, 5)
    queue: deque[object] = deque()
    adder, arguments, keywords = Adder(), MESSAGE[1], MESSAGE[2]
    began = ns()
    for _ in range(n):
        dumps(body, 5)
    note("floor: pickle a message", began, n)
    began = ns()
    for _ in range(n):
        loads(packed)
    note("floor: unpickle it", began, n)
    began = ns()
    for _ in range(n):
        queue.append(body)
        queue.popleft()
    note("floor: into a deque and out", began, n)
    began = ns()
    for _ in range(n):
        adder.add(*arguments, **keywords)
    note("floor: call a method with what was unpickled", began, n)
    began = ns()
    for _ in range(n):
        pass
    note("floor: a turn of an empty loop", began, n)


class Adder:
    """The handler of the floor."""

    def add(self, a: int, b: int, text: str) -> None:
        pass


def child(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def lane_pair(folder: Path, n: int) -> float:
    """Return messages a second through a lane: pickled by the sender, unpickled and freed by the receiver."""
    path = folder / "lane"
    create_lane(path)

    def receive() -> None:
        reader, loads, got = LaneReader(path), pickle.loads, 0
        status, copy = reader.status, reader.payload_bytes
        while got < n:
            records = reader.drain()
            if not records:
                os.sched_yield()
            for _dest, _corr, _kind, _flags, block, length in records:
                loads(copy(block, length))
                status[block] = 0
            got += len(records)

    pid = child(receive)
    writer, sink, dumps = LaneWriter(path), Destination(), pickle.dumps
    send = writer.try_send
    began = time.perf_counter()
    for number in range(n):
        data = dumps(MESSAGE, 5)
        while send(77, number, 1, 0, data, sink) < 0:
            os.sched_yield()
    os.waitpid(pid, 0)
    took = time.perf_counter() - began
    writer.close()
    os.unlink(path)
    return n / took


def pipe_pair(_folder: Path, n: int) -> float:
    """Return messages a second through a multiprocessing.Pipe."""
    ours, theirs = multiprocessing.Pipe()

    def receive() -> None:
        for _ in range(n):
            theirs.recv()

    pid = child(receive)
    began = time.perf_counter()
    for _ in range(n):
        ours.send(MESSAGE)
    os.waitpid(pid, 0)
    return n / (time.perf_counter() - began)


Bell = tuple[Callable[[], object], Callable[[], object], int]


def fifo_bells(folder: Path) -> tuple[Bell, Bell]:
    for name in "ab":
        create_doorbell(folder / name)
    bells = [Doorbell(folder / name) for name in "ab"]
    ringers = [Ringer(folder / name) for name in "ba"]
    return tuple((ringers[i].ring, bells[i].clear, bells[i].fileno()) for i in (0, 1))  # type: ignore[return-value]


def datagram_bells(folder: Path) -> tuple[Bell, Bell]:
    def bell(mine: str) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        made.bind(str(folder / mine))
        return made

    def ringer(to: str) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        made.connect(str(folder / to))
        return made

    bells = [bell("a"), bell("b")]
    ringers = [ringer("b"), ringer("a")]

    def ends(i: int) -> Bell:
        return (lambda: ringers[i].send(b"\1")), (lambda: bells[i].recv(16)), bells[i].fileno()

    return ends(0), ends(1)


def pipe_bells(_folder: Path) -> tuple[Bell, Bell]:
    ends = multiprocessing.Pipe()

    def bell(i: int) -> Bell:
        return (lambda: ends[i].send_bytes(b"\1")), ends[i].recv_bytes, ends[i].fileno()

    return bell(0), bell(1)


def round_trips(make: Callable[[Path], tuple[Bell, Bell]], n: int) -> list[float]:
    """Return the microseconds of `n` round trips between two sleeping processes."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    (ring, clear, fd), (their_ring, their_clear, their_fd) = make(folder)

    def answer() -> None:
        wait = select.epoll()
        wait.register(their_fd, select.EPOLLIN)
        for _ in range(n):
            wait.poll()
            their_clear()
            their_ring()

    pid = child(answer)
    wait, times = select.epoll(), []
    wait.register(fd, select.EPOLLIN)
    for _ in range(n):
        time.sleep(0.003)
        began = ns()
        ring()
        wait.poll()
        clear()
        times.append((ns() - began) / 1000)
    os.waitpid(pid, 0)
    shutil.rmtree(folder)
    return times


def main() -> None:
    quick = "--quick" in sys.argv
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores, {commit.stdout.strip()}")
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        steps(folder, 30 if quick else 300)
        n = 20_000 if quick else 300_000
        pairs: list[tuple[str, Callable[[Path, int], float]]] = [("lane", lane_pair), ("Pipe", pipe_pair)]
        for name, pair in pairs:
            rates = sorted(pair(folder, n) for _ in range(5))
            worst, central, best = (f"{rates[i] / 1e6:.2f}" for i in (0, 2, 4))
            print(f"pair, {name}, small pickles, n={n:,}: median {central} M messages/s, worst {worst}, best {best}")
        kinds = [("named pipe", fifo_bells), ("datagram", datagram_bells), ("mp.Pipe", pipe_bells)]
        trips: dict[str, list[float]] = {name: [] for name, _ in kinds}
        for _ in range(2 if quick else 8):
            for name, make in kinds:
                trips[name] += round_trips(make, 20 if quick else 150)
        for name, times in trips.items():
            p99 = statistics.quantiles(times, n=100)[-1]
            middle = statistics.median(times)
            print(f"round trip, both asleep, {name:10s} n={len(times)}: median {middle:.0f} us, p99 {p99:.0f}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
