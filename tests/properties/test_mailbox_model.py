"""A mailbox against a small model: whatever is sent while its actor is held or runs, crashes or is released."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import actorlab as al

CAPACITY = 3


class Held(al.Actor):
    """Keeps what it is told in a list of the test's, and can be held."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    async def hold(self, began: threading.Event, gate: queue.SimpleQueue[None]) -> None:
        began.set()
        while gate.empty():
            await asyncio.sleep(0.0005)
        gate.get()

    def on_receive(self, message: Any) -> None:
        self.seen.append(message)
        if message == "boom":
            raise ValueError(message)


class MailboxMachine(RuleBasedStateMachine):
    """The model: what waits, whether the actor is held, what was seen, and the books."""

    overflow = "reject"

    def __init__(self) -> None:
        super().__init__()
        self.node = al.Node(workers=0, log_level="CRITICAL")
        self.seen: list[Any] = []
        bounds = al.Mailbox(CAPACITY, self.overflow, 30.0)
        tree = al.Supervisor(
            max_restarts=100_000,
            children=[al.child(Held, self.seen, name="held", mailbox=bounds, placement="local")],
        )
        self.node.start(tree)
        self.ref: Any = self.node.whereis("held")
        self.gate: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.held = False
        self.waits: deque[Any] = deque()
        self.expected: list[Any] = []
        self.handled = self.failed = self.refused = self.dropped = self.restarts = 0

    def teardown(self) -> None:
        if self.held:
            self.gate.put(None)
        self.node.stop()

    @initialize()
    def begin(self) -> None:
        assert self.ref.is_alive()

    def _take(self, message: Any) -> None:
        self.expected.append(message)
        if message == "boom":
            self.failed += 1
            self.restarts += 1
        else:
            self.handled += 1

    @rule(message=st.one_of(st.integers(), st.just("boom")))
    def tell(self, message: Any) -> None:
        full = self.held and len(self.waits) == CAPACITY
        # a verdict may take its time, where there is room
        self.ref.cell.bounds = al.Mailbox(CAPACITY, self.overflow, 0.01 if full else 30.0)
        try:
            self.ref.tell(message)
            told = True
        except al.MailboxFull:
            told = False
        assert told == (not full or self.overflow.startswith("drop")), (message, self.waits)
        if not self.held:
            self._take(message)
            self.node.wait_idle()
        elif not full:
            self.waits.append(message)
        elif self.overflow == "drop_old":
            self.waits.popleft()
            self.waits.append(message)
            self.dropped += 1
        else:
            self.refused += 1

    @precondition(lambda self: not self.held)
    @rule()
    def hold(self) -> None:
        began = threading.Event()
        self.ref.cast.hold(began, self.gate)
        assert began.wait(30)  # from here on it is in hand, and waits nowhere
        self.held = True

    @precondition(lambda self: self.held)
    @rule()
    def release(self) -> None:
        self.gate.put(None)
        self.handled += 1
        self.held = False
        while self.waits:
            self._take(self.waits.popleft())
        self.node.wait_idle()

    @invariant()
    def nothing_is_lost_doubled_or_overtaken(self) -> None:
        if not self.held:
            assert self.seen == self.expected
            assert self.ref.incarnation == self.restarts

    @invariant()
    def the_books_balance(self) -> None:
        books = self.ref.statistics()
        if not self.held:
            assert (books.handled, books.failed, books.depth) == (self.handled, self.failed, 0)
            # who waited at the door and left was never in; a refusal at once is in the receiver's books
            at_the_door = 0 if self.overflow == "block" else self.refused
            assert books.dead_lettered == at_the_door + self.dropped
        assert books.depth <= CAPACITY


@pytest.mark.parametrize("overflow", ["reject", "block", "drop_new", "drop_old"])
def test_a_mailbox_does_what_its_model_does(overflow):
    machine = type(f"Mailbox_{overflow}", (MailboxMachine,), {"overflow": overflow})
    checks = [HealthCheck.too_slow]
    run_state_machine_as_test(
        machine, settings=settings(max_examples=10, stateful_step_count=20, deadline=None, suppress_health_check=checks)
    )
