"""The actors of the tests of late news: they begin, say so in a file, and go on when another file lets them."""

from __future__ import annotations

import os
from pathlib import Path

import actorlab as al


def wait_for(gate: str) -> None:
    """Say which process is at it, then wait parked until the gate is opened."""
    Path(f"{gate}.begun.{os.getpid()}").touch()
    while not os.path.exists(gate):
        try:
            al.Future().get(timeout=0.01)
        except al.CallTimeout:
            pass


class Gated(al.Actor):
    """Has started when its gate is open."""

    def __init__(self, gate: str) -> None:
        wait_for(gate)

    def process(self) -> int:
        return os.getpid()


class Many(al.Actor):
    """Is at several messages at once, each waiting for its gate."""

    reentrant = True

    def pass_through(self, gate: str) -> int:
        wait_for(gate)
        return os.getpid()


class Asker(al.Actor):
    """Asks from its own worker: for an actor elsewhere, or something of one."""

    def order(self, gate: str, place: int) -> str:
        try:
            self.spawn(Gated, gate, placement=place)
        except al.StartError as error:
            return type(error).__name__
        return "started"

    def question(self, other: al.ActorRef[Many], gate: str) -> int:
        return other.within(30).call.pass_through(gate)
