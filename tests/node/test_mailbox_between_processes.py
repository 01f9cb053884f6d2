"""Mailboxes are bounded strictly, whoever sends from wherever; who waits for room waits alone and is woken."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from messaging_drill import Crowder, Held, Sender, Threaded, open_all_lanes
from wake_drill import sound_sleepers

import actorlab as al

pytestmark = pytest.mark.process

Eventually = Callable[..., None]


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with al.Node(workers=2, lane_blocks=256, mailbox=al.Mailbox(timeout_s=60.0)) as node:
        open_all_lanes(node)
        yield node


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "open"
    yield path
    path.touch()


def held(node: al.Node, gate: Path, cls: type[Any] = Held, **mailbox: Any) -> Any:
    """Return an actor in worker 1 that is busy until the gate is open."""
    ref = node.spawn(cls, placement=1, mailbox=al.Mailbox(**mailbox))
    ref.cast.hold(str(gate))
    while not gate.with_name(gate.name + ".held").exists():
        time.sleep(0.001)
    gate.with_name(gate.name + ".held").unlink()
    return ref


def depth_settles(ref: Any, depth: int) -> Callable[[], bool]:
    return lambda: ref.statistics().depth == depth


@pytest.mark.parametrize("overflow", ["block", "reject", "drop_new", "drop_old"])
def test_depth_never_exceeds_capacity(node: al.Node, gate: Path, eventually: Eventually, overflow: Any) -> None:
    ref = held(node, gate, capacity=5, overflow=overflow, timeout_s=0.2)
    depths: list[int] = []
    over = threading.Event()

    def sample() -> None:
        while not over.is_set():
            depths.append(ref.statistics().depth)

    sampler = threading.Thread(target=sample)
    sampler.start()
    senders = [node.spawn(Sender, placement=1 + n % 2) for n in range(6)]
    futures = [sender.request.tell(ref, list(range(10))) for sender in senders]
    for _ in range(10):
        try:
            ref.tell("from the user")
        except al.MailboxFull:
            pass
    gate.touch()
    for future in futures:
        future.get(timeout=30)
    eventually(depth_settles(ref, 0))
    over.set()
    sampler.join()
    assert max(depths) <= 5


def test_a_blocked_sender_waits_and_loses_nothing(node: al.Node, gate: Path, eventually: Eventually) -> None:
    ref = held(node, gate, capacity=3, timeout_s=20.0)
    sender = node.spawn(Sender, placement=2)
    sent = sender.request.tell(ref, list(range(50)))
    eventually(depth_settles(ref, 3))
    assert sent.state == 0
    gate.touch()
    assert sent.get(timeout=20) == ["ok"] * 50
    eventually(lambda: ref.call.all() == list(range(50)))


def test_only_the_sender_waits(node: al.Node, gate: Path, eventually: Eventually) -> None:
    ref = held(node, gate, capacity=2, timeout_s=20.0)
    other = node.spawn(Held, placement=1)
    parked, free = node.spawn(Sender, placement=2), node.spawn(Sender, placement=2)
    waits = parked.request.tell(ref, list(range(20)))
    eventually(depth_settles(ref, 2))
    assert free.within(15).call.tell(other, list(range(500))) == ["ok"] * 500
    assert free.call.call(other, "take", "after all") == "after all"
    assert waits.state == 0
    gate.touch()
    assert waits.get(timeout=20) == ["ok"] * 20


def test_a_slow_actors_backlog_does_not_fill_the_lane_for_others(
    node: al.Node, gate: Path, eventually: Eventually
) -> None:
    slow = held(node, gate, capacity=100_000, timeout_s=20.0)  # far above what the lane holds
    other = node.spawn(Held, placement=1)
    flood, free = node.spawn(Sender, placement=2), node.spawn(Sender, placement=2)
    waits = flood.request.tell(slow, list(range(2000)))
    for n in range(50):
        assert free.call.call(other, "take", n) == n
    assert waits.state == 0
    gate.touch()
    assert waits.get(timeout=20) == ["ok"] * 2000
    eventually(lambda: slow.call.all() == list(range(2000)))


def test_a_backlog_of_middling_messages_does_not_fill_the_lane_for_others(
    node: al.Node, gate: Path, eventually: Eventually
) -> None:
    slow = held(node, gate, capacity=100, timeout_s=20.0)
    other = node.spawn(Held, placement=1)
    flood, free = node.spawn(Sender, placement=2), node.spawn(Sender, placement=2)
    # 40 blocks each: six of them fill the lane, so the others travel in files, a block each in the lane
    assert flood.within(10).call.tell(slow, [(n, b"x" * 10_000) for n in range(60)]) == ["ok"] * 60
    for n in range(50):
        assert free.within(30).call.call(other, "take", n) == n
    gate.touch()
    eventually(lambda: [item[0] for item in slow.call.all()] == list(range(60)))


def test_the_deadline_is_a_mailbox_full(node: al.Node, gate: Path) -> None:
    ref = held(node, gate, capacity=1, timeout_s=0.2)
    sender = node.spawn(Sender, placement=2)
    assert sender.call.tell(ref, [1])[0] == "ok"
    said, took_s = sender.within(90).call.tell_timed(ref, 2)
    assert said == "MailboxFull(mailbox)"
    assert 0.15 < took_s < 30  # not what a mailbox waits where nothing is said
    with pytest.raises(al.MailboxFull) as full:
        ref.tell(3)
        ref.tell(4)
    assert full.value.delivery == "never"


def test_a_calls_own_deadline_holds_at_the_door_too(node: al.Node, gate: Path) -> None:
    ref = held(node, gate, capacity=1, timeout_s=30.0)
    ref.tell(1)
    began = time.monotonic()
    with pytest.raises(al.MailboxFull):
        ref.within(0.2).call.take(2)
    assert time.monotonic() - began < 20
    sender = node.spawn(Sender, placement=2)
    sender.call.tell(ref, [3])
    with pytest.raises((al.MailboxFull, al.CallTimeout)):
        sender.call.call(ref, "take", 4, timeout_s=0.2)


def test_reject_refuses_at_once_from_the_sender_that_knows(node: al.Node, gate: Path) -> None:
    ref = held(node, gate, capacity=4, overflow="reject")
    sender = node.spawn(Sender, placement=2)
    said = sender.call.tell(ref, list(range(8)))
    assert said[:4] == ["ok"] * 4
    assert said[6:] == ["MailboxFull(mailbox)"] * 2
    with pytest.raises(al.MailboxFull) as full:
        sender.call.call(ref, "take", 1)
    assert full.value.args[1:3] == (4, "reject")


def test_reject_at_the_door_settles_calls_and_buries_tells(node: al.Node, gate: Path, eventually: Eventually) -> None:
    ref = held(node, gate, capacity=4, overflow="reject")
    first, second = node.spawn(Sender, placement=2), node.spawn(Sender, placement=1)
    assert second.call.tell(ref, [1, 2, 3, 4]) == ["ok"] * 4
    before = node.dead_letters.counts["mailbox_full"]
    assert first.call.tell(ref, [5]) == ["ok"]  # its worker does not know how full the mailbox is
    eventually(lambda: ref.statistics().dead_lettered == 1)
    eventually(lambda: node.dead_letters.counts["mailbox_full"] > before)  # others' of before may come late
    with pytest.raises(al.MailboxFull) as full:
        first.call.call(ref, "take", 6)
    assert full.value.delivery in ("never", "handled")
    eventually(lambda: ref.statistics().dead_lettered == 2)


def test_a_call_refused_at_the_door_says_that_nothing_ran(node: al.Node, gate: Path) -> None:
    ref = held(node, gate, capacity=2, overflow="reject")
    assert node.spawn(Sender, placement=1).call.tell(ref, [1, 2]) == ["ok"] * 2
    with pytest.raises(al.MailboxFull) as full:
        ref.call.take(3)
    assert full.value.delivery == "never"


def test_drop_new_keeps_the_old(node: al.Node, gate: Path, eventually: Eventually) -> None:
    ref = held(node, gate, capacity=3, overflow="drop_new")
    sender = node.spawn(Sender, placement=2)
    assert sender.call.tell(ref, list(range(10))) == ["ok"] * 10
    eventually(lambda: ref.statistics().dead_lettered == 7)
    gate.touch()
    eventually(lambda: ref.statistics().handled == 4)
    assert ref.call.all() == [0, 1, 2]


def test_drop_old_keeps_the_new_and_tells_the_victims_caller(
    node: al.Node, gate: Path, eventually: Eventually
) -> None:
    ref = held(node, gate, capacity=3, overflow="drop_old")
    victim = ref.request.take("old")
    sender = node.spawn(Sender, placement=2)
    assert sender.call.tell(ref, list(range(10))) == ["ok"] * 10
    with pytest.raises(al.MailboxFull) as full:
        victim.get(timeout=30)
    assert full.value.delivery == "never"
    eventually(lambda: ref.statistics().dead_lettered == 8)
    gate.touch()
    eventually(lambda: ref.statistics().handled == 4)
    assert ref.call.all() == [7, 8, 9]


def test_order_is_kept_through_the_line_outside(node: al.Node, gate: Path, eventually: Eventually) -> None:
    ref = held(node, gate, capacity=2, timeout_s=20.0)
    senders = [node.spawn(Sender, placement=1 + n % 2) for n in range(4)]
    futures = [sender.request.tell(ref, [(n, m) for m in range(40)]) for n, sender in enumerate(senders)]
    eventually(depth_settles(ref, 2))
    for m in range(40):
        ref.tell(("user", m))
        if m == 1:
            gate.touch()
    for future in futures:
        assert future.get(timeout=20) == ["ok"] * 40
    eventually(lambda: len(ref.call.all()) == 5 * 40)
    seen = ref.call.all()
    for n in (*range(4), "user"):
        mine = [m for who, m in seen if who == n]
        assert mine == sorted(mine)


def test_a_full_lane_is_said_to_be_one(node: al.Node, gate: Path, eventually: Eventually) -> None:
    stuck = node.spawn(Held, placement=1, mailbox=al.Mailbox(capacity=10_000, timeout_s=0.05))
    others = [node.spawn(Held, placement=1, mailbox=al.Mailbox(timeout_s=0.05)) for _ in range(2)]
    sender = node.spawn(Sender, placement=2)
    stuck.cast.hold_worker(str(gate))
    eventually(gate.with_name("open.held").exists)
    said = sender.within(20).call.tell(stuck, list(range(100)))
    said += sender.within(20).call.tell(others[0], list(range(150)))
    said += sender.within(20).call.tell(others[1], list(range(10)))
    assert "MailboxFull(lane)" in said
    gate.touch()
    eventually(lambda: stuck.within(10).call.all() == list(range(100)))
    eventually(lambda: others[1].statistics().depth == 0)
    node.wait_idle()
    left = others[0].within(10).call.all() + others[1].within(10).call.all()
    assert len(left) == said[100:].count("ok")


def test_stop_exit_and_down_always_get_in(node: al.Node, gate: Path, eventually: Eventually) -> None:
    ref = held(node, gate, capacity=1, timeout_s=0.1)
    watched = node.spawn(Held, placement=2)
    sender = node.spawn(Sender, placement=2)
    watcher = node.spawn(Held, placement=1, mailbox=al.Mailbox(capacity=1, timeout_s=0.1))
    watcher.call.watch(watched)
    watcher.cast.hold(str(gate))
    eventually(gate.with_name("open.held").exists)  # else what another process sends may be there before it
    assert "MailboxFull(mailbox)" in sender.call.tell(ref, [1, 2, 3])
    assert "MailboxFull(mailbox)" in sender.call.tell(watcher, [1, 2, 3])
    watched.stop()
    stopped = ref.stop(block=False)
    gate.touch()
    assert stopped.get(timeout=30) is True
    eventually(lambda: "down: normal" in watcher.call.all())
    victim = held(node, gate := gate.with_name("never"), capacity=1, timeout_s=0.1)
    assert "MailboxFull(mailbox)" in sender.call.tell(victim, [1, 2, 3])
    victim.exit("kill")
    eventually(lambda: not victim.is_alive())
    gate.touch()


def test_a_stop_comes_after_what_its_sender_sent_before(node: al.Node, gate: Path, eventually: Eventually) -> None:
    ref = held(node, gate, capacity=2, timeout_s=20.0)
    log = node.spawn(Held, placement=2)
    inside = node.spawn(Sender, placement=1)
    filled = inside.request.tell(ref, ["a", "b"])
    assert filled.get(timeout=30) == ["ok"] * 2
    asked = ref.request.take("before the stop")  # it waits at the door
    stopped = ref.stop(block=False)
    gate.touch()
    assert asked.get(timeout=30) == "before the stop"
    assert stopped.get(timeout=30) is True
    log.stop()


def test_two_actors_full_of_each_other_both_come_free(node: al.Node) -> None:
    refs = [
        node.spawn(Crowder, placement=1 + n, mailbox=al.Mailbox(capacity=2, timeout_s=0.3)) for n in range(2)
    ]
    refs[0].cast.flood(refs[1], 30)
    refs[1].cast.flood(refs[0], 30)
    for ref in refs:
        assert ref.within(30).call.flooded() is True


@pytest.mark.parametrize("cls", [Held, Threaded])
def test_a_parked_sender_is_rung_not_found_by_chance(cls: type[Any]) -> None:
    with sound_sleepers() as node:
        sender = node.spawn(Sender, placement=2)
        ref = node.spawn(cls, placement=1, mailbox=al.Mailbox(capacity=1, timeout_s=60.0))
        before = sender.call.rescues()
        for _ in range(5):
            assert sender.within(90).call.tell(ref, list(range(200))) == ["ok"] * 200
        rescued = sender.call.rescues() - before
        before = node.runtime.sending.rescues
        for n in range(500):
            ref.tell(n)
        rescued += node.runtime.sending.rescues - before
        assert rescued == 0


def test_an_async_handler_waits_for_room_without_holding_its_worker(
    node: al.Node, gate: Path, eventually: Eventually
) -> None:
    ref = held(node, gate, capacity=2, timeout_s=20.0)
    sender, other = node.spawn(Sender, placement=2), node.spawn(Sender, placement=2)
    sent = sender.request.send(ref, list(range(20)))
    eventually(depth_settles(ref, 2))
    assert other.call.ping() == "pong"
    assert sent.state == 0
    gate.touch()
    assert sent.get(timeout=20) == ["ok"] * 20
    eventually(lambda: ref.call.all() == list(range(20)))


def test_who_waits_for_an_actor_that_ends_is_told(node: al.Node, gate: Path, eventually: Eventually) -> None:
    ref = held(node, gate, capacity=1, timeout_s=30.0)
    sender = node.spawn(Sender, placement=2)
    sent = sender.request.tell(ref, [1, 2, 3, 4])
    eventually(depth_settles(ref, 1))
    ref.exit("kill")
    said = sent.get(timeout=30)
    assert "ActorDied(noproc)" in said


def test_a_users_coroutine_waits_for_room_without_blocking_its_loop(node: al.Node, gate: Path) -> None:
    ref = held(node, gate, capacity=2, timeout_s=20.0)

    async def send_all() -> int:
        turns = 0
        sending = asyncio.ensure_future(asyncio.wait_for(tell_ten(), 20))
        while not sending.done():
            turns += 1
            if turns == 20:
                gate.touch()
            await asyncio.sleep(0.001)
        await sending
        return turns

    async def tell_ten() -> None:
        for n in range(10):
            await ref.send(n)

    assert asyncio.run(send_all()) >= 20
    assert ref.call.all() == list(range(10))


def test_a_coroutine_that_waits_for_room_gets_mailbox_full_in_the_end(node: al.Node, gate: Path) -> None:
    ref = held(node, gate, capacity=1, timeout_s=0.1)

    async def send_two() -> None:
        await ref.send(1)
        await ref.send(2)

    with pytest.raises(al.MailboxFull):
        asyncio.run(send_two())


def test_who_has_ended_is_forgotten_by_those_who_sent_to_him(node):
    """Or a process that talks to ever new actors would keep a kilobyte of each."""
    known = node.runtime.sending._targets
    for _ in range(4):
        refs = node.spawn_many(Held, 500)
        for ref in refs:
            ref.tell("once")
        for ref in refs:
            ref.stop(block=False)
        node.wait_idle()
    assert len(known) < 1200
    living = node.spawn_many(Held, 600, placement=1)
    for ref in living:
        ref.tell("first")
        ref.tell("second")
    assert {tuple(ref.call.all()) for ref in living} == {("first", "second")}
    for ref in living:
        ref.stop(block=False)
    node.wait_idle()
