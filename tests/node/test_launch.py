"""Worker processes: how they start, what they find, and that none outlives its controller."""

from __future__ import annotations

import errno
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import multiprocess
import psutil
import pytest

from actorlab.errors import WorkerStartError
from actorlab.memory import has
from actorlab.node import launch
from actorlab.node.directory import NodeDirectory
from actorlab.node.exits import ExitWatch
from actorlab.node.identity import sentry_of
from actorlab.node.launch import Launcher
from actorlab.node.worker_process import LARGE_ASSIGNMENT_BYTES, WorkerProcess, control_pipe
from actorlab.testing import poll
from actorlab.testing.leaks import children

pytestmark = pytest.mark.process

HERE = Path(__file__).parent
METHODS = pytest.mark.parametrize("method", ["forkserver", "spawn", "plain spawn"], indirect=True)
PLAIN = ("pidfd", "close_signal")


@pytest.fixture
def method(request, without):
    """How workers are made; plainly: without pidfds, and without the kernel's hand when the controller ends."""
    if request.param == "plain spawn":
        without(*PLAIN)
    return request.param.removeprefix("plain ")


@pytest.fixture
def node_path(tmp_path):
    with NodeDirectory.create(runtime_dir=tmp_path) as node:
        yield node.path


@pytest.fixture
def start(node_path):
    """Start launchers that are stopped at the end; what they run is a function of launch_targets."""
    launchers = []

    def starting(target="echo", **options):
        launchers.append(Launcher(node_path, f"launch_targets:{target}", **options))
        launchers[-1].start()
        return launchers[-1]

    yield starting
    for launcher in launchers:
        launcher.stop()


def facts_of(worker):
    return json.loads(worker.control.recv_bytes())


@METHODS
def test_a_worker_takes_its_assignment_and_talks_on_its_control(start, method):
    launcher = start(method=method)
    workers = [launcher.launch(slot, b"number %d" % slot) for slot in (1, 2, 3)]
    for worker in workers:
        worker.wait_ready()
        assert worker.control.recv_bytes() == b"number %d" % worker.slot
        worker.control.send_bytes(b"and on")
        assert worker.control.recv_bytes() == b"and on"
        assert worker.origin == method and not worker.has_ended()


def modules_of_a_worker(launcher):
    worker = launcher.launch(1, b"")
    worker.wait_ready()
    return facts_of(worker)["modules"]


def test_welcome_modules_are_there_before_a_worker_is_forked(start):
    assert "colorsys" in modules_of_a_worker(start("report", welcome=["colorsys"]))


def test_a_welcome_module_that_cannot_be_imported_is_left_to_whoever_needs_it(start):
    modules = modules_of_a_worker(start("report", welcome=["no_such_module_at_all", "colorsys"]))
    assert "colorsys" in modules


def test_a_welcome_module_that_starts_threads_is_not_forked_with(start, tmp_path, monkeypatch):
    (tmp_path / "threading_at_import.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    launcher = start("report", welcome=["colorsys", "threading_at_import"])
    assert "threading_at_import" not in modules_of_a_worker(launcher)
    assert launcher.launch(2, b"").origin == "forkserver"


@METHODS
def test_a_worker_starts_with_nothing_of_its_controllers(start, method, tmp_path):
    inheritable = os.open(tmp_path / "mine", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(inheritable, True)
    try:
        launcher = start("report", method=method)
        workers = [launcher.launch(slot, b"") for slot in (1, 2)]
        everyone = [facts for worker in workers if (facts := (worker.wait_ready(), facts_of(worker))[1])]
    finally:
        os.close(inheritable)
    for facts in everyone:
        assert facts["main"] == [] and facts["interrupt"] and facts["blocked"] == []
        assert not [name for name in facts["modules"] if name.startswith(("pytest", "test_"))]
        opened = [path for path in facts["descriptors"].values() if path != "/dev/null"]
        assert not [path for path in opened if str(tmp_path) in path or "pidfd" in path]
        pipes = 3 if has("pidfd") else 4  # its lifeline; stdout and stderr; what its end is seen by
        assert len([path for path in opened if path.startswith("pipe:")]) <= pipes
        assert len([path for path in opened if path.startswith("socket:")]) == 1  # its control


def test_launching_leaves_the_users_multiprocess_as_it_was(start):
    main = dict(vars(sys.modules["__main__"]))
    start().launch(1, b"").wait_ready()
    assert multiprocess.get_start_method(allow_none=True) is None
    assert multiprocess.active_children() == []
    assert vars(sys.modules["__main__"]) == main


@METHODS
def test_no_process_is_started_but_the_forkserver_or_the_sentry_and_the_workers(start, method):
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    launcher = start(method=method)
    worker = launcher.launch(1, b"")
    worker.wait_ready()
    started = {child.pid for child in psutil.Process().children(recursive=True)} - before
    assert started == {worker.pid, launcher.forkserver_pid if method == "forkserver" else launcher.sentry_pid}


def test_the_forkserver_has_one_thread_whatever_it_preloads(start, eventually):
    launcher = start("report", preload=["numpy", "pyarrow"])
    worker = launcher.launch(1, b"")
    worker.wait_ready()
    facts = facts_of(worker)
    eventually(lambda: len(os.listdir(f"/proc/{launcher.forkserver_pid}/task")) == 1)  # one that ended may be seen
    assert "pyarrow" in facts["modules"] and facts["threads"] == 1
    assert facts["openblas"] == os.environ.get("OPENBLAS_NUM_THREADS")
    assert facts["parent"] == launcher.forkserver_pid


# --- the spare


def wait_for_spare(launcher, other_than=None):
    while launcher.spare_pid in (None, other_than):
        assert launcher.spare_error is None
        time.sleep(0.001)
    return launcher.spare_pid


@METHODS
def test_a_spare_takes_over_and_is_replaced(start, method):
    launcher = start(method=method, spare=True)
    first = launcher.launch(1, b"first")
    assert first.origin == method
    standing_by = wait_for_spare(launcher)
    second = launcher.launch(2, b"second")
    assert (second.pid, second.origin, second.ready) == (standing_by, "spare", True)
    assert second.control.recv_bytes() == b"second"
    assert wait_for_spare(launcher, other_than=standing_by) != standing_by


def test_a_spare_that_was_killed_is_not_used(start):
    launcher = start(spare=True)
    launcher.want_spare()
    pid = wait_for_spare(launcher)
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([pidfd], [], [], 30)
    os.close(pidfd)
    worker = launcher.launch(1, b"well")
    worker.wait_ready()
    assert worker.pid != pid and worker.control.recv_bytes() == b"well"


@METHODS
def test_a_spare_made_while_the_code_is_renewed_is_not_of_the_old(start, method, monkeypatch, eventually):
    launcher = start(method=method, spare=True)
    made, renewed = queue.SimpleQueue(), threading.Event()
    wait_ready = WorkerProcess.wait_ready

    def waiting(worker, timeout_s):
        wait_ready(worker, timeout_s)
        made.put(worker)
        renewed.wait(30)

    monkeypatch.setattr(WorkerProcess, "wait_ready", waiting)
    launcher.want_spare()
    old = made.get(timeout=30)
    launcher.renew()
    renewed.set()
    assert made.get(timeout=30).pid == wait_for_spare(launcher, other_than=old.pid)
    eventually(old.has_ended)


def test_a_launcher_that_is_stopped_is_not_renewed(node_path):
    before = set(children())
    launcher = Launcher(node_path, "launch_targets:echo")
    launcher.start()
    launcher.stop()
    with pytest.raises(WorkerStartError, match="stopping"):
        launcher.renew()
    assert launcher.forkserver_pid is None and set(children()) <= before


def test_a_spare_for_which_there_are_no_descriptors_is_made_later(start, monkeypatch):
    launcher = start(spare=True)
    refused = threading.Event()

    def refuse():
        monkeypatch.undo()
        refused.set()
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(launch, "control_pipe", refuse)
    launcher.want_spare()
    assert refused.wait(30)
    launcher.want_spare()
    assert poll(lambda: launcher.spare_pid, 20)
    assert "too many open files" in str(launcher.spare_error)


def test_stopping_while_spares_are_made_leaves_nothing(node_path, eventually):
    before = set(children())
    for _ in range(5):
        launcher = Launcher(node_path, "launch_targets:echo", spare=True)
        launcher.start()
        launcher.want_spare()
        launcher.launch(1, b"")
        launcher.stop()
        eventually(lambda: set(children()) <= before)


# --- what goes wrong at the start


@METHODS
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (None, "ModuleNotFoundError"),
        ("import no_such_thing", "no_such_thing"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(4)", "SystemExit: 4"),
    ],
)
def test_a_preload_that_cannot_be_imported_is_named(start, tmp_path, monkeypatch, method, body, says):
    monkeypatch.syspath_prepend(tmp_path)
    if body is not None:
        (tmp_path / "bad_preload.py").write_text(body)
    launcher = start(method=method, preload=["bad_preload"])
    with pytest.raises(WorkerStartError, match=f"(?s)bad_preload.*{says}"):
        launcher.launch(1, b"").wait_ready()


@pytest.mark.parametrize("target", ["launch_targets:nothing", "launch_targets:__name__", "no_module:main"])
def test_a_target_that_is_no_function_is_named(start, target):
    launcher = start()
    launcher.target = target
    with pytest.raises(WorkerStartError, match=target):
        launcher.launch(1, b"").wait_ready()


def test_a_preload_that_starts_a_thread_is_refused_where_we_fork(start, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    body = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    (tmp_path / "threaded.py").write_text(body)
    with pytest.raises(WorkerStartError, match=r"threaded.*started 1 thread"):
        start(preload=["threaded"]).launch(1, b"").wait_ready()
    start(preload=["threaded"], method="spawn").launch(1, b"").wait_ready()


@METHODS
def test_an_import_that_hangs_is_given_up(start, tmp_path, monkeypatch, method):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "hanging.py").write_text("import threading\nthreading.Event().wait()\n")
    launcher = start(method=method, preload=["hanging"], ready_timeout_s=0.3)
    with pytest.raises(WorkerStartError, match=r"within 0\.3 s"):
        launcher.launch(1, b"").wait_ready(0.3)


def test_a_worker_that_dies_before_it_is_ready_is_an_error(start, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "deadly.py").write_text("import os\nos._exit(9)\n")
    with pytest.raises(WorkerStartError, match="ended before"):
        start(method="spawn", preload=["deadly"]).launch(1, b"").wait_ready()
    with pytest.raises(WorkerStartError, match="twice"):
        start(preload=["deadly"]).launch(1, b"")


def test_a_stopped_launcher_launches_no_more(node_path):
    launcher = Launcher(node_path, "launch_targets:echo")
    launcher.start()
    launcher.stop()
    launcher.stop()
    with pytest.raises(WorkerStartError, match="stopping"):
        launcher.launch(1, b"")


def test_a_directory_with_a_long_name_serves(tmp_path):
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with NodeDirectory.create(runtime_dir=deep) as node:
        launcher = Launcher(node.path, "launch_targets:echo")
        launcher.start()
        worker = launcher.launch(1, b"deep")
        worker.wait_ready()
        assert worker.control.recv_bytes() == b"deep"
        launcher.stop()


def test_launching_and_failing_leak_no_descriptor(start, tmp_path, monkeypatch, eventually):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken.py").write_text("1 / 0")
    launcher = start()
    failing = start(preload=["broken"])

    def round_trip():
        worker = launcher.launch(1, b"")
        worker.wait_ready()
        worker.kill()
        worker.wait_ended(30.0)
        launcher.release(worker)
        with pytest.raises(WorkerStartError):
            (worker := failing.launch(1, b"")).wait_ready()
        failing.release(worker)

    round_trip()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        round_trip()
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)


# --- signals, and the deaths of others


def test_ctrl_c_reaches_the_controller_only(start):
    launcher = start()
    worker = launcher.launch(1, b"1")
    os.kill(launcher.forkserver_pid, signal.SIGINT)
    worker.send_signal(signal.SIGINT)
    worker.wait_ready()
    other = launcher.launch(2, b"2")
    other.wait_ready()
    for each in (worker, other):
        each.send_signal(signal.SIGINT)
        assert each.control.recv_bytes() == b"%d" % each.slot
        each.control.send_bytes(b"still here")
        assert each.control.recv_bytes() == b"still here"


def test_a_killed_forkserver_harms_no_worker_and_is_replaced(start):
    launcher = start()
    worker = launcher.launch(1, b"old")
    worker.wait_ready()
    assert worker.control.recv_bytes() == b"old"
    first = launcher.forkserver_pid
    pidfd = os.pidfd_open(first)
    os.kill(first, signal.SIGKILL)
    select.select([pidfd], [], [], 30)
    os.close(pidfd)
    assert not worker.wait_ended(0.02)
    other = launcher.launch(2, b"new")
    other.wait_ready()
    assert launcher.forkserver_pid != first
    assert other.control.recv_bytes() == b"new"
    worker.control.send_bytes(b"alive")
    assert worker.control.recv_bytes() == b"alive"


def test_a_fork_that_the_system_refuses_costs_no_worker(start, tmp_path, monkeypatch, capfd):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "stingy.py").write_text(
        "import os\nfork, left = os.fork, [1]\n"
        "def stingy():\n"
        "    if not left: raise BlockingIOError(11, 'no more processes')\n"
        "    left.pop()\n"
        "    return fork()\n"
        "os.fork = stingy\n"
    )
    launcher = start(preload=["stingy"])
    workers = [launcher.launch(slot, b"%d" % slot) for slot in (1, 2, 3)]  # each from a forkserver of its own
    for worker in workers:
        worker.wait_ready()
        assert worker.control.recv_bytes() == b"%d" % worker.slot
    assert not any(worker.has_ended() for worker in workers)
    assert "no more processes" in capfd.readouterr().err


def test_a_frozen_forkserver_is_replaced(start, eventually):
    launcher = start()
    launcher.launch(1, b"").wait_ready()
    first = launcher.forkserver_pid
    os.kill(first, signal.SIGSTOP)
    eventually(lambda: psutil.Process(first).status() == psutil.STATUS_STOPPED)
    worker = launcher.launch(2, b"new")
    worker.wait_ready()
    assert worker.control.recv_bytes() == b"new" and launcher.forkserver_pid != first


def test_letting_go_of_a_worker_that_lives_ends_it(start):
    launcher = start("hold_the_gil")
    worker = launcher.launch(1, b"")
    worker.wait_ready()
    pidfd = os.dup(worker.end)
    launcher.release(worker)
    assert select.select([pidfd], [], [], 30)[0]
    os.close(pidfd)


@METHODS
def test_who_waits_for_an_end_hears_of_it_though_another_thread_lets_go_first(start, method):
    launcher = start(method=method)
    for round_ in range(10):
        worker = launcher.launch(1, b"")
        worker.wait_ready()
        with ThreadPoolExecutor(4) as threads:
            waits = [threads.submit(worker.wait_ended, 10.0) for _ in range(4)]
            if round_ % 2:
                worker.kill()
            launcher.release(worker)
            assert [wait.result() for wait in waits] == [True] * 4
        assert worker.has_ended() and worker.wait_ended(30.0) and not worker.kill()


CONTROLLER = """
import os, signal, sys, threading
sys.path.insert(0, {here!r})
from actorlab.node.directory import NodeDirectory
from actorlab.node.launch import Launcher
node = NodeDirectory.create(runtime_dir={runtime_dir!r})
launcher = Launcher(node.path, "launch_targets:spin", method={method!r}, spare={spare}, preload={preload!r})
launcher.start()
workers = []
for target in {targets!r}:
    launcher.target = "launch_targets:" + target
    workers.append(launcher.launch(len(workers) + 1, b""))
for worker in workers:
    worker.wait_ready()
    assert worker.control.recv_bytes() == b"busy"
launcher.target = "launch_targets:sleep"
pids = [worker.pid for worker in workers]
if {spare}:
    while launcher.spare_pid is None:
        pass
    pids.append(launcher.spare_pid)
{then}
print(*pids, launcher.forkserver_pid or launcher.sentry_pid, flush=True)
sys.stdin.read()
"""


class Controller:
    """A controller in a process of its own, with pidfds of all that it started."""

    def __init__(self, runtime_dir, *, method="forkserver", targets=(), preload=(), spare=False, then=""):
        script = CONTROLLER.format(
            here=str(HERE),
            runtime_dir=str(runtime_dir),
            method=method,
            targets=list(targets),
            preload=list(preload),
            spare=spare,
            then=then,
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pidfds = [os.pidfd_open(int(pid)) for pid in self.process.stdout.readline().split()]
        self.forkserver = self.pidfds[-1]
        assert self.pidfds

    def kill(self):
        self.process.kill()
        self.process.communicate()

    def alive_after(self, timeout_s):
        """Return how many of its processes live after at most that time (s)."""
        poll = select.poll()
        alive = set(self.pidfds)
        for pidfd in alive:
            poll.register(pidfd, select.POLLIN)
        deadline = time.monotonic() + timeout_s
        while alive and (left := deadline - time.monotonic()) > 0:
            for pidfd, _ in poll.poll(left * 1000):
                poll.unregister(pidfd)
                alive.discard(pidfd)
        return len(alive)

    def close(self):
        self.kill()
        for pidfd in self.pidfds:
            os.close(pidfd)


@pytest.fixture
def controller():
    started = []

    def starting(*args, **options):
        started.append(Controller(*args, **options))
        return started[-1]

    yield starting
    for each in started:
        each.close()


@METHODS
def test_a_killed_controller_leaves_no_process_however_busy(controller, tmp_path, method):
    busy = ["spin", "hold_the_gil", "sleep"] if has("close_signal") else ["spin", "sleep"]
    dying = controller(tmp_path, method=method, targets=busy, spare=True)
    dying.kill()
    assert dying.alive_after(30.0) == 0
    assert list(tmp_path.iterdir()) == []  # the forkserver stood last, or the sentry


def test_a_killed_sentry_harms_no_worker_and_is_replaced_by_the_next_launch(start, eventually):
    launcher = start(method="spawn")
    worker = launcher.launch(1, b"1")
    first = launcher.sentry_pid
    os.kill(first, signal.SIGKILL)
    worker.wait_ready()
    eventually(lambda: psutil.Process(first).status() == psutil.STATUS_ZOMBIE)
    launcher.launch(2, b"2").wait_ready()
    assert launcher.sentry_pid != first and psutil.pid_exists(launcher.sentry_pid)
    assert not worker.has_ended() and worker.control.recv_bytes() == b"1"


def test_a_sentry_heeds_no_signal_of_the_terminal_and_takes_nothing_with_it(start, node_path, eventually):
    launcher = start(method="spawn")
    eventually(lambda: sentry_of(node_path) is not None)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(launcher.sentry_pid, number)
    pid, private_bytes = sentry_of(node_path)
    assert pid == launcher.sentry_pid and 1 << 20 < private_bytes < 64 << 20
    launcher.launch(1, b"").wait_ready()
    assert launcher.sentry_pid == pid
    launcher.stop()
    eventually(lambda: not psutil.pid_exists(pid))
    assert node_path.exists()


def test_a_worker_that_closes_what_its_end_is_seen_by_is_taken_for_dead_and_killed(start, without, eventually):
    without(*PLAIN)
    worker = start("close_everything", method="spawn").launch(1, b"")
    watch = ExitWatch()
    watch.add(worker)
    [end] = watch.wait_ended(30.0)
    assert watch.reap(end).text == "SIGKILL"
    eventually(lambda: not psutil.pid_exists(worker.pid))


def test_a_child_that_a_worker_forked_does_not_hide_its_end(start, without):
    without(*PLAIN)
    worker = start("fork", method="spawn").launch(1, b"")
    worker.wait_ready()
    child = int(worker.control.recv_bytes())
    try:
        worker.kill()
        assert worker.wait_ended(30.0)
        assert worker.read_exit_code() == -signal.SIGKILL
        assert psutil.pid_exists(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_control_takes_a_large_assignment_before_anybody_reads():
    ours, theirs = control_pipe()
    with ours, theirs:
        os.set_blocking(ours.fileno(), False)
        ours.send_bytes(bytes(LARGE_ASSIGNMENT_BYTES))
        assert len(theirs.recv_bytes()) == LARGE_ASSIGNMENT_BYTES


def test_a_controller_that_just_exits_leaves_nothing(controller, tmp_path):
    leaving = controller(tmp_path, targets=["hold_the_gil", "sleep"])
    leaving.process.communicate("")
    assert leaving.alive_after(30.0) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_controller_killed_after_its_forkserver_leaves_no_process(controller, tmp_path):
    dying = controller(tmp_path, targets=["spin", "hold_the_gil", "sleep"])
    signal.pidfd_send_signal(dying.forkserver, signal.SIGKILL)
    assert select.select([dying.forkserver], [], [], 30)[0]
    assert dying.alive_after(0.05) == 3
    dying.kill()
    assert dying.alive_after(30.0) == 0


def test_a_controller_killed_while_the_forkserver_imports_leaves_no_process(controller, tmp_path, monkeypatch):
    (tmp_path / "hanging.py").write_text("import threading\nthreading.Event().wait()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    dying = controller(tmp_path, preload=["hanging"])
    assert dying.alive_after(0.1) == len(dying.pidfds)
    dying.kill()
    assert dying.alive_after(30.0) == 0


def test_a_child_that_the_user_forked_keeps_no_worker_alive(controller, tmp_path):
    fork = "child = os.fork()\nif child == 0:\n    os.close(1)\n    signal.pause()\npids.append(child)"
    dying = controller(tmp_path, targets=["hold_the_gil", "sleep"], then=fork)
    dying.process.kill()
    dying.process.wait()
    *workers, child, forkserver = dying.pidfds
    dying.pidfds = [*workers, forkserver]
    try:
        assert dying.alive_after(30.0) == 0
        assert not select.select([child], [], [], 0)[0]
    finally:
        signal.pidfd_send_signal(child, signal.SIGKILL)
        dying.pidfds.append(child)
    assert not list(tmp_path.glob("actorlab-*/*"))


UNGUARDED = """
from actorlab.node.directory import NodeDirectory
from actorlab.node.launch import Launcher
import json
print("started")
class Mine: pass
with NodeDirectory.create(runtime_dir={runtime_dir!r}) as node:
    launcher = Launcher(node.path, "launch_targets:report", method={method!r})
    launcher.start()
    worker = launcher.launch(1, b"")
    worker.wait_ready()
    print(json.loads(worker.control.recv_bytes())["main"])
    launcher.stop()
"""


@METHODS
@pytest.mark.parametrize("way", ["script", "stdin", "-c", "-m"])
def test_a_program_without_a_guard_is_not_run_again_in_its_workers(tmp_path, method, way):
    script = UNGUARDED.format(runtime_dir=str(tmp_path), method=method)
    (tmp_path / "unguarded.py").write_text(script)
    command, given = {
        "script": ([str(tmp_path / "unguarded.py")], ""),
        "stdin": (["-"], script),
        "-c": (["-c", script], ""),
        "-m": (["-m", "unguarded"], ""),
    }[way]
    environment = {**os.environ, "PYTHONPATH": f"{HERE}:{tmp_path}"}
    ran = subprocess.run(
        [sys.executable, *command], input=given, capture_output=True, text=True, env=environment, timeout=60
    )
    assert (ran.stdout, ran.stderr) == ("started\n[]\n", "")


def test_launches_from_several_threads_do_not_mix(start):
    launcher = start(spare=True)
    answers = {}

    def launch(slot):
        worker = launcher.launch(slot, b"%d" % slot)
        worker.wait_ready()
        answers[slot] = worker.control.recv_bytes()

    threads = [threading.Thread(target=launch, args=(slot,)) for slot in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {slot: b"%d" % slot for slot in range(1, 7)}
