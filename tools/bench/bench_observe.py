"""Observing: what it costs to look at a running node once a second, from outside.

Edge (starts nodes). CPU time of the observer as a share of one core, by its own account, over SECONDS; the node's
actors are idle, and looked at all the same.
"""

from __future__ import annotations

import time

import actorlab as al
from actorlab import observe

from .sample import Row, Sample

SECONDS = 15


class Idle(al.Actor):
    """An actor that is there."""


def share(actors: int) -> Sample:
    """Return the observer's share of a core in per cent, and how many looks that were."""
    with al.Node(workers=2, start_timeout_s=60) as node:
        node.spawn_many(Idle, actors)
        assert node.directory is not None
        with observe.Observer(node.directory) as observer:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                seen = observer.look()
                time.sleep(0.25)
            return Sample(seen.observer.share * 100, seen.observer.looks)


ROWS = (
    Row("observe_share_1_000", "%", lambda: share(1_000), 1.0),
    Row("observe_share_100_000", "%", lambda: share(100_000), 1.0),
)
