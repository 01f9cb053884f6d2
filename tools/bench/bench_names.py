"""Names: what it costs to find an actor by its name, from the user's process and from a worker.

Edge (starts nodes). A thousand names are registered; beside a dictionary in a process that everyone asks.
"""

from __future__ import annotations

import actorlab as al

from . import peers
from .agents import Driver, Echo
from .sample import Row, Sample, latency, time_each

LOOK_UPS = 20_000
NAMES = 1_000


def from_user() -> Sample:
    with al.Node(workers=2) as node:
        register(node)
        whereis = node.whereis
        assert whereis("name-500") is not None
        return latency(time_each(lambda _: whereis("name-500"), LOOK_UPS, warm_up=100))


def from_worker() -> Sample:
    with al.Node(workers=2) as node:
        register(node)
        driver = node.spawn(Driver, placement=1)
        return latency(driver.within(60.0).call.look_up("name-500", LOOK_UPS))


def register(node: al.Node) -> None:
    for i in range(NAMES):
        node.spawn(Echo, name=f"name-{i}")


PEERS = (("multiprocessing.Manager dict", peers.manager_lookup),)

ROWS = (
    Row("names_whereis_user", "µs", from_user, 3.0, peers=PEERS),
    Row("names_whereis_worker", "µs", from_worker, 3.0, peers=PEERS),
)
