"""The node: how long until two workers are ready, what it weighs, and how soon all answer after a SIGKILL.

Edge (starts and kills processes, reads /proc). Start-up and weight are measured in a fresh interpreter, which
imports nothing but actorlab.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import psutil

import actorlab as al

from . import peers
from .agents import Driver, Echo
from .sample import Row, Sample

ACTORS = 1_000

OURS = """
import sys, time
import actorlab as al
if __name__ == "__main__":
    started = time.perf_counter()
    with al.Node(workers=2):
        print((time.perf_counter() - started) * 1e3, flush=True)
        sys.stdin.read()
"""
POOL = """
import multiprocessing, sys, time
from concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    started = time.perf_counter()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver")) as pool:
        [future.result() for future in [pool.submit(time.sleep, 0.05) for _ in range(2)]]
        print((time.perf_counter() - started - 0.05) * 1e3, flush=True)
        sys.stdin.read()
"""


@contextmanager
def fresh(script: str) -> Iterator[tuple[psutil.Process, float]]:
    """Run `script` in a fresh interpreter, modules compiled as they are once installed; yield it and what it says."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = compiled()
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    )
    with process:
        assert process.stdout is not None
        yield psutil.Process(process.pid), float(process.stdout.readline())
        process.communicate("")


@cache
def compiled() -> str:
    """Return a folder for compiled modules, filled by a first run of each script."""
    folder = tempfile.mkdtemp(prefix="actorlab-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = folder
    for script in (OURS, POOL):
        subprocess.run([sys.executable, "-c", script], stdin=subprocess.DEVNULL, capture_output=True, env=environment)
    return folder


def ready(script: str) -> Sample:
    """Milliseconds until a fresh interpreter's workers are ready, with all imports but that of the package's root."""
    with fresh(script) as (_, ready_ms):
        return Sample(ready_ms, 1)


def weight(script: str) -> Sample:
    """PSS of a fresh interpreter and all it started, in MB, looked at from outside."""
    with fresh(script) as (process, _):
        family = [process, *process.children(recursive=True)]
        return Sample(sum(one.memory_full_info().pss for one in family) / 1e6, len(family))


def recover(spares: int) -> Sample:
    """SIGKILL worker 1 under its 1,000 supervised actors; milliseconds until each has answered an actor in worker 2."""
    tree = al.Supervisor(children=[al.child(Echo, name=f"echo-{i}", placement=1) for i in range(ACTORS)])
    with al.Node(workers=2, tree=tree, spares=spares) as node:
        found = [node.whereis(f"echo-{i}") for i in range(ACTORS)]
        refs = [ref for ref in found if ref is not None]
        assert len(refs) == ACTORS
        driver = node.spawn(Driver, placement=2)
        node.wait_idle()
        return Sample(driver.within(60.0).call.kill_and_ask(refs[0].call.pid(), refs) * 1e3, ACTORS)


@cache
def forkserver() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tools.bench.peers"])
    return context


def replace_by_hand() -> Sample:
    """One killed process, noticed by its sentinel and replaced from a preloaded forkserver; no actors in it."""
    with peers.echo_process(forkserver()) as (process, _):
        started = time.perf_counter()
        process.kill()
        process.join()
        with peers.echo_process(forkserver()):
            return Sample((time.perf_counter() - started) * 1e3, 1)


BY_HAND = (("one process replaced by hand", replace_by_hand),)

ROWS = (
    Row(
        "node_ready",
        "ms",
        lambda: ready(OURS),
        500,
        peers=(("bare process pool", lambda: ready(POOL)),),
    ),
    Row(
        "node_pss",
        "MB",
        lambda: weight(OURS),
        60,
        peers=(("bare process pool", lambda: weight(POOL)),),
    ),
    Row("node_sigkill", "ms", lambda: recover(0), 60, peers=BY_HAND),
    Row("node_sigkill_spare", "ms", lambda: recover(1), 60, peers=BY_HAND),
)
