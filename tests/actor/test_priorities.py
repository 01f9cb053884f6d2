"""Priority mailboxes: the most urgent first, in order among equals, and no more than their bound."""

from __future__ import annotations

import asyncio

import pytest

import actorlab as al


class Urgent:
    def __init__(self, n):
        self.n = n


class VeryUrgent(Urgent):
    pass


class Clinic(al.Actor):
    stash_capacity = 1
    opened = False
    priorities = {"emergency": 10, "paperwork": -5, Urgent: 5, VeryUrgent: 7, al.Down: 9}

    def __init__(self, seen):
        self.seen = seen

    def hold(self, gate, entered):
        entered.set(None)
        gate.get()

    def visit(self, who):
        self.seen.put(who)
        return who

    def visit_nobody(self):
        pass

    def emergency(self, who):
        self.seen.put(who)
        return who

    def paperwork(self, what):
        self.seen.put(what)
        return what

    def on_receive(self, message):
        self.seen.put(f"{type(message).__name__} {getattr(message, 'n', '')}".strip())

    def watch(self, ref):
        self.monitor(ref)

    def boom(self):
        raise RuntimeError("boom")

    def then(self, what):
        self.continue_with(what)

    def then_hold(self, what, gate, entered):
        self.continue_with(what)
        self.hold(gate, entered)

    def later(self, who):
        if not self.opened:
            self.stash()
        self.seen.put(who)

    def handle_continue(self, what):
        self.seen.put(what)


class BlockingClinic(Clinic):
    blocking = True


class Held:
    def __init__(self, node, kind, seen, **options):
        self.node = node
        self.ref = node.spawn(kind, seen, **options)
        self.gate, entered = al.Future(), al.Future()
        self.answer = self.ref.request.hold(self.gate, entered)
        entered.get(timeout=30)

    def let_go(self):
        self.node.spawn(Clinic, None).call.visit_nobody()  # what was sent to this kernel before has arrived
        self.gate.set(None)
        self.answer.get(timeout=30)


@pytest.fixture(params=[Clinic, BlockingClinic])
def held(request, node, seen):
    return Held(node, request.param, seen)


def drain(seen):
    found = []
    while not seen.empty():
        found.append(seen.get_nowait())
    return found


def test_the_most_urgent_come_first_and_equals_in_order(held, seen, settled):
    ref = held.ref
    ref.cast.paperwork("form")
    for n in range(3):
        ref.cast.visit(f"visit {n}")
        ref.tell(Urgent(n))
        ref.cast.emergency(f"emergency {n}")
        ref.tell(VeryUrgent(n))
        ref.tell(n)
    held.let_go()
    settled()
    assert drain(seen) == [
        *(f"emergency {n}" for n in range(3)),
        *(f"VeryUrgent {n}" for n in range(3)),
        *(f"Urgent {n}" for n in range(3)),
        *(item for n in range(3) for item in (f"visit {n}", "int")),
        "form",
    ]


def test_a_text_is_no_method(held, seen, settled):
    held.ref.tell("visit")
    held.ref.tell("emergency")
    held.let_go()
    settled()
    assert drain(seen) == ["str", "str"]


def test_questions_have_the_priority_of_their_method(held, seen):
    answers = [held.ref.request.visit(1), held.ref.request.emergency(2)]
    held.let_go()
    assert al.gather(*answers).get(timeout=30) == [1, 2]
    assert drain(seen) == [2, 1]


def test_a_stop_finds_all_that_came_before_it_done(held, seen):
    held.ref.cast.paperwork("form")
    stopped = held.ref.stop(block=False)
    held.ref.cast.visit("after")
    held.let_go()
    assert stopped.get(timeout=30)
    assert drain(seen) == ["after", "form"]


def test_a_signal_has_the_priority_of_its_class(node, held, seen, settled):
    other = node.spawn(Clinic, seen)
    held.ref.cast.visit("visit")
    watching = held.ref.request.watch(other)
    held.let_go()
    watching.get(timeout=30)
    again, entered = al.Future(), al.Future()
    answer = held.ref.request.hold(again, entered)
    entered.get(timeout=30)
    drain(seen)
    held.ref.cast.visit("visit")
    other.stop()
    settled_down = node.monitor(other).get(timeout=30)
    assert settled_down.reason == "noproc"
    again.set(None)
    answer.get(timeout=30)
    settled()
    assert drain(seen) == ["Down", "visit"]


def test_the_bound_is_kept_whatever_is_urgent(node, seen):
    held = Held(node, Clinic, seen, mailbox=al.Mailbox(capacity=3, overflow="reject"))
    answers = [held.ref.request.visit(n) for n in range(3)]
    with pytest.raises(al.MailboxFull):
        held.ref.request.emergency("too many").get(timeout=30)
    held.let_go()
    assert al.gather(*answers).get(timeout=30) == [0, 1, 2]


def test_who_waits_at_the_door_comes_in_by_order_and_is_served_by_urgency(node, seen, settled):
    held = Held(node, Clinic, seen, mailbox=al.Mailbox(capacity=2, timeout_s=60))
    calls = [held.ref.request.visit("a"), held.ref.request.visit("b")]

    async def main():
        outside = [held.ref.request.visit("c"), held.ref.request.emergency("d")]
        held.gate.set(None)
        return await al.gather(*outside)

    assert asyncio.run(main()) == ["c", "d"]
    al.gather(*calls).get(timeout=30)
    settled()
    assert sorted(drain(seen)) == ["a", "b", "c", "d"]


def test_drop_old_drops_the_oldest_of_the_least_urgent(node, seen, settled):
    held = Held(node, Clinic, seen, mailbox=al.Mailbox(capacity=3, overflow="drop_old"))
    held.ref.cast.paperwork("form 1")
    held.ref.cast.paperwork("form 2")
    held.ref.cast.emergency("first")
    held.ref.cast.emergency("second")
    settled_counts = node.dead_letters.counts
    held.let_go()
    settled()
    assert drain(seen) == ["first", "second", "form 2"]
    assert settled_counts["dropped"] == 1


def test_the_next_incarnation_gets_the_queue_in_the_same_order(node, seen, settled):
    node.start(al.Supervisor(children=[al.child(Clinic, seen, name="clinic")]))
    ref = node.whereis("clinic")
    gate, entered = al.Future(), al.Future()
    ref.request.hold(gate, entered)
    entered.get(timeout=30)
    ref.cast.visit(1)
    ref.cast.emergency(2)
    ref.cast.visit(3)
    ref.exit("kill")
    settled()
    assert ref.incarnation == 1
    assert drain(seen) == [2, 1, 3]


def test_a_question_given_up_leaves_it(node, held, seen, settled):
    answer, other = held.ref.request.visit(1), held.ref.request.emergency(2)
    other.cancel()
    held.let_go()
    assert answer.get(timeout=30) == 1
    assert drain(seen) == [1]
    assert node.dead_letters.counts["cancelled"] == 1


def test_what_was_left_for_right_after_comes_before_the_most_urgent(held, seen, settled):
    held.ref.cast.then("step")
    held.ref.cast.paperwork("form")
    held.let_go()
    settled()
    assert drain(seen) == ["step", "form"]


def test_it_still_does_when_a_question_is_taken_back_meanwhile(node, seen, settled):
    ref = node.spawn(Clinic, seen)
    gate, entered = al.Future(), al.Future()
    ref.cast.then_hold("step", gate, entered)
    entered.get(timeout=30)
    given_up = ref.request.visit(1)
    ref.cast.emergency(2)
    given_up.cancel()
    gate.set(None)
    settled()
    assert drain(seen) == ["step", 2]


def test_a_stash_comes_before_the_most_urgent_in_the_next_incarnation(node, seen, settled, monkeypatch):
    monkeypatch.setattr(Clinic, "opened", False)
    node.start(al.Supervisor(children=[al.child(Clinic, seen, name="clinic", placement="local")]))
    ref = node.whereis("clinic")
    ref.cast.later("aside")
    gate, entered = al.Future(), al.Future()
    ref.cast.hold(gate, entered)
    entered.get(timeout=30)
    ref.cast.paperwork("form")
    ref.cast.visit("visit")
    Clinic.opened = True
    ref.exit("kill")
    settled()
    assert ref.incarnation == 1
    assert drain(seen) == ["aside", "visit", "form"]


@pytest.mark.parametrize("wrong", [{"a": 1.5}, {3: 1}, ["a"]])
def test_priorities_that_are_none_are_refused_where_the_class_is_made(wrong):
    with pytest.raises(TypeError, match="must map names of methods and classes"):
        type("Wrong", (al.Actor,), {"priorities": wrong})


def test_a_mailbox_bounded_by_bytes_has_no_priorities(node, seen):
    with pytest.raises(al.StartError, match="leave out max_bytes"):
        node.spawn(Clinic, seen, mailbox=al.Mailbox(max_bytes=1000))
