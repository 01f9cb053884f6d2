"""A worker killed again and again, under load, while it starts or takes over: nothing hangs, leaks or is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from recovery_drill import (
    Clerk,
    Slow,
    Talker,
    answers,
    freeze_worker,
    is_busy,
    kill_worker,
    open_node,
    replaced,
    trees_that_end,
    worker_of,
)

import actorlab as al

pytestmark = pytest.mark.process

KILLS = 20


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with open_node() as node:
        yield node


@pytest.fixture
def start(node, eventually):
    """Start a tree that ends with the test."""
    yield from trees_that_end(node, eventually)


def files(node):
    assert node.directory is not None
    names = (path.name for path in node.directory.iterdir() if not path.is_dir())
    return sorted(name for name in names if not name.startswith("lane."))  # those come when first used


def test_the_books_balance_after_many_kills_under_load(start, node, eventually, tmp_path):
    capacity = al.Mailbox(100_000, timeout_s=60.0)  # for a machine that does much else meanwhile
    children = [al.child(Clerk, name=f"clerk {n}", placement=1, mailbox=capacity) for n in range(4)]
    start(al.Supervisor(max_restarts=1000, children=children))
    refs = [node.whereis(f"clerk {n}") for n in range(4)]
    talker = node.spawn(Talker, placement=2)
    before, notes = files(node), tmp_path / "accepted"
    notes.touch()
    ready = threading.Event()
    accepted, errors, floods = 0, [], []

    def send_until_ready():
        nonlocal accepted
        n = 0
        while not ready.is_set():
            try:
                refs[n % 4].cast.add(1)
                accepted += 1
            except al.CallError as error:
                errors.append(error)
            n += 1
            if n % 200 == 0:
                time.sleep(0.002)  # so that the two of us share the machine with the workers

    sender = threading.Thread(target=send_until_ready)
    sender.start()
    calls = []
    pause = threading.Event()
    try:
        for n in range(KILLS):
            pid = worker_of(node, 1).pid
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if n % 2:  # every other one is killed whether it is ready or not
                eventually(replaced(node, 1, pid))
            floods.append(talker.request.flood(refs, 200, str(notes)))
            calls += [ref.request.add(0) for ref in refs]
            pause.wait(0.1)
    finally:
        ready.set()
        sender.join()
    for flood in floods:
        flood.get(timeout=30)
    outcomes = []
    for call in calls:
        try:
            outcomes.append(type(call.get(timeout=30)))
        except al.ActorDied:
            outcomes.append(al.ActorDied)
    assert not errors  # a supervised actor is never refused
    for ref in refs:
        ref.within(30).call.add(0)
    node.wait_idle()
    sent = accepted + sum(map(int, notes.read_text().split()))
    books = [ref.statistics() for ref in refs]
    assert sum(book.accepted for book in books) == sent + len(calls) + len(refs), (sent, books)
    assert all(book.depth == 0 for book in books)
    assert worker_of(node, 1).restarts >= KILLS // 2
    eventually(lambda: files(node) == before)
    talker.stop()


def test_what_a_dying_worker_is_asked_to_do_fails_or_is_done_by_the_next(node, eventually):
    for _ in range(5):
        busy = node.spawn(Clerk, placement=1)
        hold = busy.request.spin(20)
        eventually(is_busy(node, busy))
        asked = [node.runtime.control(1, "ping") for _ in range(20)]
        pid = kill_worker(node, 1)
        asked += [node.runtime.control(1, "ping") for _ in range(20)]
        for question in asked:
            try:
                assert question.get(timeout=30) != pid
            except al.StartError as error:
                assert "SIGKILL" in str(error)
        with pytest.raises(al.ActorDied):
            hold.get(timeout=30)
        ref = node.spawn(Clerk, 4, placement=1)  # at once: the new process starts it
        assert ref.call.add(0) == 4
        ref.stop()


def test_a_worker_killed_in_the_middle_of_a_start_fails_it(node, eventually):
    outcome = []

    def start():
        try:
            outcome.append(node.spawn(Slow, 30, placement=1, name="slow"))
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    eventually(lambda: node.runtime.names.whereis("slow") is not None)
    pid = kill_worker(node, 1)
    thread.join(30)
    assert isinstance(outcome[0], al.StartError)
    assert "SIGKILL" in str(outcome[0])
    eventually(replaced(node, 1, pid))
    assert node.whereis("slow") is None
    node.spawn(Clerk, placement=1, name="slow").stop()


def test_a_tree_whose_worker_dies_while_it_starts_fails_and_leaves_nothing(node, eventually):
    outcome = []
    tree = al.Supervisor(
        children=[al.child(Clerk, name="first", placement=2), al.child(Slow, 30, name="slow", placement=1)]
    )

    def start():
        try:
            outcome.append(node.start(tree))
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    eventually(lambda: node.runtime.names.whereis("slow") is not None)
    kill_worker(node, 1)
    thread.join(30)
    assert isinstance(outcome[0], al.StartError), outcome
    assert node.whereis("first") is None
    eventually(lambda: node.whereis("slow") is None)


def test_a_worker_killed_while_it_takes_over_is_taken_over_again(start, node, eventually):
    children = [al.child(Clerk, name=f"clerk {n}", placement=1) for n in range(200)]
    start(al.Supervisor(max_restarts=1000, children=children))
    refs = [node.whereis(f"clerk {n}") for n in range(200)]
    for ref in refs:
        ref.cast.note("first")
    old = kill_worker(node, 1)
    for n in range(4):
        eventually(lambda old=old: worker_of(node, 1).pid not in (0, old))
        for ref in refs[:20]:
            ref.cast.note(n)
        old = kill_worker(node, 1)
    eventually(lambda: all(answers(ref) for ref in refs), within_s=30)
    # nothing that was sent while nobody was there is lost
    for ref in refs[:20]:
        noted = [item for item in ref.call.noted() if item != "first"]
        assert noted == sorted(noted)
        statistics = ref.statistics()
        assert statistics.depth == 0
    node.wait_idle()


def test_a_killed_forkserver_harms_nobody(node, eventually):
    ref = node.spawn(Clerk, 8, placement=2)
    launcher = node._controller.launcher
    pid = launcher.forkserver_pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: launcher._server.has_ended())
    assert ref.call.add(0) == 8
    old = kill_worker(node, 1)
    eventually(replaced(node, 1, old))
    assert launcher.forkserver_pid != pid
    assert ref.call.add(0) == 8
    ref.stop()


def test_a_spare_takes_the_place_of_a_killed_worker(eventually):
    with al.Node(workers=1, spares=1, log_level="CRITICAL") as node:
        launcher = node._controller.launcher
        eventually(lambda: launcher.spare_pid is not None)
        spare, old = launcher.spare_pid, kill_worker(node, 1)
        eventually(replaced(node, 1, old))
        assert worker_of(node, 1).pid == spare


# -- frozen ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def impatient() -> Iterator[al.Node]:
    with open_node(heartbeat_s=0.05, hang_timeout_s=4.0, hold_warning_s=0.1) as node:
        yield node


def test_a_frozen_worker_is_noticed_killed_and_replaced(impatient, eventually):
    node = impatient
    root = node.start(al.Supervisor(children=[al.child(Clerk, name="one", placement=1)]))
    ref = node.whereis("one")
    down = node.monitor(ref)
    pid = freeze_worker(node, 1)
    ref.cast.note("while it was frozen")
    assert down.get(timeout=30).reason.why == "stopped (SIGSTOP)"
    eventually(replaced(node, 1, pid))
    assert ref.call.noted() == ["while it was frozen"]
    root.stop()


def test_a_worker_that_is_frozen_for_a_moment_goes_on(impatient):
    node = impatient
    ref = node.spawn(Clerk, 3, placement=1)
    pid = kill_worker(node, 1, signal.SIGSTOP)
    threading.Event().wait(0.25)
    os.kill(pid, signal.SIGCONT)
    assert ref.call.add(0) == 3
    assert ref.call.where()[0] == pid
    ref.stop()


def test_a_handler_that_works_long_is_left_alone(impatient):
    ref = impatient.spawn(Clerk, placement=1)
    assert ref.within(30).call.spin(6.0) == "spun"
    assert ref.within(30).call.sleep_in_c(6.0) == "slept"
    ref.stop()


def test_a_c_call_that_keeps_the_interpreter_is_put_down_and_named(impatient, eventually):
    node = impatient
    ref = node.spawn(Clerk, placement=1)
    down, pid = node.monitor(ref), worker_of(node, 1).pid
    ref.cast.hold_the_interpreter(60)
    why = down.get(timeout=30).reason.why
    assert why.startswith("hung: ")
    assert "hold_the_interpreter at " in why
    assert "recovery_drill.py:" in why
    eventually(replaced(node, 1, pid))
