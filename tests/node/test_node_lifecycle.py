"""How a node begins and ends: in order, at once, by Ctrl-C, and when its controller is killed."""

from __future__ import annotations

import os
import pkgutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from moving_actors import Counter, begin_recycling
from recovery_drill import Clerk, HardToStop, Slow, is_busy, worker_of

import actorlab as al
from actorlab.node.controller import Controller

pytestmark = pytest.mark.process

HERE = Path(__file__).parent


def run(script: str, *args: str) -> subprocess.Popen:
    """Start a program of the user's; what it prints can be read line by line."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent.parent)])}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *args],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
    )  # fmt: skip


def pids_said_by(program: subprocess.Popen) -> list[int]:
    """Return what a program's first line says; if it has none, what it died of."""
    line = program.stdout.readline()
    assert line, program.communicate()[1]
    return [int(pid) for pid in line.split()]


def alive(pids) -> list[int]:
    found = []
    for pid in pids:
        try:
            if psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                found.append(pid)
        except psutil.NoSuchProcess:
            pass
    return found


BEGIN = """
    import os, signal, sys, time
    import actorlab as al
    from recovery_drill import Clerk, HardToStop
"""


def test_a_node_stops_its_trees_in_reverse_order_of_their_starts(tmp_path):
    notes = str(tmp_path / "notes")
    with al.Node(workers=2, log_level="CRITICAL") as node:
        node.start(
            al.Supervisor(
                children=[
                    al.child(Clerk, 0, notes, name="a", placement=1),
                    al.Supervisor(placement=2, children=[al.child(Clerk, 0, notes, name="b", placement=1)]),
                    al.child(Clerk, 0, notes, name="c", placement="local"),
                ]
            )
        )
        node.start(al.Supervisor(children=[al.child(Clerk, 0, notes, name="d", placement=2)]))
        loose = node.spawn(Clerk, 0, notes, placement=1)
        order = [f"{node.whereis(name).address:x}" for name in "abcd"]
    events = [line.split() for line in Path(notes).read_text().splitlines()]
    stops = [address for what, address in events if what == "stop"]
    assert stops == [*reversed(order), f"{loose.address:x}"]
    with pytest.raises(al.NodeGone):
        loose.call.add(1)


@pytest.mark.parametrize("brutal", [False, True], ids=["in order", "brutal"])
def test_a_node_stops_in_bounded_time_whatever_its_actors_do(eventually, brutal):
    node = al.Node(workers=2, log_level="CRITICAL", stop_timeout_s=60.0 if brutal else 1.0)
    pids = [worker.pid for worker in node.workers]
    hard = [al.child(HardToStop, how, shutdown=60.0) for how in ("park", "sleep", "raise")]
    node.start(al.Supervisor(children=[al.child(Clerk, name="one", shutdown="infinity", placement=1), *hard]))
    waiting = node.whereis("one").request.nap(60)
    eventually(is_busy(node, node.whereis("one")))
    began = time.monotonic()
    node.stop(brutal=brutal)
    assert time.monotonic() - began < 30
    assert not alive(pids)
    with pytest.raises((al.ActorDied, al.NodeGone)):
        waiting.get(timeout=30)
    assert node.wait(timeout=30) is None


def test_a_node_can_be_stopped_from_another_thread_while_somebody_waits_for_it():
    node = al.Node(workers=1, log_level="CRITICAL")
    waited = []
    thread = threading.Thread(target=lambda: waited.append(node.wait()))
    thread.start()
    node.stop()
    node.stop()  # once more does no harm
    thread.join(30)
    assert waited == [None]


def test_a_node_that_is_stopped_while_a_worker_is_replaced_leaves_nothing(eventually):
    for pause_s in (0.0, 0.002, 0.005, 0.02):
        node = al.Node(workers=2, log_level="CRITICAL")
        node.start(al.Supervisor(children=[al.child(Clerk, placement=1), al.child(Clerk, placement=2)]))
        for worker in node.workers:
            os.kill(worker.pid, signal.SIGKILL)
        threading.Event().wait(pause_s)
        began = time.monotonic()
        node.stop()
        assert time.monotonic() - began < 30


def test_a_worker_that_is_launched_while_the_node_stops_keeps_its_descriptors_till_nobody_watches_them(monkeypatch):
    node = al.Node(workers=1, log_level="CRITICAL")
    launcher = node._controller.launcher
    launch, stop = launcher.launch, launcher.stop
    launched, stopped = threading.Event(), threading.Event()
    held = []

    def launching(*args):
        process = launch(*args)
        launched.set()
        assert stopped.wait(20)
        held.append((process, process.end, process.control.closed))
        return process

    def stopping(**keys):
        stop(**keys)
        stopped.set()

    monkeypatch.setattr(launcher, "launch", launching)
    monkeypatch.setattr(launcher, "stop", stopping)
    os.kill(node.workers[0].pid, signal.SIGKILL)
    assert launched.wait(20)
    node.stop(brutal=True)
    ((process, end, closed),) = held
    assert end >= 0 and not closed
    assert process.end == -1 and process.control.closed and not alive([process.pid])


def test_who_waits_for_a_recycling_hears_of_the_end_of_the_node(tmp_path):
    node = al.Node(workers=1)
    gate = tmp_path / "open"
    node.spawn(Counter, placement=1).cast.hold(str(gate))
    recycled = begin_recycling(node, 1)
    node.stop(brutal=True)
    with pytest.raises(al.StartError, match="stopping"):
        recycled.get(timeout=5)
    with pytest.raises(al.StartError, match="stop"):
        node._controller.recycler.begin(1, "test").get(timeout=5)


def test_a_tree_that_fails_to_start_stops_the_node(tmp_path, eventually):
    before = threading.active_count()
    with pytest.raises(al.StartError, match="not ready within"):
        al.Node(workers=1, log_level="CRITICAL", tree=al.Supervisor(children=[al.child(Slow, 60, init_timeout_s=0.1)]))
    eventually(lambda: threading.active_count() <= before + 1)


def test_a_worker_that_is_lost_while_the_others_start_fails_the_node(monkeypatch, eventually):
    started, go_on, relaunched = Controller._on_word, threading.Event(), threading.Event()
    waiting = []

    def on_word(controller, slot, process):
        if slot.number == 2 and process.ready and not go_on.is_set():
            waiting.append((controller, slot, process))
            controller.kernel.hub.unwatch(process.control.fileno())
            return False
        return started(controller, slot, process)

    launch = Controller.launch

    def launching(controller, slot):
        launch(controller, slot)
        if slot.number == 1 and slot.restarts:
            slot.process.kill()  # once more, before it is ready
            relaunched.set()

    monkeypatch.setattr(Controller, "_on_word", on_word)
    monkeypatch.setattr(Controller, "launch", launching)
    with ThreadPoolExecutor() as pool:
        starting = pool.submit(al.Node, workers=2)
        eventually(lambda: waiting)
        controller, slot, process = waiting[0]
        eventually(lambda: controller.slots[1].ready.state)
        controller.slots[1].process.kill()
        assert relaunched.wait(30)
        eventually(lambda: controller.slots[1].ready.state)
        go_on.set()
        controller.kernel.post(started, controller, slot, process)
        try:
            node = starting.result(timeout=30)
        except al.StartError as error:
            assert "worker 1" in str(error)
        else:
            with node:
                pytest.fail(f"the node runs without worker 1: {node.workers}")


def test_a_worker_that_never_gets_ready_fails_the_node():
    with pytest.raises(al.WorkerStartError, match="no_such_module"):
        al.Node(workers=1, preload=("no_such_module",), log_level="CRITICAL")


def test_a_killed_controller_leaves_no_process_and_no_file(eventually, tmp_path):
    program = run(
        BEGIN + """
    node = al.Node(workers=2, runtime_dir=sys.argv[1])
    node.start(al.Supervisor(children=[al.child(Clerk, name="one", placement=1)]))
    node.whereis("one").cast.spin(60)
    launcher = node._controller.launcher
    print(*[worker.pid for worker in node.workers], launcher.forkserver_pid or launcher.sentry_pid, flush=True)
    time.sleep(60)
    """,
        str(tmp_path),
    )
    pids = pids_said_by(program)
    assert len(alive(pids)) == 3
    program.kill()
    program.wait()
    eventually(lambda: not alive(pids))
    eventually(lambda: not list(tmp_path.iterdir()))
    program.communicate()


def test_ctrl_c_is_the_users_exception_and_the_node_stops_in_order(eventually, tmp_path):
    notes = tmp_path / "notes"
    program = run(
        BEGIN + """
    try:
        with al.Node(workers=2, runtime_dir=sys.argv[1]) as node:
            node.start(al.Supervisor(children=[al.child(Clerk, 0, sys.argv[2], name="one", placement=1)]))
            print(*[worker.pid for worker in node.workers], flush=True)
            node.wait()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    """,
        str(tmp_path),
        str(notes),
    )
    pids = pids_said_by(program)
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does: the workers get it, too
    out, err = program.communicate(timeout=30)
    assert out.split() == ["interrupted"], err
    assert [line.split()[0] for line in notes.read_text().splitlines()] == ["start", "stop"]
    assert "Traceback" not in err
    assert not alive(pids)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_a_second_ctrl_c_does_not_wait_for_anybody(eventually, tmp_path):
    runtime, notes = tmp_path / "runtime", tmp_path / "notes"
    runtime.mkdir()
    program = run(
        BEGIN + """
    try:
        with al.Node(workers=2, runtime_dir=sys.argv[1], stop_timeout_s=60.0) as node:
            node.start(al.Supervisor(children=[al.child(HardToStop, "park", sys.argv[2], shutdown=60.0, placement=1)]))
            print(*[worker.pid for worker in node.workers], flush=True)
            node.wait()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    """,
        str(runtime),
        str(notes),
    )
    pids = pids_said_by(program)
    program.send_signal(signal.SIGINT)
    eventually(lambda: "stop" in notes.read_text())  # it waits for an actor that never ends
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=30)
    assert out.split() == ["interrupted"], err
    assert not alive(pids)
    assert not list(runtime.iterdir())


@pytest.mark.parametrize(
    "step",
    [
        "node.stopping.stop_workers", "node.launch.Launcher.stop", "node.runtime.ProcessRuntime.settle_pending",
        "node.caretaker.Caretaker.end", "node.news.News.close", "node.inlet.Inlet.close", "transport.Outlet.close",
        "node.signs.Signs.close", "transport.Spill.close", "node.books.Books.close", "node.recycling.Recycler.close",
        "registry.IndexedBackend.close", "transport.Board.close", "node.directory.NodeDirectory.remove",
    ],
)  # fmt: skip
def test_what_one_more_ctrl_c_cuts_off_a_second_stop_does(monkeypatch, tmp_path, step):
    place, _, name = step.rpartition(".")
    place = f"actorlab.{place}"
    owner = pkgutil.resolve_name("actorlab.node.controller" if name == "stop_workers" else place)
    real, armed = getattr(owner, name), []

    def cut_off(*args, **keys):
        answer = real(*args, **keys)  # done and not crossed off: so it is done twice
        if armed and threading.current_thread() is threading.main_thread():
            armed.clear()
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(owner, name, cut_off)
    node = al.Node(workers=1, runtime_dir=tmp_path, log_level="CRITICAL")
    node.start(al.Supervisor(children=[al.child(Clerk, name="one", placement=1)]))
    pids = [worker.pid for worker in node.workers]
    armed.append(step)
    with pytest.raises(KeyboardInterrupt):
        node.stop()
    assert not armed
    node.stop()
    node.stop()
    assert not alive(pids) and not list(tmp_path.iterdir())
    assert node.wait(timeout=20) is None


def test_a_step_of_the_clean_up_that_fails_stops_none_behind_it(monkeypatch, tmp_path):
    def fail(self):
        raise RuntimeError("the janitor is ill")

    monkeypatch.setattr("actorlab.node.caretaker.Caretaker.end", fail)
    node = al.Node(workers=1, runtime_dir=tmp_path, log_level="CRITICAL")
    with pytest.raises(RuntimeError, match="janitor"):
        node.stop()
    assert not list(tmp_path.iterdir()) and node.wait(timeout=20) is None
    node.stop()


@pytest.mark.parametrize("where", ["in another thread", "in a signal handler of the thread that helps"])
def test_who_helps_the_lanes_along_while_they_are_closed_hears_that_the_node_is_gone(monkeypatch, where, eventually):
    node = al.Node(workers=1, log_level="CRITICAL")
    waiting = node.spawn(Clerk, placement=1).request.nap(60)
    inlet = node.runtime.inlet
    look, inside, stopped = inlet.look, threading.Event(), threading.Event()
    in_handler = where != "in another thread"

    def looking(also):
        kernels = [kernel.ident for kernel in node.runtime.kernels.values()]
        if threading.get_ident() not in kernels and not inside.is_set():
            inside.set()
            if in_handler:
                node.stop(brutal=True)
            else:
                eventually(lambda: stopped.is_set() or getattr(inlet.help, "_ended", False))
        return look(also)

    monkeypatch.setattr(inlet, "look", looking)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(waiting.get, timeout=20)
        assert inside.wait(20)
        node.stop(brutal=True)
        stopped.set()
        with pytest.raises((al.NodeGone, al.ActorDied)):
            answer.result(timeout=20)


def test_a_node_is_not_idle_while_something_lies_in_a_lane(monkeypatch):
    """Whoever asks a kernel whether it rests may be heard before what another process sent it earlier."""
    with al.Node(workers=1, log_level="CRITICAL") as node:
        node.spawn(Clerk).call.add(1)
        node.wait_idle()
        inlet = node.runtime.inlet
        with monkeypatch.context() as patch:
            patch.setattr(inlet, "has_news", lambda: True)
            with pytest.raises(al.CallTimeout, match="kernel 0"):
                node.wait_idle(timeout=0.1)
        node.wait_idle(timeout=30)


def test_a_worker_ignores_the_terminals_interrupt():
    with al.Node(workers=1, log_level="CRITICAL") as node:
        ref = node.spawn(Clerk, 3)
        os.kill(worker_of(node, 1).pid, signal.SIGINT)
        os.kill(worker_of(node, 1).pid, signal.SIGTERM)
        assert ref.call.add(0) == 3
        assert worker_of(node, 1).restarts == 0
