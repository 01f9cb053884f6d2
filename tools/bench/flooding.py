"""Mailboxes flooded faster than they are emptied, and the program that does it for `bench_memory`.

Actors, and a program of its own: `python -m tools.bench.flooding FROM` starts a node of two workers and says its
directory; on a line it begins to flood one slow actor for each overflow policy, `within` its worker, `between` workers,
or from the `user`'s process, and says `flooding`; on another line it stops, says how often each policy was offered a
message, how many its actor handled and the greatest depth seen, and ends.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any, Literal

import actorlab as al

CAPACITY = 256
OVERFLOWS: tuple[Literal["block", "reject", "drop_new", "drop_old"], ...] = ("block", "reject", "drop_new", "drop_old")
HANDLING_S = 0.02
TICK_S = 0.001
BURST = 100
MESSAGE = b"x" * 1000


class Slow(al.Actor):
    """Takes its time over each message, without holding the thread, and looks at its own depth."""

    def __init__(self) -> None:
        self.deepest = self.handled = 0

    async def on_receive(self, message: Any) -> None:
        import asyncio

        self.deepest = max(self.deepest, self.ref.statistics().depth)
        self.handled += 1
        await asyncio.sleep(HANDLING_S)

    def seen(self) -> tuple[int, int]:
        return self.deepest, self.handled


class Flooder(al.Actor):
    """Sends much faster than its receiver takes."""

    def __init__(self) -> None:
        self.offered = 0
        self.on = True

    async def on_receive(self, ref: Any) -> None:
        import asyncio

        for _ in range(BURST):
            self.offered += 1
            try:
                await ref.send(MESSAGE)
            except al.MailboxFull:
                pass
        await asyncio.sleep(TICK_S)
        if self.on:
            self.ref.tell(ref)

    def stop_flooding(self) -> int:
        self.on = False
        return self.offered


def flood_from_user(ref: Any, offered: list[int], stop: threading.Event) -> None:
    """The same from a thread of the user's process."""
    while not stop.is_set():
        for _ in range(BURST):
            offered[0] += 1
            try:
                ref.tell(MESSAGE)
            except al.MailboxFull:
                pass
        time.sleep(TICK_S)


def watch(refs: list[Any], deepest: list[int], stop: threading.Event) -> None:
    """Look at the node table, as any observer would, all the time."""
    while not stop.wait(TICK_S):
        for n, ref in enumerate(refs):
            deepest[n] = max(deepest[n], ref.statistics().depth)


def main(source: str) -> None:
    """Run it; see the module."""
    with al.Node(workers=2) as node:
        slow = [
            node.spawn(Slow, placement=1, mailbox=al.Mailbox(CAPACITY, overflow, timeout_s=0.05))
            for overflow in OVERFLOWS
        ]
        print(node.directory, flush=True)
        sys.stdin.readline()
        stop = threading.Event()
        deepest, offered = [0] * len(slow), [[0] for _ in slow]
        threads = [threading.Thread(target=watch, args=(slow, deepest, stop))]
        flooders: list[Any] = []
        if source == "user":
            threads += [
                threading.Thread(target=flood_from_user, args=(ref, count, stop))
                for ref, count in zip(slow, offered, strict=True)
            ]
        else:
            flooders = [node.spawn(Flooder, placement=1 if source == "within" else 2) for _ in slow]
            for flooder, ref in zip(flooders, slow, strict=True):
                flooder.tell(ref)
        for thread in threads:
            thread.start()
        print("flooding", flush=True)
        sys.stdin.readline()
        stop.set()
        for thread in threads:
            thread.join()
        if flooders:
            offered = [[flooder.within(30.0).call.stop_flooding()] for flooder in flooders]
        report = {}
        for overflow, ref, count, depth in zip(OVERFLOWS, slow, offered, deepest, strict=True):
            own, handled = ref.request.seen().get(timeout=60) if overflow == "block" else seen(ref)
            report[overflow] = {"offered": count[0], "handled": handled, "deepest": max(depth, own)}
        print(json.dumps(report), flush=True)


def seen(ref: Any) -> Any:
    """Ask a full actor what it has seen, until there is room for the question."""
    end = time.monotonic() + 60
    while True:
        try:
            return ref.within(60.0).call.seen()
        except al.MailboxFull:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


if __name__ == "__main__":
    main(sys.argv[1])
