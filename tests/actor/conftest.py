"""What the tests of actors in one process stand on: an embedded node, a clock that only a test moves, and gates."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import actorlab as al
from actorlab.ids import LOCAL_HOME


@pytest.fixture
def node() -> Iterator[al.Node]:
    with al.Node(workers=0) as node:
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


class Clock:
    """The time of one kernel's timers and deadlines; it stands still until it is moved."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._now = kernel.timers.now()
        kernel.timers.now = kernel.deadlines.now = lambda: self._now

    def advance(self, seconds: float) -> None:
        """Move on; what is due then happens before anything that is sent later."""
        self._now += seconds
        done: al.Future[None] = al.Future()
        self._kernel.post(self._kernel.submit, lambda: None, done)
        done.get(timeout=5)


@pytest.fixture
def clock(node: al.Node) -> Clock:
    node.spawn(Keeper).stop()  # the kernel of this process starts with its first actor
    return Clock(node.runtime.kernels[LOCAL_HOME])


@pytest.fixture
def settled(node: al.Node) -> Callable[[], None]:
    """`settled()` returns when nothing runs, waits or is on its way."""
    return node.wait_idle
