"""Actors that put, get, keep and publish, for the tests of a node's pools."""

from __future__ import annotations

from typing import Any

import actorlab as al


class Keeper(al.Actor):
    """Takes what it is given and keeps it."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def keep(self, handle: al.Handle, key: str = "it") -> Any:
        self.kept[key] = handle.get()
        return getattr(self.kept[key], "num_rows", None)

    def let_go(self, key: str = "it") -> None:
        del self.kept[key]

    def follow(self, pool: str, dataset: str) -> al.Handle | None:
        self.told: list[Any] = []
        return self.node.pool(pool).subscribe(dataset, self.ref)

    def on_receive(self, message: Any) -> None:
        if isinstance(message, al.NewVersion):
            self.told.append((message.dataset, message.handle.version, message.handle.get().num_rows))

    def heard(self) -> list[Any]:
        return self.told

    def publish(self, pool: str, dataset: str, data: Any) -> al.Handle:
        return self.node.pool(pool).publish(dataset, data)

    def hang(self, fifo: str) -> None:
        """Hold the worker until whoever has the other end closes it."""
        with open(fifo) as file:
            file.read()

    def put(self, pool: str, dataset: str, data: Any) -> al.Handle:
        return self.node.pool(pool).put(dataset, data)


class Follower(Keeper):
    """Follows a dataset from its start."""

    def on_start(self) -> None:
        self.follow("p", "v")


class Watcher(al.Actor):
    """Looks up and reads the current version again and again, until it is told to end; says what was wrong."""

    def __init__(self, pool: str, dataset: str) -> None:
        self.pool, self.dataset = self.node.pool(pool), dataset
        self.newest, self.reads, self.ended = -1, 0, False
        self.wrong: list[str] = []

    def read_on(self) -> None:
        try:
            array = self.pool.get(self.dataset)
        except al.ActorlabError as error:
            self.wrong.append(f"missing: {error}")
            return
        first = int(array[0])
        if (array != first).any():
            self.wrong.append("torn")
        if first < self.newest:
            self.wrong.append(f"{first} after {self.newest}")
        self.newest, self.reads = first, self.reads + 1
        if not self.ended:
            self.ref.cast.read_on()

    def end(self) -> None:
        self.ended = True

    def report(self) -> tuple[list[str], int, int]:
        return self.wrong, self.reads, self.newest
