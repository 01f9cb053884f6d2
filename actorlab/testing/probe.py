"""Probe: an actor that keeps what it is sent where the test can look at it.

An actor, in the test's own process, and its reader. It stands for whoever the tested actor talks to.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

from ..actor import Actor, ActorRef
from ..message import Down, Exit
from ..node import Node
from .patience import PATIENCE_S


class ProbeActor(Actor):
    """The actor behind a probe: puts every message into a queue, and answers what it is told to."""

    def __init__(self, received: queue.SimpleQueue[Any], answers: list[Any]) -> None:
        self._received, self._answers = received, answers

    def on_receive(self, message: Any) -> Any:
        """Keep a message; answer it with the next answer there is, or the last again."""
        self._received.put(message)
        if not self._answers or isinstance(message, Down | Exit):
            return None
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return answer(message) if callable(answer) else answer

    def watch(self, ref: ActorRef[Any]) -> None:
        """Monitor an actor."""
        self.monitor(ref)

    def tie(self, ref: ActorRef[Any]) -> None:
        """Link with an actor, trapping its exit."""
        self.trap_exit = True
        self.link(ref)


class Probe:
    """An actor of the test's own: `probe.ref` is given to those under test, `probe.expect(…)` sees what they send."""

    def __init__(self, node: Node, name: str | None = None) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._answers: list[Any] = []
        self._node = node
        self.ref = node.spawn(ProbeActor, self._queue, self._answers, name=name, placement="local")

    def expect(self, wanted: Any = object, within_s: float = PATIENCE_S) -> Any:
        """Wait for the next message and return it. AssertionError if none comes, or it is not `wanted`.

        `wanted` is a class, a value, or a function that says whether it is.
        """
        try:
            message = self._queue.get(timeout=within_s)
        except queue.Empty:
            raise AssertionError(f"no message within {within_s:g} s; wanted: {_shown(wanted)}") from None
        assert _fits(message, wanted), f"received {message!r}; wanted: {_shown(wanted)}"
        return message

    def expect_down(self, ref: ActorRef[Any] | None = None, within_s: float = PATIENCE_S) -> Down:
        """Wait for the `Down` of an actor that is watched (of `ref`, if told)."""
        down: Down = self.expect(Down, within_s)
        assert ref is None or down.ref == ref, f"Down of {down.ref!r}, not of {ref!r}"
        return down

    def expect_nothing(self) -> None:
        """Wait until the node is idle; AssertionError if a message has come by then."""
        self._node.wait_idle()
        left = self.received()
        assert not left, f"received {left!r}; wanted: nothing"

    def received(self) -> list[Any]:
        """Take and return what has come so far, without waiting."""
        found = []
        while True:
            try:
                found.append(self._queue.get_nowait())
            except queue.Empty:
                return found

    def answer_with(self, *answers: Any) -> None:
        """Answer the next asks with these, one after another, the last for ever; a function is given the message."""
        self._answers[:] = answers

    def watch(self, ref: ActorRef[Any]) -> None:
        """Monitor an actor: its `Down` comes as a message."""
        self.ref.call.watch(ref)

    def link(self, ref: ActorRef[Any]) -> None:
        """Link with an actor: its `Exit` comes as a message."""
        self.ref.call.tie(ref)

    def stop(self) -> None:
        """Stop the actor."""
        self.ref.stop()


def _fits(message: Any, wanted: Any) -> bool:
    if isinstance(wanted, type):
        return isinstance(message, wanted)
    if isinstance(wanted, Callable):  # type: ignore[arg-type]
        return bool(wanted(message))
    return bool(message == wanted)


def _shown(wanted: Any) -> str:
    return wanted.__name__ if isinstance(wanted, type) else repr(wanted)
