"""What the tests of actors in one process stand on: an embedded node."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import actorlab as al
from actorlab.testing import VirtualClock


@pytest.fixture
def node() -> Iterator[al.Node]:
    with al.Node(workers=0, call_timeout_s=20.0) as node:
        yield node


class Keeper(al.Actor):
    """Keeps everything it is told where the test can look; stands for whoever watches."""

    def __init__(self, seen: queue.SimpleQueue[Any] | None = None) -> None:
        self.seen: queue.SimpleQueue[Any] = seen if seen is not None else queue.SimpleQueue()

    def on_receive(self, message: Any) -> Any:
        self.seen.put(message)
        return message

    def watch(self, ref: Any) -> int:
        return self.monitor(ref)

    def unwatch(self, number: int) -> None:
        self.demonitor(number)

    def tie(self, ref: Any) -> None:
        self.link(ref)

    def trap(self) -> None:
        self.trap_exit = True

    def end(self, reason: Any = "normal") -> None:
        self.stop(reason)

    def boom(self) -> None:
        raise ValueError("boom")

    def here(self) -> bool:
        return True


@pytest.fixture
def seen() -> queue.SimpleQueue[Any]:
    return queue.SimpleQueue()


@pytest.fixture
def keeper(node: al.Node, seen: queue.SimpleQueue[Any]) -> al.ActorRef[Keeper]:
    return node.spawn(Keeper, seen)


@pytest.fixture
def clock(node: al.Node) -> VirtualClock:
    return VirtualClock(node)


@pytest.fixture
def settled(node: al.Node) -> Callable[[], None]:
    """`settled()` returns when nothing runs, waits or is on its way."""
    return node.wait_idle
