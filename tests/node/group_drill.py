"""Actors for the tests of groups and topics; imported by the workers."""

from __future__ import annotations

from typing import Any

import actorlab as al


class Member(al.Actor):
    """Belongs to things, and keeps what it hears."""

    def __init__(self, group: str = "") -> None:
        self.heard: list[Any] = []
        self.group = group

    def on_start(self) -> None:
        if self.group:
            self.node.group(self.group).join(self.ref)

    def on_receive(self, message: Any) -> None:
        self.heard.append(message)

    def hear(self, what: Any, again: Any = None) -> None:
        self.heard.append((what, again))

    def take_heard(self) -> list[Any]:
        heard, self.heard = self.heard, []
        return heard

    def join(self, group: str, metadata: Any = None) -> int:
        return self.node.group(group).join(self.ref, metadata=metadata)

    def leave(self, group: str) -> int:
        return self.node.group(group).leave(self.ref)

    def members(self, group: str, local: bool = False) -> list[Any]:
        return self.node.group(group).members(local=local)

    def publish(self, topic: str, message: Any) -> int:
        return self.node.topic(topic).publish(message)

    def subscribe(self, topic: str) -> int:
        return self.node.topic(topic).subscribe(self.ref)

    def listen(self, group: str | None = None) -> None:
        self.node.listen(self.ref, group)

    def select(self, **criteria: Any) -> list[Any]:
        return self.node.select(**criteria)

    def describe(self, name: str, changes: Any) -> Any:
        return self.node.update_metadata(name, changes)

    def crash(self) -> None:
        raise RuntimeError("crash")


class Searcher(Member):
    """Another class."""
