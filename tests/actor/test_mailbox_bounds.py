"""Bounds of mailboxes within one process: what each policy does with one message too many, and to whom."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

import actorlab as al


class Slow(al.Actor):
    """Handles nothing while it waits at a gate."""

    def __init__(self, seen):
        self._seen = seen

    def wait(self, gate):
        self._seen.put("in")
        gate.get()

    def on_receive(self, message):
        self._seen.put(message)
        return message

    def take(self, message):
        self._seen.put(message)
        return message

    def fill_own(self, n):
        for k in range(n):
            self.ref.tell(k)


class SlowBlocker(Slow):
    blocking = True


class Sender(al.Actor):
    def send(self, ref, *messages):
        for message in messages:
            ref.tell(message)
        return "sent"

    def send_by_call(self, ref, message, timeout_s):
        return ref.within(timeout_s).call.take(message)

    def here(self):
        return True


class BlockingSender(Sender):
    blocking = True


class Held:
    """An actor that is held at a gate, and how to let it go."""

    def __init__(self, node, seen, kind, **bounds):
        self.node, self.seen = node, seen
        self.ref = node.spawn(kind, seen, mailbox=al.Mailbox(**{"timeout_s": 60.0, **bounds}))
        self.gate = al.Future()
        self.done = self.ref.request.wait(self.gate)
        assert seen.get(timeout=30) == "in"

    def hurry(self, timeout_s):
        """From now on whoever waits at its door waits only so long; what was to get in had all the time it needs."""
        self.ref.cell.bounds = replace(self.ref.cell.bounds, timeout_s=timeout_s)

    def release(self):
        assert self.node.spawn(Sender).call.here()  # what other threads sent has reached the door by now
        self.gate.set(None)
        self.done.get(timeout=30)
        return self.take()

    def take(self):
        """What it has handled since, when all is at rest."""
        self.node.wait_idle()
        found = []
        while not self.seen.empty():
            found.append(self.seen.get_nowait())
        return found


@pytest.fixture(params=[Slow, SlowBlocker])
def held(request, node, seen):
    def hold(**bounds):
        one = Held(node, seen, request.param, **bounds)
        made.append(one)
        return one

    made = []
    yield hold
    for one in made:
        if not one.gate.outcome()[0]:
            one.gate.set(None)


@pytest.fixture(params=[Sender, BlockingSender])
def sender(request, node):
    return node.spawn(request.param)


def reasons(node):
    return [(letter.message, letter.reason) for letter in node.dead_letters]


# -- block


def test_block_parks_the_sender_and_nobody_else(node, held):
    full, sender, other = held(capacity=2), node.spawn(Sender), node.spawn(Sender)
    sent = sender.request.send(full.ref, 1, 2, 3, 4)
    assert other.call.here()
    assert not sent.outcome()[0]
    assert full.release() == [1, 2, 3, 4]
    assert sent.get(timeout=30) == "sent"


def test_block_holds_a_blocking_sender_and_a_thread_of_the_users_too(node, held):
    full, sender = held(capacity=1), node.spawn(BlockingSender)
    sent = sender.request.send(full.ref, 1, 2, 3)
    thread = threading.Thread(target=lambda: [full.ref.tell(message) for message in "abc"])
    thread.start()
    assert not sent.outcome()[0] and thread.is_alive()
    found = full.release()
    thread.join(30)  # it may not have begun when the others were through
    assert sorted(map(str, found + full.take())) == ["1", "2", "3", "a", "b", "c"]
    assert sent.get(timeout=30) == "sent"


def test_room_is_given_in_the_order_of_arrival(node, held):
    full = held(capacity=1)
    full.ref.tell("first")
    senders = [node.spawn(Sender) for _ in range(5)]
    waiting = []
    for n, sender in enumerate(senders):
        waiting.append(sender.request.send(full.ref, n))
        sender_has_sent(node, sender)
    assert full.release() == ["first", 0, 1, 2, 3, 4]
    assert [sent.get(timeout=30) for sent in waiting] == ["sent"] * 5


def sender_has_sent(node, sender):
    """The sender has begun when another actor, called after it, has answered."""
    assert node.spawn(Sender).call.here()


def test_whoever_waits_at_the_door_is_not_passed_by(node, held):
    full = held(capacity=1)
    full.ref.tell("first")
    sender = node.spawn(Sender)
    sent = sender.request.send(full.ref, 1)
    assert node.spawn(Sender).call.here()
    later = node.spawn(Sender).request.send(full.ref, 2, 3)
    assert full.release() == ["first", 1, 2, 3]
    assert (sent.get(timeout=30), later.get(timeout=30)) == ("sent", "sent")


def test_a_blocked_send_gives_up_at_its_deadline(held, sender):
    full = held(capacity=1)
    assert sender.call.send(full.ref, 1) == "sent"
    full.hurry(0.02)
    with pytest.raises(al.MailboxFull) as refused:
        sender.call.send(full.ref, 2)
    assert "1 messages, overflow='block'" in str(refused.value)
    assert full.release() == [1]


def test_a_blocked_send_from_a_thread_of_the_users_gives_up_at_its_deadline(held):
    full = held(capacity=1)
    full.ref.tell(1)
    full.hurry(0.02)
    with pytest.raises(al.MailboxFull):
        full.ref.tell(2)
    with pytest.raises(al.MailboxFull):
        full.ref.call.take(3)
    with pytest.raises(al.MailboxFull):
        full.ref.ask(4)
    assert full.release() == [1]


def test_who_gave_up_before_the_kernel_came_to_look_is_not_let_in_after_all(node, seen):
    ref, go_on = node.spawn(Slow, seen, mailbox=al.Mailbox(capacity=1, timeout_s=0.02)), threading.Event()
    ref.cell.kernel.post(go_on.wait, 30)
    with pytest.raises(al.MailboxFull):
        ref.tell("refused")
    go_on.set()
    node.wait_idle()
    assert seen.empty()


@pytest.mark.parametrize(("door_s", "call_s"), [(0.02, 30.0), (30.0, 0.02), (0.02, None)])
def test_a_call_waits_at_a_door_for_the_shorter_of_both_deadlines(held, sender, door_s, call_s):
    full = held(capacity=1)
    full.ref.tell("first")
    full.hurry(door_s)
    with pytest.raises(al.MailboxFull):
        sender.within(30).call.send_by_call(full.ref, "late", call_s)
    assert full.release() == ["first"]


def test_a_call_that_was_let_in_has_the_rest_of_its_own_deadline(node, held, clock):
    full, sender = held(capacity=1), node.spawn(Sender)
    full.ref.tell("first")
    full.hurry(1.0)
    answer = sender.request.send_by_call(full.ref, "second", 10.0)
    assert node.spawn(Sender).call.here()
    clock.advance(0.5)
    assert full.release() == ["first", "second"]
    assert answer.get(timeout=30) == "second"


def test_a_call_let_in_before_the_doors_deadline_may_take_longer_than_it(node, seen, clock):
    full, sender = Held(node, seen, Slow, capacity=1), node.spawn(Relay)
    second = al.Future()
    full.ref.tell("first")
    full.hurry(1.0)
    answer = sender.request.wait_at(full.ref, second, 10.0)
    assert node.spawn(Sender).call.here()
    full.gate.set(None)
    for expected in ("first", "in"):
        assert seen.get(timeout=30) == expected
    clock.advance(5)  # past the door's deadline, before its own
    second.set(None)
    assert answer.get(timeout=30) is None


class Relay(al.Actor):
    def wait_at(self, ref, gate, timeout_s):
        return ref.within(timeout_s).call.wait(gate)


@pytest.mark.parametrize("kind", [Slow, SlowBlocker])
def test_a_tell_to_ones_own_full_mailbox_raises_at_once(node, seen, kind):
    actor = node.spawn(kind, seen, mailbox=al.Mailbox(capacity=3, timeout_s=60))
    with pytest.raises(al.MailboxFull):
        actor.within(30).call.fill_own(4)


def test_an_awaited_send_to_ones_own_full_mailbox_raises_at_once(node):
    class Talker(al.Actor):
        async def fill_own(self):
            for k in range(3):
                await self.ref.send(k)

    talker = node.spawn(Talker, mailbox=al.Mailbox(capacity=2, timeout_s=60))
    with pytest.raises(al.MailboxFull):
        talker.within(30).call.fill_own()


@pytest.mark.parametrize("kind", [Sender, BlockingSender])
def test_two_actors_full_of_each_other_come_free_by_the_deadline(node, kind):
    class Chatty(kind):
        def chat(self, other, begun, gate, filled, hurry):
            begun.set(None)
            gate.get()
            other.tell(0)
            other.tell(1)
            filled.set(None)
            hurry.get()
            sent = 2
            try:
                for sent in range(2, 10):
                    other.tell(sent)
            except al.MailboxFull:
                return sent
            return "all"

        def on_receive(self, message):
            pass

    bounds = al.Mailbox(capacity=2, timeout_s=60)
    a, b = node.spawn(Chatty, mailbox=bounds), node.spawn(Chatty, mailbox=bounds)
    begun, filled, gate, hurry = [al.Future(), al.Future()], [al.Future(), al.Future()], al.Future(), al.Future()
    answers = [
        a.request.chat(b, begun[0], gate, filled[0], hurry),
        b.request.chat(a, begun[1], gate, filled[1], hurry),
    ]
    for one in begun:
        one.get(timeout=30)
    gate.set(None)
    for one in filled:
        one.get(timeout=30)
    for ref in (a, b):
        ref.cell.bounds = replace(bounds, timeout_s=0.05)
    hurry.set(None)
    outcomes = [answer.get(timeout=30) for answer in answers]
    assert 2 in outcomes  # one gave up; the other found room once it had
    node.wait_idle()
    assert a.is_alive() and b.is_alive()


def test_the_death_of_a_full_actor_tells_who_waits_at_its_door(held, sender):
    full = held(capacity=1)
    full.ref.tell("first")
    sent = sender.request.send(full.ref, "second")
    called = full.ref.request.take
    assert called is not None
    full.ref.exit("kill")
    with pytest.raises(al.ActorDied):
        sent.get(timeout=30)


# -- reject


def test_reject_tells_the_sender_at_once(held, sender):
    full = held(capacity=2, overflow="reject")
    with pytest.raises(al.MailboxFull) as refused:
        sender.call.send(full.ref, 1, 2, 3)
    assert "overflow='reject'" in str(refused.value)
    assert full.release() == [1, 2]


def test_reject_settles_a_call_with_delivery_never(node, held):
    full = held(capacity=1, overflow="reject")
    full.ref.tell("first")
    with pytest.raises(al.MailboxFull) as refused:
        full.ref.call.take("second")
    assert refused.value.delivery == "never"
    with pytest.raises(al.MailboxFull):
        full.ref.request.take("second").get(timeout=30)
    assert full.release() == ["first"]


# -- drop


def test_drop_new_drops_the_new_one(node, held, sender):
    full = held(capacity=2, overflow="drop_new")
    assert sender.call.send(full.ref, 1, 2, 3, 4) == "sent"
    with pytest.raises(al.MailboxFull):
        full.ref.call.take(5)
    assert full.release() == [1, 2]
    assert reasons(node) == [("tell 3", "dropped"), ("tell 4", "dropped"), ("call take(5)", "dropped")]


def test_drop_old_drops_the_oldest_and_tells_its_caller(node, held, sender):
    full = held(capacity=2, overflow="drop_old")
    first = full.ref.request.take("first")
    assert sender.call.send(full.ref, 1, 2, 3) == "sent"
    with pytest.raises(al.MailboxFull):
        first.get(timeout=30)
    assert full.release() == [2, 3]
    assert reasons(node) == [("call take('first')", "dropped"), ("tell 1", "dropped")]


# -- depth


@pytest.mark.parametrize("overflow", ["block", "reject", "drop_new", "drop_old"])
@pytest.mark.parametrize("kind", [Slow, SlowBlocker])
def test_depth_never_exceeds_capacity_under_many_senders_and_threads(node, seen, kind, overflow, monkeypatch):
    capacity = 5
    actor = node.spawn(kind, seen, mailbox=al.Mailbox(capacity=capacity, overflow=overflow, timeout_s=60))
    depths = []
    cell = actor.cell
    taken = kind.on_receive

    def look(self, message):
        depths.append(len(cell.mailbox))
        return taken(self, message)

    monkeypatch.setattr(kind, "on_receive", look)

    class Flood(al.Actor):
        def flood(self, ref, n):
            return flood(ref, n)

    def flood(ref, n):
        sent = 0
        for k in range(n):
            try:
                ref.tell(k)
                sent += 1
            except al.MailboxFull:
                pass
        return sent

    counts = []
    threads = [threading.Thread(target=lambda: counts.append(flood(actor, 100))) for _ in range(3)]
    floods = [node.spawn(Flood).request.flood(actor, 100) for _ in range(3)]
    for thread in threads:
        thread.start()
    counts += [one.get(timeout=60) for one in floods]
    for thread in threads:
        thread.join(20)
    node.wait_idle()
    dropped = node.dead_letters.counts["dropped"] + node.dead_letters.counts["mailbox_full"]
    assert max(depths) <= capacity
    assert seen.qsize() + dropped == sum(counts)
    if overflow == "block":
        assert seen.qsize() == 600


def test_signals_are_not_counted(node, held):
    full = held(capacity=1, overflow="reject")
    for _ in range(3):
        full.ref.stop(block=False)
    full.ref.tell("gets in")
    with pytest.raises(al.MailboxFull):
        full.ref.tell("does not")
    assert full.release() == []  # it came after the stops
    assert reasons(node) == [("tell 'gets in'", "stopped")]


# -- dead letters


def test_dead_letters_can_be_read_and_heard(node, held, eventually):
    heard = []
    stop_hearing = node.dead_letters.subscribe(heard.append)
    full = held(capacity=1, overflow="drop_new")
    full.ref.tell("kept")
    full.ref.tell("lost")
    full.release()
    eventually(lambda: heard)
    assert [(letter.message, letter.reason) for letter in heard] == [("tell 'lost'", "dropped")]
    assert [letter.message for letter in node.dead_letters] == ["tell 'lost'"]
    assert node.dead_letters.counts == {"dropped": 1}
    stop_hearing()
    full.ref.stop()
    assert len(heard) == 1


def test_a_send_to_the_dead_raises_and_leaves_no_letter(node, seen):
    ref = node.spawn(Slow, seen)
    ref.stop()
    for send in (ref.tell, ref.ask, ref.call.take, ref.cast.take):
        with pytest.raises(al.ActorDied):
            send("x")
    with pytest.raises(al.ActorDied):
        ref.request.take("x").get(timeout=30)
    assert list(node.dead_letters) == []


def test_a_letter_is_written_before_its_caller_is_told(node, held):
    full, found = held(capacity=10), []
    asked = full.ref.request.take("asked")
    asked.on_settled(lambda: found.extend(reasons(node)))
    full.ref.exit("kill")
    with pytest.raises(al.ActorDied):
        asked.get(timeout=30)
    full.gate.set(None)
    node.wait_idle()
    assert ("call take('asked')", "stopped") in found


def test_what_waits_for_a_dead_actor_is_a_letter_and_its_callers_are_told(node, held):
    full = held(capacity=10)
    full.ref.tell("told")
    asked = full.ref.request.take("asked")
    full.ref.exit("kill")
    with pytest.raises(al.ActorDied) as died:
        asked.get(timeout=30)
    assert died.value.delivery == "never"
    full.gate.set(None)
    node.wait_idle()
    assert sorted(reasons(node)) == [
        ("call take('asked')", "stopped"),
        ("tell 'told'", "stopped"),
        ("the message in hand", "crashed_in_flight"),
    ]
