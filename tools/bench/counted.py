"""Counted work: what a message costs in things that noise does not move; the guard against growing slower unseen.

    python -m tools.bench.counted [--keep]

Edge (a trace function, an embedded node, two workers). Counts, for one message: the interpreter's instructions, in the
thread that does the work; the memory blocks that are still there when all is done; the bytes it takes in a lane, and
those that its sender keeps of each actor that it has sent one to; the system calls (`system_calls`).
`counted.json` keeps what was agreed; a test fails when a count has grown by more than the tolerance. Who makes a path
longer on purpose says `--keep`.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import actorlab as al
from actorlab.actor import scheduler
from actorlab.transport import dumps
from actorlab.transport.lane_layout import BLOCK_BYTES, span_of

from . import system_calls

MESSAGE = (1, 2, 3, "increment", ("a text of forty-two characters, as it were", 7, 2.5, True))
KEPT = Path(__file__).with_name("counted.json")
MESSAGES = 400
TOLERANCE, SLACK = 0.05, 0.2
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

_tracing = {"on": False}
_instructions = {"count": 0}


def _trace(frame: FrameType, event: str, _argument: Any) -> Any:
    if _tracing["on"]:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            _instructions["count"] += 1
    return _trace


class Sink(al.Actor):
    """Takes, answers, and says when the counting begins and ends, in the thread that does the work."""

    def __init__(self) -> None:
        self.left = 0

    def begin(self, expected: int) -> None:
        self.left = expected
        _instructions["count"] = 0
        _tracing["on"] = True

    def take(self, message: Any) -> None:
        self.left -= 1
        if not self.left:
            _tracing["on"] = False

    def echo(self, message: Any) -> Any:
        return message


class Source(al.Actor):
    """Sends and asks within its kernel."""

    def tell(self, sink: al.ActorRef[Sink], n: int) -> None:
        take = sink.cast.take
        sink.cast.begin(n)
        for i in range(n):
            take(i)

    def call(self, sink: al.ActorRef[Sink], n: int) -> int:
        echo = sink.call.echo
        echo(0)
        _instructions["count"] = 0
        _tracing["on"] = True
        for i in range(n):
            echo(i)
        _tracing["on"] = False
        return _instructions["count"]


def within_a_kernel() -> dict[str, float]:
    """Count what a tell (until handled) and a call (until answered) take between two actors of a kernel.

    Nobody's slice runs out meanwhile: how often one does is the machine's business, and the loop has a turn each time.
    """
    limits = scheduler.SLICE_NS, scheduler.HANDOVERS
    threading.settrace(_trace)
    try:
        scheduler.SLICE_NS = scheduler.HANDOVERS = 1 << 60
        with al.Node(workers=0) as node:
            sink, source = node.spawn(Sink), node.spawn(Source)
            source.call.tell(sink, MESSAGES)
            node.wait_idle()
            told = _instructions["count"]
            called = source.call.call(sink, MESSAGES)
            left = _blocks_left(lambda: source.call.tell(sink, MESSAGES), node)
    finally:
        threading.settrace(None)
        _tracing["on"] = False
        scheduler.SLICE_NS, scheduler.HANDOVERS = limits
    return {
        "tell_instructions": told / MESSAGES,
        "call_instructions": called / MESSAGES,
        "tell_blocks_left": left / MESSAGES,
    }


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
    """Count what sending to another process takes in the sender's thread, and what a message takes in the lane."""
    with al.Node(workers=1) as node:
        sink = node.spawn(Sink, mailbox=al.Mailbox(capacity=100_000))
        take = sink.cast.take
        for i in range(50):
            take(i)
        node.wait_idle()
        counts = {"send_instructions": _counted(lambda: _repeat(take, 300)) / 300}
        node.wait_idle()
        counts["known_actor_bytes"] = _kept_of_each(node.spawn_many(Sink, MESSAGES), node)
        payload = dumps(("take", (MESSAGE,), {}), "a message")
        return counts | {"payload_bytes": float(len(payload)), "lane_bytes": float(span_of(len(payload)) * BLOCK_BYTES)}


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


def _repeat(take: Callable[[Any], object], n: int) -> None:
    for i in range(n):
        take(i)


def _counted(work: Callable[[], object]) -> int:
    """Return the instructions that `work` takes in this thread."""
    before = sys.gettrace()
    _instructions["count"] = 0
    sys.settrace(_trace)
    _tracing["on"] = True
    try:
        work()
    finally:
        _tracing["on"] = False
        sys.settrace(before)
    return _instructions["count"]


def count() -> dict[str, float]:
    """Return all counts, each the least of three: a look at the clock or a ring more is not what is guarded."""
    runs = [{**within_a_kernel(), **between_processes()} for _ in range(3)]
    return {name: min(run[name] for run in runs) for name in runs[0]} | system_calls.count()


def agreed() -> dict[str, float] | None:
    """Return what was agreed for this version of Python, None if nothing was: each has instructions of its own."""
    kept: dict[str, dict[str, float]] = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    return kept.get(VERSION)


def grown(now: dict[str, float], kept: dict[str, float]) -> list[str]:
    """Return what has grown by more than the tolerance, in words.

    >>> grown({"a": 105.5, "b": 50.0}, {"a": 100.0, "b": 60.0})
    ['a: 105.5 a message, 100 were agreed']
    """
    return [
        f"{name}: {value:.4g} a message, {kept[name]:.4g} were agreed"
        for name, value in now.items()
        if value > kept[name] * (1 + TOLERANCE) + SLACK
    ]


def main() -> int:
    """Count, compare, and keep if told."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.counted", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="agree to today's counts")
    options = parser.parse_args()
    now = count()
    for name, value in now.items():
        print(f"{name:<32}{value:10.2f}")
    if options.keep:
        kept = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
        KEPT.write_text(json.dumps({**kept, VERSION: now}, indent=1) + "\n", "utf-8")
        return 0
    before = agreed()
    if before is None:
        print(f"nothing was agreed for Python {VERSION}: say --keep", file=sys.stderr)
        return 2
    more = grown(now, before)
    print(*more, sep="\n")
    return 1 if more else 0


if __name__ == "__main__":
    sys.exit(main())
