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


@pytest.fixture(scope="module")
def happened() -> list:
    return []


@pytest.fixture(scope="module")
def node(happened) -> Iterator[al.Node]:
    with open_node(heartbeat_s=0.05, hold_warning_s=0.1, on_event=happened.append) as node:
        yield node


@pytest.fixture
def start(node, eventually):
    roots = []

    def start(actor, *args, shutdown=0.1, **keys):
        spec = al.child(actor, *args, name="one", placement=1, shutdown=shutdown, restart="temporary", **keys)
        roots.append(node.start(al.Supervisor(children=[spec, al.child(Clerk, 5, name="neighbour", placement=1)])))
        return roots[-1], node.whereis("one")

    yield start
    for root in reversed(roots):
        root.stop(timeout=10)
    eventually(lambda: all(worker.pid for worker in node.workers))


def stop(sup, within_s=3.0):
    """Have the child terminated; return how long that took."""
    before = time.monotonic()
    sup.within(within_s).call.terminate_child("one")
    return time.monotonic() - before


def reason_of(down):
    return down.get(timeout=5).reason


# -- a handler that waits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shutdown", "at_least", "at_most"),
    [(0.2, 0.2, 0.8), ("brutal_kill", 0.0, 0.5)],
)
def test_a_handler_that_waits_is_thrown_out_when_its_time_is_up(start, node, eventually, shutdown, at_least, at_most):
    sup, ref = start(Clerk, shutdown=shutdown)
    down, call = node.monitor(ref), ref.request.nap(60)
    eventually(is_busy(node, ref))
    assert at_least <= stop(sup) <= at_most
    assert reason_of(down) == "killed"
    with pytest.raises(al.ActorDied) as caught:
        call.get(timeout=2)
    assert caught.value.delivery == "unknown"
    assert node.whereis("neighbour").call.add(0) == 5


def test_infinity_is_as_long_as_it_takes(start, node, eventually):
    sup, ref = start(Clerk, shutdown="infinity")
    down, call = node.monitor(ref), ref.request.nap(0.7)
    eventually(is_busy(node, ref))
    assert 0.3 <= stop(sup, within_s=5) <= 2
    assert call.get(timeout=2) == "napped"
    assert reason_of(down) == "shutdown"


def test_a_handler_that_swallows_what_it_is_thrown_is_left_behind(start, node, eventually):
    sup, ref = start(Stubborn)
    down = node.monitor(ref)
    ref.cast.nap(60)
    eventually(is_busy(node, ref))
    pid = worker_of(node, 1).pid
    assert stop(sup) < 1
    assert reason_of(down) == "killed"
    assert node.whereis("one") is None
    assert node.whereis("neighbour").call.where()[0] == pid


def test_an_async_handler_is_cancelled(start, node, eventually):
    sup, ref = start(Clerk)
    call = ref.request.doze(60)
    eventually(is_busy(node, ref))
    assert stop(sup) < 1
    with pytest.raises(al.ActorDied):
        call.get(timeout=2)


def test_the_thread_of_a_blocking_actor_is_left_behind(start, node, eventually):
    sup, ref = start(Blocker)
    down, call = node.monitor(ref), ref.request.wait(3)
    eventually(is_busy(node, ref))
    assert stop(sup) < 1
    assert reason_of(down) == "killed"
    with pytest.raises(al.ActorDied):
        call.get(timeout=2)


# -- a handler that runs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "args"), [("spin", (60,)), ("sleep_in_c", (60,)), ("hold_the_loop", (60,))])
def test_a_handler_that_holds_the_thread_is_interrupted(start, node, eventually, method, args):
    sup, ref = start(Clerk)
    down, call = node.monitor(ref), getattr(ref.request, method)(*args)
    eventually(is_busy(node, ref))
    pid = worker_of(node, 1).pid
    assert stop(sup) < 3
    assert reason_of(down) in ("killed", "shutdown")
    with pytest.raises(al.ActorDied):
        call.get(timeout=2)
    assert node.whereis("neighbour").call.where()[0] == pid  # and nobody else is hurt
    assert node.whereis("neighbour").call.add(0) == 5


def test_a_c_call_that_cannot_be_interrupted_costs_its_worker_and_is_named(start, node, eventually, happened):
    sup, ref = start(Clerk)
    neighbour, down = node.whereis("neighbour"), node.monitor(ref)
    pid = worker_of(node, 1).pid
    ref.cast.hold_the_interpreter(60)
    eventually(is_busy(node, ref))
    happened.clear()
    assert stop(sup, within_s=5) < 4
    why = reason_of(down).why
    assert why.startswith("one does not stop: ")
    assert "hold_the_interpreter at " in why
    assert "recovery_drill.py:" in why
    eventually(replaced(node, 1, pid))
    eventually(lambda: answers(neighbour))
    [died] = [event for event in happened if event.kind == "worker_died"]
    assert died.fields["why"] == why


def test_a_start_that_holds_the_thread_is_interrupted(node, eventually):
    pid = worker_of(node, 1).pid
    spec = al.child(Slow, 60, True, name="slow", placement=1, init_timeout_s=0.1)
    with pytest.raises(al.StartError):
        node.start(al.Supervisor(children=[spec]))
    assert node.whereis("slow") is None
    assert worker_of(node, 1).pid == pid


# -- the last hook --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["raise", "park", "sleep"])
def test_a_last_hook_may_fail_or_hang_and_the_others_stop_all_the_same(start, node, how):
    sup, ref = start(HardToStop, how)
    down, pid = node.monitor(ref), worker_of(node, 1).pid
    assert stop(sup) < 3
    assert reason_of(down) == ("killed" if how == "park" else "shutdown")
    assert node.whereis("neighbour").call.add(0) == 5
    assert worker_of(node, 1).pid == pid


# -- the watchdog ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["sleep_in_c", "hold_the_loop"])
def test_a_handler_that_holds_the_thread_is_named(start, node, eventually, happened, method):
    _sup, ref = start(Clerk)
    happened.clear()
    getattr(ref.within(5).call, method)(0.5)
    eventually(lambda: [event for event in happened if event.kind == "handler_holds_loop"])
    warnings = [event for event in happened if event.kind == "handler_holds_loop"]
    assert len(warnings) == 1
    assert warnings[0].fields["actor"] == "one"
    assert warnings[0].fields["worker"] == 1
    assert f"Clerk.{method}" in warnings[0].text
    assert "recovery_drill.py:" in warnings[0].text


def test_a_busy_worker_in_which_nobody_holds_the_thread_is_not_warned_about(start, node, happened):
    _sup, ref = start(Clerk)
    happened.clear()
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        ref.call.add(1)
    assert ref.call.doze(0.3) == "dozed"
    assert ref.call.nap(0.3) == "napped"
    assert not [event for event in happened if event.kind == "handler_holds_loop"]
