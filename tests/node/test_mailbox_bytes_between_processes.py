"""Mailboxes bounded by bytes, whoever sends from wherever, and after the worker was killed too."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from messaging_drill import Held, Sender, open_all_lanes

import actorlab as al

pytestmark = pytest.mark.process

Eventually = Callable[..., None]
KB = b"x" * 1000


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with al.Node(workers=2, lane_blocks=256) as node:
        open_all_lanes(node)
        yield node


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "open"
    yield path
    path.touch()


def held(node: al.Node, gate: Path, **mailbox: Any) -> Any:
    ref = node.spawn(Held, placement=1, mailbox=al.Mailbox(**mailbox))
    hold(ref, gate)
    return ref


def hold(ref: Any, gate: Path) -> None:
    ref.cast.hold(str(gate))
    while not gate.with_name(gate.name + ".held").exists():
        time.sleep(0.001)
    gate.with_name(gate.name + ".held").unlink()


@pytest.mark.parametrize("overflow", ["block", "reject", "drop_new", "drop_old"])
def test_what_waits_never_weighs_more_than_the_bound(
    node: al.Node, gate: Path, eventually: Eventually, overflow: Any
) -> None:
    ref = held(node, gate, max_bytes=3500, overflow=overflow, timeout_s=0.2)
    depths: list[int] = []
    over = threading.Event()

    def sample() -> None:
        while not over.is_set():
            depths.append(ref.statistics().depth)

    sampler = threading.Thread(target=sample)
    sampler.start()
    senders = [node.spawn(Sender, placement=1 + n % 2) for n in range(6)]
    futures = [sender.request.tell(ref, [KB] * 5) for sender in senders]
    for _ in range(5):
        try:
            ref.tell(KB)
        except al.MailboxFull:
            pass
    eventually(lambda: ref.statistics().depth == 3)
    gate.touch()
    for future in futures:
        future.get(timeout=30)
    eventually(lambda: ref.statistics().depth == 0, 20)
    over.set()
    sampler.join()
    assert max(depths) <= 3  # each weighs a little over 1,000 bytes


@pytest.mark.parametrize("place", [1, 2])
def test_a_blocked_sender_waits_and_loses_nothing(
    node: al.Node, gate: Path, eventually: Eventually, place: int
) -> None:
    ref = held(node, gate, max_bytes=3500, timeout_s=20.0)
    sent = node.spawn(Sender, placement=place).request.tell(ref, [(n, KB) for n in range(50)])
    with pytest.raises(al.CallTimeout):
        sent.get(timeout=0.1)
    gate.touch()
    assert sent.get(timeout=20) == ["ok"] * 50
    eventually(lambda: [n for n, _ in ref.call.all()] == list(range(50)))


def test_a_sender_in_another_process_is_told_that_it_is_bytes(node: al.Node, gate: Path) -> None:
    ref = held(node, gate, max_bytes=3500, overflow="reject")
    for _ in range(3):
        ref.tell(KB)
    with pytest.raises(al.MailboxFull, match="3,500 bytes"):
        ref.tell(KB)
    gate.touch()
    assert ref.call.all() == [KB] * 3


def test_the_message_in_hand_does_not_count(node: al.Node, gate: Path) -> None:
    ref = node.spawn(Held, placement=1, mailbox=al.Mailbox(max_bytes=3500, overflow="reject"))
    for n in range(5):
        hold(ref, gate.with_name(f"open-{n}"))  # weighs little, and is in hand
        for _ in range(3):
            ref.tell(KB)
        gate.with_name(f"open-{n}").touch()
        ref.call.all()


def test_a_file_of_its_own_weighs_what_it_has(node: al.Node, gate: Path, eventually: Eventually) -> None:
    ref = held(node, gate, max_bytes=3 << 20, overflow="reject")
    for _ in range(2):
        ref.tell(bytes(1 << 20))
    with pytest.raises(al.MailboxFull, match="bytes"):
        ref.tell(bytes(1 << 20))
    with pytest.raises(al.MessageTooLarge, match="max_bytes of its mailbox"):
        ref.tell(bytes(4 << 20))
    other = node.spawn(Sender, placement=2)  # its own share is empty: the receiver's door decides
    assert other.call.tell(ref, [bytes(1 << 20)]) == ["ok"]
    eventually(lambda: any(letter.reason == "mailbox_full" for letter in node.dead_letters))
    gate.touch()
    assert len(ref.call.all()) == 2


def test_the_bound_holds_between_two_incarnations_of_a_killed_worker(gate: Path, eventually: Eventually) -> None:
    tree = al.Supervisor(
        children=[al.child(Held, name="held", placement=1, mailbox=al.Mailbox(max_bytes=3500, overflow="reject"))]
    )
    with al.Node(workers=1, tree=tree) as node:
        ref = node.whereis("held")
        assert ref is not None
        for path in (gate, gate.with_name("again")):
            hold(ref, path)
            for n in range(3):
                ref.tell((n, KB))
            with pytest.raises(al.MailboxFull, match="bytes"):
                ref.tell(KB)
            node.kill_worker(1)
            eventually(lambda: len(ref.within(20).call.all()) == 3)
            path.touch()
