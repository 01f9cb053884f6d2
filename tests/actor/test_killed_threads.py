"""A blocking actor that is killed: what its thread still does concerns nobody, least of all its next incarnation."""

from __future__ import annotations

import queue
import threading
from collections import deque

import pytest

import actorlab as al
from actorlab.actor import streaming
from actorlab.actor.threads import BlockingThread

PATIENCE_S = 20.0


class Worker(al.Actor):
    blocking = True
    stash_capacity = 4

    def __init__(self, seen, gate):
        self.seen = seen
        self.gate = gate

    def work(self, how):
        self.seen.put(threading.current_thread())
        assert self.gate.wait(PATIENCE_S)
        getattr(self, f"_{how}")()
        return how

    def note(self, n):
        self.seen.put(n)
        return n

    def handle_continue(self, term):
        self.seen.put(term)

    def _return(self):
        pass

    def _raise(self):
        raise ValueError("late")

    def _put_aside(self):
        self.stash()

    def _leave_a_step(self):
        try:
            self.continue_with("late")
        except al.ActorDied:
            self.seen.put("refused")
            return
        self.seen.put("accepted")


class PykkaWorker(Worker, al.ProcessActor):
    pass


@pytest.fixture
def gate():
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def seen():
    return queue.SimpleQueue()


def supervised(node, worker, seen, gate, **limits):
    child = al.child(worker, seen, gate, name="worker", placement="local", **limits)
    node.start(al.Supervisor(children=[child]))
    ref = node.whereis("worker")
    return ref, node.runtime.kernels[ref.home].cells[ref.address]


def books(ref):
    said = ref.statistics()
    return said.accepted, said.handled, said.failed, said.dead_lettered, said.depth


@pytest.mark.parametrize("worker", [Worker, PykkaWorker])
@pytest.mark.parametrize("send", ["request", "cast"])
@pytest.mark.parametrize("how", ["return", "raise", "put_aside", "leave_a_step"])
def test_its_handler_changes_nothing_of_the_next_incarnation(node, seen, gate, worker, send, how, settled, eventually):
    ref, _cell = supervised(node, worker, seen, gate)
    asked = getattr(ref, send).work(how)
    thread = seen.get(timeout=PATIENCE_S)
    ref.exit("kill")
    eventually(lambda: ref.incarnation == 1)
    assert ref.call.note(1) == seen.get(timeout=PATIENCE_S) == 1
    settled()
    before = books(ref)
    gate.set()
    thread.join(PATIENCE_S)
    if asked is not None:
        with pytest.raises(al.ActorDied):
            asked.get(timeout=PATIENCE_S)
    if how == "leave_a_step":
        assert seen.get(timeout=PATIENCE_S) == "refused"
    settled()
    assert ref.call.note(2) == seen.get(timeout=PATIENCE_S) == 2
    settled()
    assert books(ref) == (before[0] + 1, before[1] + 1, *before[2:])
    assert ref.incarnation == 1
    assert seen.empty()


def test_what_it_takes_as_it_is_killed_is_not_handled_twice(node, seen, gate, settled, eventually):
    """The kill keeps the queue for the next incarnation; the thread must not take anything of it meanwhile."""
    ref, cell = supervised(node, Worker, seen, gate)

    class Mailbox(deque):
        def copy(self):
            kept = super().copy()
            gate.set()
            eventually(lambda: not self or not thread.is_alive())
            return kept

    settled()
    cell.mailbox = Mailbox()
    ref.cast.work("return")
    thread = seen.get(timeout=PATIENCE_S)
    ref.cast.note(1)
    ref.exit("kill")
    eventually(lambda: ref.incarnation == 1)
    settled()
    assert seen.get(timeout=PATIENCE_S) == 1
    assert seen.empty()


def test_with_nothing_in_hand_it_has_no_message_that_crashed(node, seen, gate, monkeypatch, eventually):
    """Its thread is between the last message and telling the kernel that its turn is over."""
    ref, cell = supervised(node, Worker, seen, gate)
    thread = cell.extra.thread
    over, told = threading.Event(), threading.Event()
    post = cell.kernel.post

    def late(function, *args):
        if getattr(function, "__func__", None) is BlockingThread._turn_over and function.__self__ is thread:
            over.set()
            assert told.wait(PATIENCE_S)
        post(function, *args)

    monkeypatch.setattr(cell.kernel, "post", late)
    ref.cast.note(1)
    assert over.wait(PATIENCE_S)
    ref.exit("kill")
    eventually(lambda: ref.incarnation == 1)
    told.set()
    node.wait_idle()
    assert ref.statistics().dead_lettered == 0
    assert ref.call.note(2) == 2


def test_a_start_that_was_given_up_before_its_thread_began_is_not_done_after_all(
    node, seen, gate, monkeypatch, eventually, settled, clock
):
    """Its order lay in the mailbox, which the next incarnation gets."""
    built = []
    monkeypatch.setattr(Worker, "on_start", lambda self: built.append(self), raising=False)
    begin, held = BlockingThread.have_done, []

    def late_at_first(thread, turn):
        if len(built) == 1 and not held:
            held.append(thread)
        else:
            begin(thread, turn)

    monkeypatch.setattr(BlockingThread, "have_done", late_at_first)
    ref, _cell = supervised(node, Worker, seen, gate)
    ref.exit("kill")
    eventually(lambda: held)
    clock.advance(6)
    eventually(lambda: clock.advance(0.2) or ref.incarnation == 2)
    assert ref.call.note(1) == 1
    settled()
    assert (len(held), len(built)) == (1, 2)


class Streamer(al.Actor):
    blocking = True

    def count(self):
        yield from range(1000)

    def begin(self, begun):
        begun.set()
        yield 1


def test_a_stream_that_its_thread_opens_as_it_is_killed_hinders_nobody(node, gate, monkeypatch, eventually):
    opening, begun = threading.Event(), threading.Event()

    class Outflow(streaming.Outflow):
        def __init__(self, *args):
            super().__init__(*args)
            if opened:
                opening.set()
                assert gate.wait(PATIENCE_S)
            opened.append(self)

        def ended(self):
            gate.set()
            assert begun.wait(PATIENCE_S)
            super().ended()

    opened = []
    monkeypatch.setattr(streaming, "Outflow", Outflow)
    node.start(al.Supervisor(children=[al.child(Streamer, name="streamer", placement="local")]))
    ref = node.whereis("streamer")
    first = iter(ref.stream.count())
    assert next(first) == 0
    second = threading.Thread(target=lambda: list(ref.stream.begin(begun)), daemon=True)
    monkeypatch.setattr(threading, "excepthook", lambda _error: None)
    second.start()
    assert opening.wait(PATIENCE_S)
    ref.exit("kill")
    eventually(lambda: ref.incarnation == 1)
    second.join(PATIENCE_S)
    assert not second.is_alive()
    assert list(ref.stream.count())[-1] == 999
