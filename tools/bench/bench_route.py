"""Routing: what it costs to choose: a cast through a router beside a plain one, from a handler.

Edge (starts a node). The figure is the difference, in µs a cast, of alternating rounds to the same sinks in another
worker; the mailboxes are emptied between the rounds, so that no round waits for room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import actorlab as al

from .agents import Pourer, Sink
from .cores import apart
from .sample import Row, Sample

CASTS = 500
ROUNDS = 60


def _difference(by: str) -> Sample:
    with al.Node(workers=2, mailbox=al.Mailbox(capacity=4096)) as node, apart(node):
        sinks = node.spawn_many(Sink, 4, 0, placement=2)
        node.group("sinks").join(*sinks)
        pourer = node.spawn(Pourer, placement=1)
        pairs: Any = pourer.within(60.0).call.compare("sinks", by, CASTS, ROUNDS)
        routed, plain = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
        return Sample((routed - plain) / CASTS / 1e3, CASTS * ROUNDS)


def _by(rule: str) -> Callable[[], Sample]:
    return lambda: _difference(rule)


ROWS = (
    Row("route_round_robin", "µs over a cast", _by("round_robin"), 1.0),
    Row("route_random", "µs over a cast", _by("random")),
    Row("route_least_loaded", "µs over a cast", _by("least_loaded")),
    Row("route_consistent_hash", "µs over a cast", _by("consistent_hash")),
)
