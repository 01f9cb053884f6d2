"""A blocking actor that is held up and goes on while its thread is still at the end of its turn: one turn at a time."""

from __future__ import annotations

import threading

import pytest

import actorlab as al
from actorlab.actor import inspection
from actorlab.actor.threads import BlockingThread

PATIENCE_S = 20.0


class Plain(al.Actor):
    def note(self, n):
        return n


class Worker(Plain):
    blocking = True


@pytest.fixture
def slow(node, monkeypatch):
    """`slow(where)` holds the next blocking thread up there; return (is there, may go on)."""
    there, go_on = threading.Event(), threading.Event()
    look = inspection.is_suspended

    def hold_up():
        if not there.is_set():
            there.set()
            assert go_on.wait(PATIENCE_S)

    def late_look(cell):
        if threading.current_thread().name.startswith("actorlab Worker"):
            hold_up()
        return look(cell)

    def begin(where, kernel):
        if where == "before it looks":
            monkeypatch.setattr(inspection, "is_suspended", late_look)
            return there, go_on
        post = kernel.post

        def late_post(function, *args):
            if getattr(function, "__func__", None) is turn_over:
                hold_up()
            post(function, *args)

        turn_over = BlockingThread._turn_over
        monkeypatch.setattr(kernel, "post", late_post)
        return there, go_on

    yield begin
    go_on.set()


@pytest.fixture
def turns(monkeypatch):
    """How many turns are given and not over, each time one is given."""
    out, seen = [0], []
    activate, turn_over = BlockingThread.activate, BlockingThread._turn_over

    def counted_activate(thread):
        out[0] += 1
        seen.append(out[0])
        activate(thread)

    def counted_turn_over(thread, going_on):
        out[0] -= 1
        turn_over(thread, going_on)

    monkeypatch.setattr(BlockingThread, "activate", counted_activate)
    monkeypatch.setattr(BlockingThread, "_turn_over", counted_turn_over)
    return seen


@pytest.mark.parametrize("where", ["before it looks", "before it tells"])
@pytest.mark.parametrize("how", ["resume", "exit"])
def test_it_goes_on_when_its_turn_is_over(node, slow, turns, settled, where, how):
    ref = node.spawn(Worker)
    settled()
    there, go_on = slow(where, node.runtime.kernels[ref.home])
    del turns[:]
    suspended = threading.Thread(target=ref.system.suspend, daemon=True)
    suspended.start()
    assert there.wait(PATIENCE_S)
    suspended.join(PATIENCE_S)
    noted = ref.request.note(1)
    if how == "resume":
        ref.system.resume()
    else:
        ref.exit("enough")
    assert node.spawn(Plain).call.note(2) == 2  # the kernel has had its turn
    go_on.set()
    if how == "resume":
        assert noted.get(timeout=PATIENCE_S) == 1
        assert ref.call.note(3) == 3
    else:
        with pytest.raises(al.ActorDied):
            noted.get(timeout=PATIENCE_S)
    settled()
    assert set(turns) == {1}


def test_one_that_is_held_up_again_in_the_same_turn_stays_so(node, slow, settled, eventually):
    ref = node.spawn(Worker)
    settled()
    there, go_on = slow("before it looks", node.runtime.kernels[ref.home])
    ref.system.suspend()
    assert there.wait(PATIENCE_S)
    ref.system.resume()
    again = threading.Thread(target=ref.system.suspend, daemon=True)
    again.start()
    cell = node.runtime.kernels[ref.home].cells[ref.address]
    eventually(lambda: len(cell.mailbox) == 1)
    noted = ref.request.note(1)
    eventually(lambda: len(cell.mailbox) == 2)
    go_on.set()
    again.join(PATIENCE_S)
    settled_turn = threading.Event()
    node.runtime.kernels[ref.home].post(settled_turn.set)
    assert settled_turn.wait(PATIENCE_S)
    assert ref.system.get_state() == {}
    assert not noted.state
    ref.system.resume()
    assert noted.get(timeout=PATIENCE_S) == 1
