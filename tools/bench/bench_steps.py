"""The two halves of a message between processes, each by itself: what sending costs, and what handling.

Edge (processes, SIGSTOP); run as `python -m tools.bench.bench_steps`. The receiver is stopped while the sender fills
its lane, and then goes on alone. The least of many rounds: what the steps cost, not what the machine was busy with.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import actorlab as al

ROUNDS, MESSAGES = 30, 2_000
ns = time.perf_counter_ns


class Sink(al.Actor):
    """Notes when the first and the last of some messages were handled."""

    def __init__(self) -> None:
        self.left = self.first = self.last = 0

    def expect(self, n: int) -> None:
        self.left, self.first = n, 0

    def take(self, message: Any) -> None:
        if not self.first:
            self.first = ns()
        self.left -= 1
        if not self.left:
            self.last = ns()

    def took(self) -> int:
        return self.last - self.first


def between() -> tuple[float, float]:
    """Return ns a message from this process to a worker: sending, handling."""
    sent, handled = [], []
    with al.Node(workers=1) as node:
        sink = node.spawn(Sink, mailbox=al.Mailbox(capacity=1_000_000), placement=1)
        take, pid = sink.cast.take, node.workers[0].pid
        for _ in range(ROUNDS):
            sink.call.expect(MESSAGES)
            os.kill(pid, signal.SIGSTOP)
            began = ns()
            for i in range(MESSAGES):
                take(i)
            sent.append(ns() - began)
            os.kill(pid, signal.SIGCONT)
            node.wait_idle()
            handled.append(sink.call.took())
    return min(sent) / MESSAGES, min(handled) / MESSAGES


def main() -> None:
    """Print both."""
    sending, handling = between()
    print(f"between processes: sending {sending:.0f} ns, handling {handling:.0f} ns a message")


if __name__ == "__main__":
    main()
