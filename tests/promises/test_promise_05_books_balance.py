"""Promise 5: the books balance, at rest: accepted = handled + failed + dead-lettered (by reason) + queued."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from promise_drill import Recorder, open_all_lanes

import actorlab as al

pytestmark = pytest.mark.process

Eventually = Callable[..., None]


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    tree = al.Supervisor(max_restarts=1000, children=[al.child(Recorder, name="crashing", placement=1)])
    with al.Node(workers=2, tree=tree) as node:
        open_all_lanes(node)
        yield node


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("overflow", ["block", "drop_new", "drop_old"])
def test_every_message_of_a_mix_is_in_the_books_once(
    node: al.Node, tmp_path: Path, eventually: Eventually, overflow: Any, seed: int
) -> None:
    """Promise 5: handled, failed and dropped messages, from the user's process and from both workers."""
    dice = random.Random(seed)
    gate = tmp_path / "open"
    ref = node.spawn(Recorder, placement=1, mailbox=al.Mailbox(capacity=20, overflow=overflow, timeout_s=30.0))
    senders = [node.spawn(Recorder, placement=worker) for worker in (1, 2)]
    dropped = node.dead_letters.counts["dropped"]
    ref.cast.hold(str(gate))
    eventually((tmp_path / "open.held").exists)
    sent = 1
    waits = []
    for sender in senders:
        waits.append(sender.request.tell_all(ref, list(range(30))))
        sent += 30
    for n in range(60):
        if n == 15:
            gate.touch()
        dice.choice([ref.cast.take, ref.cast.bad, ref.tell])(n)
        sent += 1
    for wait in waits:
        wait.get(timeout=30)
    eventually(lambda: ref.statistics().accepted == sent and ref.statistics().depth == 0)
    books = ref.statistics()
    assert books.handled + books.failed + books.dead_lettered == sent
    eventually(lambda: node.dead_letters.counts["dropped"] - dropped == books.dead_lettered)
    assert len(ref.call.all()) == books.handled - 1


def test_what_waits_is_in_the_books_too(node: al.Node, tmp_path: Path, eventually: Eventually) -> None:
    """Promise 5: queued messages count as accepted; the one in hand is the one that is missing until it is done."""
    gate = tmp_path / "open"
    ref = node.spawn(Recorder, placement=2)
    ref.cast.hold(str(gate))
    eventually((tmp_path / "open.held").exists)
    for n in range(9):
        ref.tell(n)
    eventually(lambda: ref.statistics().depth == 9)
    assert ref.statistics().accepted == 9
    gate.touch()
    eventually(lambda: ref.statistics().handled == 10)


def test_the_books_go_on_over_crashes(node: al.Node, eventually: Eventually) -> None:
    """Promise 5: over restarts of the actor, and over its worker's death."""
    ref: Any = node.whereis("crashing")
    for round_ in range(3):
        for n in range(10):
            ref.tell(n)
        ref.cast.crash()
        for n in range(10):
            ref.tell(n)
        eventually(lambda round_=round_: ref.incarnation == round_ + 1)
    eventually(lambda: ref.statistics().accepted == 63 and ref.statistics().depth == 0)
    assert (ref.statistics().handled, ref.statistics().failed) == (60, 3)
    ref.cast.die()
    for n in range(10):
        ref.tell(n)
    eventually(lambda: ref.incarnation == 4)
    eventually(lambda: ref.statistics().accepted == 74 and ref.statistics().depth == 0)
    books = ref.statistics()
    assert (books.handled, books.failed, books.dead_lettered) == (70, 3, 1)
