"""Actors for the tests of names; imported by the workers."""

from __future__ import annotations

import os
from typing import Any

import actorlab as al


class Clerk(al.Actor):
    """Asks its node about names."""

    def find(self, name: Any) -> Any:
        return self.node.whereis(name)

    def find_often(self, name: str, times: int) -> Any:
        for _ in range(times):
            found = self.node.whereis(name)
        return found

    def register(self, name: Any, ref: Any, metadata: Any = None) -> None:
        self.node.register(name, ref, metadata)

    def unregister(self, name: Any) -> bool:
        freed: bool = self.node.unregister(name)
        return freed

    def metadata(self, name: Any) -> Any:
        return self.node.metadata(name)

    def own_name(self) -> Any:
        return self.ref.name

    def crash(self) -> None:
        raise RuntimeError("crash")


class Lingering(al.Actor):
    """Ends when a gate is opened."""

    def __init__(self, gate: str) -> None:
        self.gate = gate

    def on_stop(self) -> None:
        while not os.path.exists(self.gate):
            try:
                al.Future().get(timeout=0.01)
            except al.CallTimeout:
                pass

    def leave(self) -> None:
        self.stop()


class Restless(al.Actor):
    """Wants a name, again and again."""

    def race(self, name: str, rounds: int) -> list[bool]:
        won = []
        for n in range(rounds):
            try:
                self.node.register(f"{name} {n}", self.ref)
                won.append(True)
            except al.NameTaken:
                won.append(False)
        return won


def open_all_lanes(node: al.Node) -> None:
    """Have this process open what it keeps open of its node, so that no test of a module's node is blamed for it."""
    for worker in node.workers:
        ref = node.spawn(Restless, placement=worker.number)
        ref.statistics()
        ref.stop()
    node.wait_idle()
