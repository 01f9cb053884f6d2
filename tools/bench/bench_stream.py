"""Streamed replies: items a second that a generator of one worker yields to a reader in another.

Edge (starts nodes and processes). Beside a bare `multiprocessing.Pipe` that sends the same numbers one by one, and one
that sends them in lists of 512: what any batching could reach.
"""

from __future__ import annotations

from typing import Any

import actorlab as al

from . import peers
from .agents import Fountain, Listener
from .cores import apart
from .sample import Row, Sample, rate

ITEMS = 500_000


def between_workers() -> Sample:
    with al.Node(workers=2) as node, apart(node):
        reader = node.spawn(Listener, placement=1)
        fountain = node.spawn(Fountain, placement=2)
        reader.within(60.0).call.read(fountain, 10_000)
        return rate(ITEMS, reader.within(60.0).call.read(fountain, ITEMS))


def async_between_workers() -> Sample:
    with al.Node(workers=2) as node, apart(node):
        reader = node.spawn(Listener, placement=1)
        fountain = node.spawn(Fountain, placement=2)
        reader.within(60.0).call.read(fountain, 10_000)
        elapsed_ns: Any = reader.within(60.0).call.aread(fountain, ITEMS)
        return rate(ITEMS, elapsed_ns)


PEERS = (
    ("multiprocessing.Pipe, one item a send", peers.pipe_items),
    ("multiprocessing.Pipe, 512 items a send", peers.pipe_batches),
)

ROWS = (
    Row("stream_between_workers", "items/s", between_workers, 2.0e5, more_is_better=True, peers=PEERS),
    Row("stream_async_between_workers", "items/s", async_between_workers, 2.0e5, more_is_better=True),
)
