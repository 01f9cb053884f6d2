"""Every way to end is noticed once, and named."""

from __future__ import annotations

import os
import select
import signal

import pytest

from actorlab.node.directory import NodeDirectory
from actorlab.node.exits import ExitWatch, ask_kernel_for_exit_code, describe_exit, is_stopped, read_oom_kills
from actorlab.node.launch import Launcher

pytestmark = pytest.mark.process


@pytest.fixture(params=["forkserver", "spawn", "plain spawn"])
def launcher(tmp_path, request, without):
    method = request.param.removeprefix("plain ")
    if method != request.param:
        without("pidfd", "close_signal")
    with NodeDirectory.create(runtime_dir=tmp_path) as node:
        starting = Launcher(node.path, "launch_targets:end", method=method)
        starting.start()
        yield starting
        starting.stop()


WAYS = [
    ("return", 0, None, "exit 0"),
    ("exit 3", 3, None, "exit 3"),
    ("_exit 0", 0, None, "exit 0"),
    ("raise", 1, None, "exit 1"),
    ("segfault", None, signal.SIGSEGV, "SIGSEGV"),
    ("abort", None, signal.SIGABRT, "SIGABRT"),
    (str(int(signal.SIGKILL)), None, signal.SIGKILL, "SIGKILL"),
    (str(int(signal.SIGTERM)), None, signal.SIGTERM, "SIGTERM"),
]


def test_every_way_to_end_is_named_and_reported_once(launcher):
    watch = ExitWatch()
    workers = {}
    for slot, (how, *_) in enumerate(WAYS, start=1):
        worker = launcher.launch(slot, how.encode())
        watch.add(worker)
        workers[slot] = worker
    seen = {}
    while watch.poll_fds():
        ended = watch.wait_ended(30.0)
        assert ended, "a worker that should have ended did not"
        for pidfd in ended:
            status = watch.reap(pidfd)
            assert status.slot not in seen
            seen[status.slot] = (status.code, status.signal, status.text)
            assert status.pid == workers[status.slot].pid
    assert seen == {slot: way[1:] for slot, way in enumerate(WAYS, start=1)}
    for worker in workers.values():
        assert not worker.kill()
        launcher.release(worker)


@pytest.mark.parametrize(("counts", "text"), [((4, 5), "oom_killed"), ((4, 4), "SIGKILL"), ((None, None), "SIGKILL")])
def test_a_kill_is_the_kernels_for_want_of_memory_if_its_count_rose(launcher, counts, text):
    readings = iter(counts)
    watch = ExitWatch(lambda: next(readings))
    worker = launcher.launch(1, b"9")
    watch.add(worker)
    [pidfd] = watch.wait_ended(30.0)
    assert watch.reap(pidfd).text == text
    launcher.release(worker)


def test_an_exit_is_not_blamed_on_memory(launcher):
    readings = iter((4, 5))
    watch = ExitWatch(lambda: next(readings))
    worker = launcher.launch(1, b"exit 3")
    watch.add(worker)
    [pidfd] = watch.wait_ended(30.0)
    assert watch.reap(pidfd).text == "exit 3"
    launcher.release(worker)


def test_a_discarded_worker_is_not_reported(launcher):
    watch = ExitWatch()
    worker = launcher.launch(1, b"return")
    watch.add(worker)
    watch.discard(worker)
    assert watch.poll_fds() == ()
    assert worker.wait_ended(30.0)
    launcher.release(worker)


def test_a_stopped_worker_is_seen_and_still_killed(launcher):
    launcher.target = "launch_targets:sleep"
    worker = launcher.launch(1, b"")
    worker.wait_ready()
    assert worker.control.recv_bytes() == b"busy"
    assert not is_stopped(worker)
    assert worker.send_signal(signal.SIGSTOP)
    while not is_stopped(worker):
        pass
    assert not worker.has_ended()
    watch = ExitWatch()
    watch.add(worker)
    assert worker.kill()
    [pidfd] = watch.wait_ended(30.0)
    assert not is_stopped(worker)
    assert watch.reap(pidfd).text == "SIGKILL"
    launcher.release(worker)


def test_the_kernel_tells_the_exit_code_of_a_process_nobody_has_waited_for():
    child = os.fork()
    if child == 0:
        os._exit(7)
    pidfd = os.pidfd_open(child)
    try:
        select.select([pidfd], [], [], 30)
        assert ask_kernel_for_exit_code(pidfd, child) == 7
        os.waitpid(child, 0)
        assert ask_kernel_for_exit_code(pidfd, child) in (7, None)  # None before Linux 6.15
    finally:
        os.close(pidfd)


@pytest.mark.parametrize("launcher", ["forkserver"], indirect=True)
def test_an_end_is_reported_even_if_the_parent_that_knew_why_was_killed(launcher):
    launcher.target = "launch_targets:echo"
    worker = launcher.launch(1, b"")
    worker.wait_ready()
    server = os.pidfd_open(launcher.forkserver_pid)
    signal.pidfd_send_signal(server, signal.SIGKILL)
    os.close(server)
    watch = ExitWatch()
    watch.add(worker)
    assert watch.wait_ended(0.05) == []
    assert worker.kill()
    [pidfd] = watch.wait_ended(30.0)
    status = watch.reap(pidfd)
    assert status.text in ("SIGKILL", "unknown")  # unknown before Linux 6.15, if its adopter was faster than we
    launcher.release(worker)


def test_exit_codes_in_words():
    assert [describe_exit(code) for code in (0, 3, -9, -11, -63, None)] == [
        "exit 0",
        "exit 3",
        "SIGKILL",
        "SIGSEGV",
        "signal 63",
        "unknown",
    ]


@pytest.mark.parametrize(
    ("membership", "file", "text"),
    [
        ("0::/app\n", "app/memory.events", "low 0\noom 9\noom_kill 2\n"),
        ("0::/elsewhere\n", "memory.events", "oom_kill 2\n"),
        ("4:memory:/app\n0::/\n", "memory/app/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
    ],
)
def test_oom_kills_are_read_from_either_kind_of_cgroup(tmp_path, membership, file, text):
    (tmp_path / "cgroup").write_text(membership)
    (tmp_path / "fs" / file).parent.mkdir(parents=True)
    (tmp_path / "fs" / file).write_text(text)
    assert read_oom_kills(str(tmp_path / "cgroup"), str(tmp_path / "fs")) == 2
    assert read_oom_kills(str(tmp_path / "none"), str(tmp_path / "fs")) is None
