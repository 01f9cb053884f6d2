"""Counted work: what a message costs in things that noise does not move; the guard against growing slower unseen.

    python -m tools.bench.counted [--keep]

Edge (a trace function, embedded nodes, nodes with workers). Counts, for one message: the interpreter's instructions, in
the thread that does the work, waiting left out; the blocks of memory that are asked for, and those that are still there
when all is done; the bytes that lie in the lane, and those that its sender keeps of each actor that it has sent one to;
the system calls (`system_calls`).
`counted.json` keeps what was agreed; a test fails when a count has grown by more than the tolerance. Who makes a path
longer on purpose says `--keep`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import actorlab as al
from actorlab.actor import scheduler
from actorlab.transport import BLOCK_SHIFT, FREE, LaneReader, lane_path

from . import allocations, instructions, system_calls
from .bench_steps import run_apart
from .stepping import WHOLE

MESSAGE = (1, 2, 3, "increment", ("a text of forty-two characters, as it were", 7, 2.5, True))
KEPT = Path(__file__).with_name("counted.json")
MESSAGES = 400
TOLERANCE, SLACK = 0.05, 0.2
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

CYCLE = 256  # so many messages a kernel takes out of a lane at once


class Sink(al.Actor):
    """Takes, answers, and says when the counting of allocations begins and ends, in the thread that does the work."""

    def __init__(self) -> None:
        self.taken = self.until = self.counted = 0

    def count(self, messages: int) -> None:
        """Count from the next message on, what handling so many takes."""
        scheduler.SLICE_NS = 1 << 60
        self.taken, self.until, self.counted = 0, messages, 0

    def take(self, message: Any) -> None:
        if self.taken == 0 and self.until:
            allocations.begin()
        elif self.taken == self.until and self.until:
            self.counted, self.until = allocations.end(), 0
        self.taken += 1

    def end(self) -> int:
        """Count no more: who sends has begun."""
        return instructions.end()

    def end_of_allocations(self) -> int:
        return allocations.end()

    def allocated(self) -> int:
        return self.counted

    def echo(self, message: Any) -> Any:
        return message


class Source(al.Actor):
    """Sends and asks within its kernel, and counts meanwhile."""

    def tell(self, sink: al.ActorRef[Sink], n: int) -> int:
        take = sink.cast.take
        instructions.begin()
        for i in range(n):
            take(i)
        return sink.call.end()  # comes after them

    def call(self, sink: al.ActorRef[Sink], n: int) -> int:
        echo = sink.call.echo
        echo(0)
        instructions.begin()
        for i in range(n):
            echo(i)
        return instructions.end()

    def tell_allocating(self, sink: al.ActorRef[Sink], n: int) -> int:
        take, end = sink.cast.take, sink.call.end_of_allocations
        allocations.begin()
        for i in range(n):
            take(i)
        return end()

    def call_allocating(self, sink: al.ActorRef[Sink], n: int) -> int:
        echo = sink.call.echo
        echo(0)
        allocations.begin()
        for i in range(n):
            echo(i)
        return allocations.end()


def within_a_kernel() -> dict[str, float]:
    """Count what a tell (until handled) and a call (until answered) take between two actors of a kernel.

    Nobody's slice runs out meanwhile: how often one does is the machine's business, and the loop has a turn each time.
    """
    limits = scheduler.SLICE_NS, scheduler.HANDOVERS
    scheduler.SLICE_NS = scheduler.HANDOVERS = 1 << 60
    instructions.watch()
    try:
        with al.Node(workers=0) as node:
            sink, source = node.spawn(Sink), node.spawn(Source)
            work = source.call
            work.tell(sink, MESSAGES)  # the first time some things are made that stay
            counts = {
                "tell_instructions": work.tell(sink, MESSAGES),
                "call_instructions": work.call(sink, MESSAGES),
            }
    finally:
        instructions.unwatch()
    try:
        with al.Node(workers=0) as node:  # another, for who is traced asks for a block a function
            sink, source = node.spawn(Sink), node.spawn(Source)
            work = source.call
            counts |= {
                "tell_allocations": _settled(lambda: work.tell_allocating(sink, MESSAGES)),
                "call_allocations": _settled(lambda: work.call_allocating(sink, MESSAGES)),
                "tell_blocks_left": _blocks_left(lambda: work.tell(sink, MESSAGES), node),
            }
    finally:
        scheduler.SLICE_NS, scheduler.HANDOVERS = limits
    return {name: count / MESSAGES for name, count in counts.items()}


def _settled(count: Callable[[], int]) -> int:
    """Return the least of three: what is made the first time is not what a message takes."""
    return min(count() for _ in range(3))


def _blocks_left(work: Callable[[], object], node: al.Node) -> int:
    """Return how many memory blocks are there after `work` that were not before it, once it has been done before."""
    for _ in range(3):
        work()
        node.wait_idle()
    gc.collect()
    before = sys.getallocatedblocks()
    work()
    node.wait_idle()
    gc.collect()
    return max(0, sys.getallocatedblocks() - before)


def between_processes() -> dict[str, float]:
    """Count what a message takes in the sender's thread, in the lane, and in the receiver's."""
    with al.Node(workers=1) as node:
        sink = node.spawn(Sink, mailbox=al.Mailbox(capacity=100_000))
        take = sink.cast.take
        _repeat(take, 0, 50)
        node.wait_idle()
        with stopped(node):
            take(0)  # it rings: one of many does
            counts = {"send_instructions": _instructions_of(lambda: _repeat(take, 0, 300)) / 300}
            counts["send_allocations"] = _settled(lambda: allocations.counted(lambda: _repeat(take, 0, 300))) / 300
        node.wait_idle()
        with stopped(node):
            before = in_the_lane(node)
            _repeat(take, MESSAGE, MESSAGES)
            messages, payload, blocks = (now - then for now, then in zip(in_the_lane(node), before, strict=True))
        assert messages == MESSAGES, f"{messages} of {MESSAGES} lie in the lane"
        counts |= {"payload_bytes": payload / messages, "lane_bytes": blocks / messages}
        counts["handle_allocations"] = _allocations_of_handling(sink, node)
        counts["known_actor_bytes"] = _kept_of_each(node.spawn_many(Sink, MESSAGES), node)
        return counts


@contextmanager
def stopped(node: al.Node) -> Iterator[None]:
    """Have a node's worker stand still."""
    pid = node.workers[0].pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def in_the_lane(node: al.Node) -> tuple[int, int, int]:
    """Return how many messages lie in the lane to a node's first worker, their payloads' bytes, and their blocks'."""
    assert node.directory is not None
    reader = LaneReader(lane_path(node.directory, 0, 1))
    try:
        found = [reader.record(block) for block in range(reader.blocks) if reader.holds(block)]
        taken = sum(status != FREE for status in reader.status)
        return len(found), sum(length for *_, length in found), taken << BLOCK_SHIFT
    finally:
        reader.close()


def _allocations_of_handling(sink: al.ActorRef[Sink], node: al.Node) -> float:
    """Return how many blocks handling a message takes: of two times as many as are taken out of the lane at once."""
    found = []
    for _ in range(3):
        sink.call.count(2 * CYCLE)
        with stopped(node):
            _repeat(sink.cast.take, 0, 3 * CYCLE)
        node.wait_idle()
        found.append(sink.call.allocated())
    return min(found) / (2 * CYCLE)


def by_steps() -> dict[str, float]:
    """Count the instructions of handling a message, and of a call between processes, on each side: waiting left out."""
    handled = run_apart("handling", "counted")
    asked = run_apart("call between", "counted")

    def middle(rounds: list[dict[str, float]], *, there: bool) -> float:
        return median(
            sum(count for step, count in one.items() if step != WHOLE and step.startswith("there: ") == there)
            for one in rounds
        )

    return {
        "handle_instructions": middle(handled, there=False),
        "ask_instructions": middle(asked, there=False),
        "answer_instructions": middle(asked, there=True),
    }


def _kept_of_each(sinks: list[al.ActorRef[Sink]], node: al.Node) -> float:
    """Return the bytes that are kept here for each actor of another process that was sent a message."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for sink in sinks:
        sink.cast.take(0)
    node.wait_idle()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / len(sinks)


def _repeat(take: Callable[[Any], object], message: Any, n: int) -> None:
    for _ in range(n):
        take(message)


def _instructions_of(work: Callable[[], object]) -> int:
    """Return the instructions that `work` takes in this thread."""
    instructions.watch()
    try:
        instructions.begin()
        work()
        return instructions.end()
    finally:
        instructions.unwatch()


def count() -> dict[str, float]:
    """Return all counts, each the least of three: a look at the clock or a ring more is not what is guarded."""
    runs = [{**within_a_kernel(), **between_processes()} for _ in range(3)]
    return {name: min(run[name] for run in runs) for name in runs[0]} | by_steps() | system_calls.count()


def agreed() -> dict[str, dict[str, float]]:
    """Return what was agreed, by version of Python: each has instructions of its own."""
    kept: dict[str, dict[str, float]] = json.loads(KEPT.read_text("utf-8"))
    return kept


def grown(now: dict[str, float], kept: dict[str, float]) -> list[str]:
    """Return what has grown by more than the tolerance, and what is counted on one side only, in words.

    >>> grown({"a": 105.5, "b": 50.0}, {"a": 100.0, "b": 60.0})
    ['a: 105.5 a message, 100 were agreed']
    >>> grown({"a": 1.0}, {"b": 1.0})
    ['a: counted, and nothing agreed', 'b: agreed, and not counted']
    """
    only = [f"{name}: counted, and nothing agreed" for name in now if name not in kept]
    only += [f"{name}: agreed, and not counted" for name in kept if name not in now]
    return only + [
        f"{name}: {value:.4g} a message, {kept[name]:.4g} were agreed"
        for name, value in now.items()
        if name in kept and value > kept[name] * (1 + TOLERANCE) + SLACK
    ]


def main() -> int:
    """Count, compare, and keep if told."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.counted", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="agree to today's counts")
    options = parser.parse_args()
    now = count()
    for name, value in now.items():
        print(f"{name:<32}{value:10.2f}")
    kept = agreed()
    if options.keep:
        KEPT.write_text(json.dumps({**kept, VERSION: now}, indent=1) + "\n", "utf-8")
        return 0
    if VERSION not in kept:
        print(f"nothing was agreed for Python {VERSION}, but for {', '.join(kept)}: say --keep", file=sys.stderr)
        return 2
    more = grown(now, kept[VERSION])
    print(*more, sep="\n")
    return 1 if more else 0


if __name__ == "__main__":
    sys.exit(main())
