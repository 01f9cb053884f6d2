"""Promise 3: a send is accepted or refused, and a refusal says why: full, dead, too large, not picklable, stopping."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from promise_drill import Recorder, open_all_lanes

import actorlab as al

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with al.Node(workers=2, max_message_bytes=1 << 20) as node:
        open_all_lanes(node)
        yield node


def everybody(node: al.Node) -> list[Any]:
    return [node.spawn(Recorder, placement=placement) for placement in (1, 2)]


def refusal(send: Callable[..., Any], *args: Any) -> al.CallError:
    with pytest.raises(al.CallError) as error:
        answer = send(*args)
        if isinstance(answer, al.Future):
            answer.get(timeout=30)
    assert error.value.delivery == "never"
    return error.value


@pytest.mark.parametrize("how", ["tell", "cast", "call", "request", "ask"])
def test_a_refusal_says_why(node: al.Node, tmp_path: Path, eventually: Callable[..., None], how: str) -> None:
    """Promise 3: full, dead, too large, not picklable; each with a type of its own, and nothing was sent."""

    def sender_of(ref: Any) -> Callable[..., Any]:
        return ref.tell if how == "tell" else ref.ask if how == "ask" else getattr(ref, how).take  # type: ignore[no-any-return]

    gate = tmp_path / "open"
    full = node.spawn(Recorder, placement=1, mailbox=al.Mailbox(capacity=1, timeout_s=0.05))
    full.cast.hold(str(gate))
    eventually((tmp_path / "open.held").exists)
    full.tell("the one that fits")
    assert isinstance(refusal(sender_of(full), 1), al.MailboxFull)
    gate.touch()
    eventually(lambda: full.load() == 0)
    assert full.call.all() == ["the one that fits"]

    dead = node.spawn(Recorder, placement=1)
    dead.stop()
    assert isinstance(refusal(sender_of(dead), 1), al.ActorDied)

    alive = node.spawn(Recorder, placement=2)
    assert isinstance(refusal(sender_of(alive), bytes(2 << 20)), al.MessageTooLarge)
    assert isinstance(refusal(sender_of(alive), threading.Lock()), al.NotSendable)
    assert alive.call.all() == []


def test_what_comes_after_a_stop_is_refused_or_a_dead_letter(
    node: al.Node, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    """Promise 3: a call to an actor that is about to stop settles with ActorDied; a tell is a dead letter."""
    gate = tmp_path / "open"
    ref = node.spawn(Recorder, placement=1)
    ref.cast.hold(str(gate))
    stopped = ref.stop(block=False)
    late = ref.request.take("late")
    before = node.dead_letters.counts["stopped"]
    ref.tell("later")
    gate.touch()
    assert stopped.get(timeout=30) is True
    with pytest.raises(al.ActorDied) as died:
        late.get(timeout=30)
    assert died.value.delivery == "never"
    eventually(lambda: node.dead_letters.counts["stopped"] == before + 2)


def test_what_was_accepted_before_a_return_is_there_when_its_sender_is_killed(
    node: al.Node, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    """Promise 3: accepted means published, before `tell` returns: its sender may die at once."""
    gate = tmp_path / "open"
    ref = node.spawn(Recorder, placement=1)
    ref.cast.hold_worker(str(gate))
    sender = node.spawn(Recorder, placement=2)
    sender.call.tell_all(ref, list(range(100)))
    sender.cast.die()
    node.monitor(sender).get(timeout=30)
    gate.touch()
    eventually(lambda: ref.within(10).call.all() == list(range(100)))
    node.wait_idle()
