"""Within one worker: tells handled a second, and what one call costs.

Edge (starts nodes). Driver and receiver are placed in the same worker; Pykka's actors are threads of this process.
"""

from __future__ import annotations

import actorlab as al

from . import peers
from .agents import Driver, Echo, Sink
from .sample import Row, Sample, latency, rate

TELLS = 300_000
CALLS = 50_000


def tell() -> Sample:
    with al.Node(workers=1) as node:
        driver = node.spawn(Driver, placement=1)
        sink = node.spawn(Sink, TELLS, placement=1)
        return rate(TELLS, driver.within(60.0).call.flood(sink, TELLS))


def call() -> Sample:
    with al.Node(workers=1) as node:
        driver = node.spawn(Driver, placement=1)
        echo = node.spawn(Echo, placement=1)
        return latency(driver.within(60.0).call.ask(echo, CALLS))


ROWS = (
    Row("inproc_tell", "msg/s", tell, 2.0e6, more_is_better=True, peers=(("Pykka tell", peers.pykka_tell),)),
    Row("inproc_call", "µs", call, 2.2, peers=(("Pykka ask", peers.pykka_ask),)),
)
