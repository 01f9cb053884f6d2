"""Timers of actors: in order, once or again and again, and never after the incarnation that set them."""

from __future__ import annotations

import threading

import pytest

import actorlab as al


class Alarm(al.Actor):
    def __init__(self, seen):
        self._seen = seen
        self._timers = {}

    def after(self, delay_s, message):
        self._timers[message] = self.send_after(delay_s, message)

    def every(self, interval_s, message):
        self._timers[message] = self.send_interval(interval_s, message)

    def drop(self, message):
        return self.cancel(self._timers[message])

    def on_receive(self, message):
        self._seen.put(message)

    def wrong(self):
        raise ValueError("wrong")

    def wait(self, gate, entered=None):
        if entered is not None:
            entered.set(None)
        gate.get()

    def kept(self):
        extra = self._actorlab_cell.extra
        return len(extra.timers or ())


class BlockingAlarm(Alarm):
    blocking = True


def drain(seen):
    found = []
    while not seen.empty():
        found.append(seen.get_nowait())
    return found


@pytest.fixture(params=[Alarm, BlockingAlarm])
def alarm(request, node, seen, clock):
    return node.spawn(request.param, seen)


def test_a_timer_is_due_at_its_time_and_not_before(alarm, seen, clock, settled):
    alarm.call.after(1.0, "tick")
    clock.advance(0.999)
    settled()
    assert drain(seen) == []
    clock.advance(0.002)
    settled()
    assert drain(seen) == ["tick"]
    clock.advance(10)
    settled()
    assert drain(seen) == []


def test_timers_fire_in_order_of_time_and_equal_times_in_order_of_setting(alarm, seen, clock, settled):
    for delay_s, message in ((2, "c"), (1, "a"), (1, "b")):
        alarm.call.after(delay_s, message)
    clock.advance(3)
    settled()
    assert drain(seen) == ["a", "b", "c"]


def test_an_interval_comes_again_and_again_until_cancelled(alarm, seen, clock, settled):
    alarm.call.every(1.0, "tick")
    for _ in range(3):
        clock.advance(1.001)
        settled()
    assert drain(seen) == ["tick"] * 3
    assert alarm.call.drop("tick") is True
    clock.advance(5)
    settled()
    assert drain(seen) == []


def test_an_interval_that_was_held_up_comes_once_and_goes_on_in_step(alarm, seen, clock, settled):
    alarm.call.every(1.0, "tick")
    clock.jump(3.5)
    settled()
    assert drain(seen) == ["tick"]
    clock.advance(0.4)  # 3.9
    settled()
    assert drain(seen) == []
    clock.advance(0.2)  # 4.1
    settled()
    assert drain(seen) == ["tick"]


def test_cancel_says_whether_the_message_was_still_to_come(alarm, seen, clock, settled):
    alarm.call.after(1.0, "tick")
    assert alarm.call.drop("tick") is True
    assert alarm.call.drop("tick") is False
    alarm.call.after(1.0, "tock")
    clock.advance(2)
    settled()
    assert alarm.call.drop("tock") is False
    assert drain(seen) == ["tock"]


def test_timers_that_are_over_are_not_kept(alarm, clock, settled):
    alarm.call.after(1.0, "a")
    alarm.call.after(1.0, "b")
    alarm.call.drop("b")
    clock.advance(2)
    settled()
    assert alarm.call.kept() == 0


@pytest.mark.parametrize("delay_s", [-1.0, float("nan")])
def test_a_time_that_makes_no_sense_is_refused(node, seen, delay_s):
    with pytest.raises(ValueError, match="delay"):
        node.spawn(Alarm, seen).call.after(delay_s, "x")
    with pytest.raises(ValueError, match="interval"):
        node.spawn(Alarm, seen).call.every(0, "x")


def test_a_timer_gets_into_a_full_mailbox(node, seen, clock, settled):
    alarm = node.spawn(Alarm, seen, mailbox=al.Mailbox(capacity=1, overflow="reject"))
    gate, entered = al.Future(), al.Future()
    alarm.call.after(1.0, "tick")
    waiting = alarm.request.wait(gate, entered)
    entered.get(timeout=30)  # else it is the one message for which there is room
    alarm.tell("x")
    clock.advance(2)
    gate.set(None)
    waiting.get(timeout=30)
    settled()
    assert drain(seen) == ["x", "tick"]


def test_timers_end_with_the_incarnation_that_set_them(node, seen, clock, settled):
    tree = al.Supervisor(children=[al.child(Alarm, seen, name="alarm", placement="local")])
    node.start(tree)
    alarm = node.whereis("alarm")
    alarm.call.after(1.0, "old")
    alarm.call.every(1.0, "old too")
    with pytest.raises(ValueError, match="wrong"):
        alarm.call.wrong()
    settled()
    assert alarm.incarnation == 1
    alarm.call.after(1.0, "new")
    clock.advance(5)
    settled()
    assert drain(seen) == ["new"]


def test_a_timer_that_fired_but_was_not_handled_ends_with_its_incarnation_too(node, seen, clock, settled):
    node.start(al.Supervisor(children=[al.child(Alarm, seen, name="alarm", placement="local")]))
    alarm = node.whereis("alarm")
    gate = al.Future()
    alarm.call.after(1.0, "old")
    waiting = alarm.request.wait(gate)
    clock.advance(2)
    alarm.tell("kept")
    gate.set_exception((ValueError, ValueError("gate"), None))
    with pytest.raises(ValueError, match="gate"):
        waiting.get(timeout=30)
    settled()
    assert alarm.incarnation == 1
    assert drain(seen) == ["kept"]


def test_a_timer_that_is_cancelled_in_its_thread_while_its_actor_is_killed_holds_nothing_up(node, seen, clock, settled):
    alarm = node.spawn(BlockingAlarm, seen)
    cell = node.runtime.kernels[alarm.home].cells[alarm.address]
    actor = cell.object
    alarm.call.after(1.0, "one")
    alarm.call.after(2.0, "two")

    class Timers(set):
        def __iter__(self):
            for n, timer in enumerate(super().__iter__()):
                if not n:
                    thread = threading.Thread(target=actor.cancel, args=(actor._timers["two"],))
                    thread.start()
                    thread.join(20)
                yield timer

    cell.extra.timers = Timers(cell.extra.timers)
    gone = node.monitor(alarm)
    alarm.exit("kill")
    assert gone.get(timeout=20).reason == "killed"
    clock.advance(5)
    settled()
    assert drain(seen) == []
