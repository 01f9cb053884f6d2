"""Links, exit signals and monitors between actors of one process: OTP's rules."""

from __future__ import annotations

import queue
from itertools import pairwise

import pytest

import actorlab as al


def drain(seen):
    found = []
    while not seen.empty():
        found.append(seen.get_nowait())
    return found


@pytest.fixture
def other(node, keeper):
    """Another keeper, whose messages nobody reads."""
    return node.spawn(keeper.actor_class, queue.SimpleQueue())


def crash(ref):
    with pytest.raises(ValueError, match="boom"):
        ref.call.boom()


# -- monitors


def test_a_monitor_gives_one_down_with_the_reason(keeper, other, seen, settled):
    number = keeper.call.watch(other)
    crash(other)
    settled()
    (down,) = drain(seen)
    assert isinstance(down, al.Down)
    assert (down.ref, down.monitor, str(down.reason)) == (other, number, "crashed: ValueError: boom")


@pytest.mark.parametrize("reason", ["normal", "shutdown", ("shutdown", "cold")])
def test_a_down_says_how_it_ended(keeper, other, seen, settled, reason):
    keeper.call.watch(other)
    other.cast.end(reason)
    settled()
    assert [down.reason for down in drain(seen)] == [reason]


def test_a_kill_shows_as_killed(keeper, other, seen, settled):
    keeper.call.watch(other)
    other.exit("kill")
    settled()
    assert [down.reason for down in drain(seen)] == ["killed"]


def test_a_monitor_of_the_dead_answers_noproc_at_once(keeper, other, seen, settled):
    other.stop()
    keeper.call.watch(other)
    settled()
    assert [down.reason for down in drain(seen)] == ["noproc"]


def test_each_monitor_gives_its_own_down(keeper, other, seen, settled):
    numbers = {keeper.call.watch(other), keeper.call.watch(other)}
    other.stop()
    settled()
    assert {down.monitor for down in drain(seen)} == numbers


def test_after_demonitor_no_down_comes(keeper, other, seen, settled):
    keeper.call.unwatch(keeper.call.watch(other))
    other.stop()
    settled()
    assert drain(seen) == []


def test_demonitor_takes_back_a_down_that_was_not_handled_yet(node, seen, settled):
    class Watcher(al.Actor):
        def watch_and_regret(self, ref):
            number = self.monitor(ref)
            ref.stop()
            self.demonitor(number)

        def on_receive(self, message):
            seen.put(message)

    class Short(al.Actor):
        pass

    watcher = node.spawn(Watcher)
    watcher.call.watch_and_regret(node.spawn(Short))
    settled()
    assert drain(seen) == []
    assert watcher.statistics().depth == 0


def test_a_down_comes_after_what_the_actor_had_sent(node, keeper, seen, settled):
    class Sender(al.Actor):
        def send_and_die(self, to):
            for n in range(100):
                to.tell(n)
            raise ValueError("boom")

    sender = node.spawn(Sender)
    keeper.call.watch(sender)
    sender.cast.send_and_die(keeper)
    settled()
    *sent, down = drain(seen)
    assert sent == list(range(100))
    assert isinstance(down, al.Down)


def test_a_watcher_that_dies_is_forgotten(node, keeper, other, settled):
    keeper.call.watch(other)
    keeper.stop()
    other.stop()
    settled()
    assert list(node.dead_letters) == []


def test_a_node_monitors_from_outside(node, other):
    down = node.monitor(other)
    crash(other)
    assert str(down.get(timeout=30).reason) == "crashed: ValueError: boom"
    assert node.monitor(other).get(timeout=30).reason == "noproc"


def test_a_down_gets_into_a_full_mailbox(node, keeper, other, seen, settled):
    class Full(al.Actor):
        def wait(self, gate, ref):
            self.monitor(ref)
            seen.put("in")
            gate.get()

        def on_receive(self, message):
            seen.put(message)

    full = node.spawn(Full, mailbox=al.Mailbox(capacity=1, overflow="reject"))
    gate = al.Future()
    full.cast.wait(gate, other)
    assert seen.get(timeout=30) == "in"
    full.tell("last")
    other.stop()
    gate.set(None)
    settled()
    last, down = drain(seen)
    assert (last, down.reason) == ("last", "normal")


# -- links


def test_a_linked_actor_ends_with_the_other(keeper, other, settled):
    keeper.call.tie(other)
    crash(other)
    settled()
    assert not keeper.is_alive()


def test_a_link_goes_both_ways(keeper, other, settled):
    keeper.call.tie(other)
    crash(keeper)
    settled()
    assert not other.is_alive()


def test_a_normal_end_does_not_end_who_is_linked(keeper, other, settled):
    keeper.call.tie(other)
    other.stop()
    settled()
    assert keeper.is_alive()


def test_a_link_to_the_dead_is_an_exit_noproc(keeper, other, seen, settled):
    other.stop()
    keeper.call.trap()
    keeper.call.tie(other)
    settled()
    assert [(exit_.ref, exit_.reason) for exit_ in drain(seen)] == [(other, "noproc")]


def test_who_traps_exits_is_told_and_lives(keeper, other, seen, settled):
    keeper.call.trap()
    keeper.call.tie(other)
    crash(other)
    settled()
    (exit_,) = drain(seen)
    assert isinstance(exit_, al.Exit)
    assert (exit_.ref, str(exit_.reason)) == (other, "crashed: ValueError: boom")
    assert keeper.is_alive()


def test_who_traps_exits_is_told_of_a_normal_end_too(keeper, other, seen, settled):
    keeper.call.trap()
    keeper.call.tie(other)
    other.stop()
    settled()
    assert [exit_.reason for exit_ in drain(seen)] == ["normal"]


def test_a_kill_goes_on_over_links_as_killed_and_can_be_trapped_there(keeper, other, seen, settled):
    keeper.call.trap()
    keeper.call.tie(other)
    other.exit("kill")
    settled()
    assert [exit_.reason for exit_ in drain(seen)] == ["killed"]


def test_exits_run_along_a_chain_of_links(node, keeper, settled):
    chain = [keeper, *(node.spawn(keeper.actor_class) for _ in range(5))]
    for left, right in pairwise(chain):
        left.call.tie(right)
    crash(chain[-1])
    settled()
    assert [ref.is_alive() for ref in chain] == [False] * 6


def test_an_unlinked_actor_lives_on(node, keeper, settled):
    class Fickle(al.Actor):
        def tie(self, ref):
            self.link(ref)
            self.unlink(ref)

    fickle = node.spawn(Fickle)
    fickle.call.tie(keeper)
    crash(keeper)
    settled()
    assert fickle.is_alive()


def test_spawn_with_a_link_ends_both(node, keeper, settled):
    class Parent(al.Actor):
        def start_one(self, cls):
            return self.spawn(cls, link=True)

    parent = node.spawn(Parent)
    child = parent.call.start_one(keeper.actor_class)
    crash(child)
    settled()
    assert not parent.is_alive()


# -- exit signals


class Sender(al.Actor):
    def send_exit(self, ref, reason):
        self.exit(ref, reason)

    def exit_self(self, reason):
        self.exit(self.ref, reason)


@pytest.fixture
def sender(node):
    return node.spawn(Sender)


def test_an_exit_signal_ends_who_does_not_trap(sender, other, settled):
    sender.call.send_exit(other, "enough")
    settled()
    assert not other.is_alive()


def test_an_exit_signal_normal_from_another_is_ignored(sender, other, settled):
    sender.call.send_exit(other, "normal")
    settled()
    assert other.is_alive()


def test_an_exit_signal_to_oneself_ends_even_as_normal(sender, settled):
    sender.cast.exit_self("normal")
    settled()
    assert not sender.is_alive()


def test_an_exit_signal_is_a_message_to_who_traps(sender, keeper, seen, settled):
    keeper.call.trap()
    sender.call.send_exit(keeper, "enough")
    settled()
    assert [(exit_.ref, exit_.reason) for exit_ in drain(seen)] == [(sender, "enough")]


def test_a_kill_cannot_be_trapped(sender, keeper, settled):
    keeper.call.trap()
    sender.call.send_exit(keeper, "kill")
    settled()
    assert not keeper.is_alive()


def test_exit_signals_are_not_for_the_next_incarnation(node, keeper, seen, settled):
    child = al.child(keeper.actor_class, seen, name="kept", placement="local")
    node.start(al.Supervisor(children=[child]))
    kept = node.whereis("kept")
    kept.call.trap()
    crash(kept)
    settled()
    assert (kept.incarnation, kept.is_alive()) == (1, True)
    kept.exit("enough")  # the new one does not trap exits
    settled()
    assert (kept.incarnation, drain(seen)) == (2, [])
