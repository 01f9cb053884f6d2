"""How an actor that does not return is stopped: thrown out, interrupted, and at last its worker put down by name."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from recovery_drill import (
    Blocker,
    Clerk,
    HardToStop,
    Slow,
    Stubborn,
    answers,
    is_busy,
    open_node,
    replaced,
    worker_of,
)

import actorlab as al

pytestmark = pytest.mark.process


FOR_EVER_S = 60
SOON_S = FOR_EVER_S / 2
"""Who stands still that long is not waited for to its end; where the machine stands still, that takes time, too."""


@pytest.fixture(scope="module")
def happened() -> list:
    return []


@pytest.fixture(scope="module")
def node(happened) -> Iterator[al.Node]:
    with open_node(heartbeat_s=0.05, hold_warning_s=0.25, on_event=happened.append) as node:
        yield node


@pytest.fixture
def patient(monkeypatch):
    """A worker that is slow to hear of an interrupt is interrupted again, not killed."""
    monkeypatch.setattr("actorlab.supervision.crew.INTERRUPTS", 300)


@pytest.fixture
def start(node, eventually):
    roots = []

    def start(actor, *args, shutdown=0.1, **keys):
        spec = al.child(actor, *args, name="one", placement=1, shutdown=shutdown, restart="temporary", **keys)
        roots.append(node.start(al.Supervisor(children=[spec, al.child(Clerk, 5, name="neighbour", placement=1)])))
        return roots[-1], node.whereis("one")

    yield start
    for root in reversed(roots):
        root.stop(timeout=30)
    eventually(lambda: all(worker.pid for worker in node.workers))


def stop(sup):
    """Have the child terminated, long before what it does ends by itself; return how long that took."""
    before = time.monotonic()
    sup.within(SOON_S).call.terminate_child("one")
    return time.monotonic() - before


def reason_of(down):
    return down.get(timeout=30).reason


# -- a handler that waits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shutdown", "at_least", "at_most"),
    [(0.2, 0.2, SOON_S), ("brutal_kill", 0.0, 4.0)],
)
def test_a_handler_that_waits_is_thrown_out_when_its_time_is_up(start, node, eventually, shutdown, at_least, at_most):
    sup, ref = start(Clerk, shutdown=shutdown)
    down, call = node.monitor(ref), ref.request.nap(FOR_EVER_S)
    eventually(is_busy(node, ref))
    assert at_least <= stop(sup) <= at_most
    assert reason_of(down) == "killed"
    with pytest.raises(al.ActorDied) as caught:
        call.get(timeout=30)
    assert caught.value.delivery == "unknown"
    assert node.whereis("neighbour").call.add(0) == 5


def test_infinity_is_as_long_as_it_takes(start, node, eventually):
    sup, ref = start(Clerk, shutdown="infinity")
    down, call = node.monitor(ref), ref.request.nap(0.7)
    eventually(is_busy(node, ref))
    stop(sup)
    assert call.get(timeout=30) == "napped"
    assert reason_of(down) == "shutdown"


def test_a_handler_that_swallows_what_it_is_thrown_is_left_behind(start, node, eventually):
    sup, ref = start(Stubborn)
    down = node.monitor(ref)
    ref.cast.nap(FOR_EVER_S)
    eventually(is_busy(node, ref))
    pid = worker_of(node, 1).pid
    stop(sup)
    assert reason_of(down) == "killed"
    assert node.whereis("one") is None
    assert node.whereis("neighbour").call.where()[0] == pid


def test_an_async_handler_is_cancelled(start, node, eventually):
    sup, ref = start(Clerk)
    call = ref.request.doze(FOR_EVER_S)
    eventually(is_busy(node, ref))
    stop(sup)
    with pytest.raises(al.ActorDied):
        call.get(timeout=30)


def test_the_thread_of_a_blocking_actor_is_left_behind(start, node, eventually):
    sup, ref = start(Blocker)
    down, call = node.monitor(ref), ref.request.wait(FOR_EVER_S)
    eventually(is_busy(node, ref))
    stop(sup)
    assert reason_of(down) == "killed"
    with pytest.raises(al.ActorDied):
        call.get(timeout=30)


# -- a handler that runs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["spin", "sleep_in_c", "hold_the_loop"])
def test_a_handler_that_holds_the_thread_is_interrupted(start, node, eventually, patient, method):
    sup, ref = start(Clerk)
    down, call = node.monitor(ref), getattr(ref.request, method)(FOR_EVER_S)
    eventually(is_busy(node, ref))
    pid = worker_of(node, 1).pid
    stop(sup)
    assert reason_of(down) in ("killed", "shutdown")
    with pytest.raises(al.ActorDied):
        call.get(timeout=30)
    assert node.whereis("neighbour").call.where()[0] == pid  # and nobody else is hurt
    assert node.whereis("neighbour").call.add(0) == 5


def test_a_c_call_that_cannot_be_interrupted_costs_its_worker_and_is_named(start, node, eventually, happened):
    sup, ref = start(Clerk)
    neighbour, down = node.whereis("neighbour"), node.monitor(ref)
    pid = worker_of(node, 1).pid
    bystander = node.spawn(Blocker, placement=1)
    bystander.cast.wait(FOR_EVER_S)  # in a thread of its own, where it may
    eventually(is_busy(node, bystander))
    ref.cast.hold_the_interpreter(FOR_EVER_S)
    eventually(is_busy(node, ref))
    happened.clear()
    stop(sup)
    why = reason_of(down).why
    assert why.startswith("one does not stop: ")
    assert "hold_the_interpreter at " in why
    assert "recovery_drill.py:" in why
    eventually(replaced(node, 1, pid))
    eventually(lambda: answers(neighbour))
    eventually(lambda: [event for event in happened if event.kind == "worker_replaced"])
    [died] = [event for event in happened if event.kind == "worker_died"]
    assert died.fields["why"] == why


def test_a_start_that_holds_the_thread_is_interrupted(node, eventually, patient):
    pid = worker_of(node, 1).pid
    spec = al.child(Slow, FOR_EVER_S, True, name="slow", placement=1, init_timeout_s=0.1)
    with pytest.raises(al.StartError):
        node.start(al.Supervisor(children=[spec]))
    assert node.whereis("slow") is None
    assert worker_of(node, 1).pid == pid


# -- the last hook --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["raise", "park", "sleep"])
def test_a_last_hook_may_fail_or_hang_and_the_others_stop_all_the_same(start, node, patient, how):
    sup, ref = start(HardToStop, how)
    down, pid = node.monitor(ref), worker_of(node, 1).pid
    stop(sup)
    assert reason_of(down) == ("killed" if how == "park" else "shutdown")
    assert node.whereis("neighbour").call.add(0) == 5
    assert worker_of(node, 1).pid == pid


@pytest.mark.parametrize("how", ["raise", "park", "sleep"])
def test_siblings_stop_in_order_whatever_ones_last_hook_does(node, patient, tmp_path, how):
    notes = str(tmp_path / "notes")
    children = [
        al.child(Clerk, 0, notes, name="first", placement=1),
        al.child(HardToStop, how, notes, name="bad", placement=1, shutdown=0.1),
        al.child(Clerk, 0, notes, name="last", placement=2),
    ]
    root = node.start(al.Supervisor(children=children))
    stops = [f"stop {node.whereis(name).address:x}" for name in ("last", "bad", "first")]
    root.stop(timeout=30)
    assert [line for line in (tmp_path / "notes").read_text().splitlines() if line.startswith("stop")] == stops


# -- the watchdog ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["sleep_until", "hold_the_loop_until"])
def test_a_handler_that_holds_the_thread_is_named(start, node, eventually, happened, tmp_path, method):
    _sup, ref = start(Clerk)
    happened.clear()
    held = getattr(ref.request, method)(str(tmp_path / "gate"))

    def named():
        return [event for event in happened if event.kind == "handler_holds_loop" and event.fields["actor"]]

    eventually(named)
    (tmp_path / "gate").touch()
    held.get(timeout=30)
    warnings = named()
    assert len(warnings) == 1
    assert warnings[0].fields["actor"] == "one"
    assert warnings[0].fields["worker"] == 1
    assert f"Clerk.{method}" in warnings[0].text
    assert "recovery_drill.py:" in warnings[0].text


def test_a_busy_worker_in_which_nobody_holds_the_thread_is_not_warned_about(start, node, happened):
    _sup, ref = start(Clerk)
    happened.clear()
    end = time.monotonic() + 0.8
    while time.monotonic() < end:
        ref.call.add(1)
    assert ref.call.doze(0.6) == "dozed"
    assert ref.call.nap(0.6) == "napped"
    assert not [event for event in happened if event.kind == "handler_holds_loop"]
