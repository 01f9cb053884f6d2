"""Cores: each process of a measurement on a core of its own.

Edge (the operating system's scheduler). Two processes that talk all the time are otherwise put on one core or on two as
it happens, for seconds, and every figure comes in two sizes; a peer's figure too. What is measured unpinned says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import actorlab as al


@contextmanager
def apart(node: al.Node | None = None, *, others: Sequence[int | None] = (), pinned: bool = True) -> Iterator[None]:
    """Pin this thread to one core, and a node's workers or `others` (pids) to the cores after it, in turn.

    `pinned=False` leaves all as it was, for the rows that show what chance makes of it.
    """
    if not pinned:
        yield
        return
    before = os.sched_getaffinity(0)
    cores = sorted(before)
    pids: Sequence[int | None] = [worker.pid for worker in node.workers] if node is not None else others
    os.sched_setaffinity(0, {cores[0]})
    for place, pid in enumerate(pids, 1):
        if pid is not None:
            os.sched_setaffinity(pid, {cores[place % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
