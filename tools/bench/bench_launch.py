"""Launching: how long until worker processes stand, what the forkserver and a worker weigh, what a sweep costs.

Edge (starts and kills processes, reads /proc). Below the node: no lanes, no actors. The peers are bare processes of
`multiprocessing`, with its own forkserver and resource tracker, and spawn.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from actorlab.node.directory import NodeDirectory
from actorlab.node.exits import ExitWatch
from actorlab.node.launch import Launcher
from actorlab.node.sweep import sweep
from actorlab.node.worker_process import Method, WorkerProcess

from .sample import Row, Sample, latency, time_each

TARGET = "tools.bench.bench_launch:answer"
PRELOAD = ("actorlab",)
HEAVY = ("actorlab", "numpy", "pyarrow")


def answer(assignment: bytes, control: Any) -> None:
    """Be a worker that says when it began (ns, a clock that processes share), then waits to be let go."""
    control.send_bytes(b"%d" % time.perf_counter_ns())
    control.poll(None)


def bare_answer(control: Any) -> None:
    """Be the peers' worker."""
    answer(b"", control)


@contextmanager
def launching(*, method: Method = "forkserver", spare: bool = False, heavy: bool = False) -> Iterator[Launcher]:
    """Start a launcher in a directory of its own."""
    with NodeDirectory.create() as node:
        launcher = Launcher(node.path, TARGET, preload=HEAVY if heavy else PRELOAD, method=method, spare=spare)
        launcher.start()
        try:
            yield launcher
        finally:
            launcher.stop()


def launch(launcher: Launcher, slot: int) -> tuple[WorkerProcess, int]:
    """Launch a worker and return it with the time at which its target began."""
    worker = launcher.launch(slot, b"")
    worker.wait_ready()
    return worker, int(worker.control.recv_bytes())


def cold(method: Method, heavy: bool = False) -> Sample:
    """From nothing to two workers whose targets run, in milliseconds."""
    started = time.perf_counter()
    with launching(method=method, heavy=heavy) as launcher:
        workers = [launcher.launch(slot, b"") for slot in (1, 2)]
        for worker in workers:
            worker.wait_ready()
            worker.control.recv_bytes()
        return Sample((time.perf_counter() - started) * 1e3, 1)


def bare_cold(method: str) -> Sample:
    """The same with bare multiprocessing, in a fresh interpreter because its forkserver is one a process."""
    script = (
        "import time, multiprocessing\nfrom tools.bench.bench_launch import bare_answer\n"
        "started = time.perf_counter()\n"
        f"context = multiprocessing.get_context({method!r})\n"
        "context.set_forkserver_preload(['tools.bench.bench_launch'])\n"
        "ends = []\n"
        "for _ in range(2):\n"
        "    ours, theirs = context.Pipe()\n"
        "    context.Process(target=bare_answer, args=(theirs,), daemon=True).start()\n"
        "    ends.append(ours)\n"
        "for end in ends: end.recv_bytes()\n"
        "print((time.perf_counter() - started) * 1e3)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return Sample(float(done.stdout), 1)


def warm(n: int = 30, *, spare: bool = False) -> Sample:
    """From the call of launch to the first line of the target, in microseconds."""
    times = []
    with launching(spare=spare) as launcher:
        launcher.want_spare()
        launch(launcher, 1)
        for slot in range(2, n + 2):
            while spare and launcher.spare_pid is None:
                time.sleep(0.001)
            started = time.perf_counter_ns()
            worker, began = launch(launcher, slot)
            times.append(began - started)
            launcher.release(worker)
    return latency(times)


def bare_warm(n: int = 30) -> Sample:
    """A process from multiprocessing's own warm forkserver."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tools.bench.bench_launch"])
    times = []
    for number in range(n + 1):
        started = time.perf_counter_ns()
        ours, theirs = context.Pipe()
        process = context.Process(target=bare_answer, args=(theirs,), daemon=True)
        process.start()
        began = int(ours.recv_bytes())
        if number:
            times.append(began - started)
        process.kill()
        process.join()
    return latency(times)


def notice(n: int = 30) -> Sample:
    """From SIGKILL to its pidfd being reported, in microseconds."""
    times = []
    with launching() as launcher:
        for slot in range(1, n + 1):
            worker, _ = launch(launcher, slot)
            watch = ExitWatch()
            watch.add(worker)
            started = time.perf_counter_ns()
            worker.kill()
            [pidfd] = watch.wait_ended(10.0)
            times.append(time.perf_counter_ns() - started)
            assert watch.reap(pidfd).text == "SIGKILL"
            launcher.release(worker)
    return latency(times)


def replace(n: int = 20) -> Sample:
    """From SIGKILL to the first line of the spare's target, reason known, in microseconds."""
    times = []
    with launching(spare=True) as launcher:
        worker, _ = launch(launcher, 1)
        for _ in range(n):
            while launcher.spare_pid is None:
                time.sleep(0.001)
            watch = ExitWatch()
            watch.add(worker)
            started = time.perf_counter_ns()
            worker.kill()
            [pidfd] = watch.wait_ended(10.0)
            watch.reap(pidfd)
            launcher.release(worker)
            worker, began = launch(launcher, 1)
            times.append(began - started)
    return latency(times)


def pss(pid: int) -> float:
    """Return a process's proportional share of memory, in MB."""
    return float(psutil.Process(pid).memory_full_info().pss) / 1e6


def weigh(heavy: bool) -> Sample:
    """PSS of the forkserver, two workers and a spare, in MB: what the node adds to the user's process."""
    with launching(spare=True, heavy=heavy) as launcher:
        workers = [launch(launcher, slot)[0] for slot in (1, 2)]
        while launcher.spare_pid is None:
            time.sleep(0.001)
        assert launcher.forkserver_pid is not None
        return Sample(sum(map(pss, [launcher.forkserver_pid, launcher.spare_pid, *(w.pid for w in workers)])), 4)


def weigh_worker(heavy: bool, method: Method = "forkserver") -> Sample:
    """Private memory (USS) of one worker that has done nothing yet, in MB."""
    with launching(heavy=heavy, method=method) as launcher:
        worker, _ = launch(launcher, 1)
        return Sample(psutil.Process(worker.pid).memory_full_info().uss / 1e6, 1)


CONTROLLER = f"""
import sys
from actorlab.node.directory import NodeDirectory
from actorlab.node.launch import Launcher
node = NodeDirectory.create()
launcher = Launcher(node.path, {TARGET!r})
launcher.start()
workers = [launcher.launch(slot, b"") for slot in (1, 2)]
for worker in workers: worker.wait_ready()
print(node.path, launcher.forkserver_pid, *(worker.pid for worker in workers), flush=True)
sys.stdin.read()
"""


def controller_killed() -> Sample:
    """From SIGKILL of the controller to no process and no file of its node, in milliseconds."""
    with subprocess.Popen(
        [sys.executable, "-c", CONTROLLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as controller:
        assert controller.stdout is not None
        path, *pids = controller.stdout.readline().split()
        pidfds = [os.pidfd_open(int(pid)) for pid in pids]
        started = time.perf_counter()
        controller.send_signal(signal.SIGKILL)
        for pidfd in pidfds:
            assert select.select([pidfd], [], [], 10)[0], "a process outlived its controller"
            os.close(pidfd)
        took = time.perf_counter() - started
        assert not Path(path).exists()
        return Sample(took * 1e3, 1)


def sweeping() -> Sample:
    """One sweep beside two living nodes, in microseconds."""
    with NodeDirectory.create() as node, NodeDirectory.create():
        return latency(time_each(lambda _: sweep(node.path.parent), 200, warm_up=5))


ROWS = (
    Row(
        "launch_cold",
        "ms",
        lambda: cold("forkserver"),
        300,
        peers=(
            ("with numpy and pyarrow preloaded", lambda: cold("forkserver", heavy=True)),
            ("ours, method='spawn'", lambda: cold("spawn")),
            ("multiprocessing forkserver", lambda: bare_cold("forkserver")),
            ("multiprocessing spawn", lambda: bare_cold("spawn")),
        ),
    ),
    Row("launch_warm", "µs", warm, 10_000, peers=(("multiprocessing forkserver", bare_warm),)),
    Row("launch_spare", "µs", lambda: warm(spare=True), 3_000, peers=(("multiprocessing forkserver", bare_warm),)),
    Row("launch_notice", "µs", notice, 1_000),
    Row("launch_replace", "µs", replace, 4_000),
    Row("launch_pss", "MB", lambda: weigh(False), peers=(("with numpy and pyarrow", lambda: weigh(True)),)),
    Row(
        "launch_worker_uss",
        "MB",
        lambda: weigh_worker(False),
        peers=(
            ("with numpy and pyarrow", lambda: weigh_worker(True)),
            ("spawned, with numpy and pyarrow", lambda: weigh_worker(True, "spawn")),
        ),
    ),
    Row("launch_controller_killed", "ms", controller_killed, 1_000),
    Row("launch_sweep", "µs", sweeping, 2_000),
)
