"""The node: how long until two workers are ready, what it weighs, and how soon all answer after a SIGKILL.

Edge (starts and kills processes, reads /proc). Start-up and weight are measured in a fresh interpreter, which
imports nothing but actorlab.
"""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import time
from functools import cache

import actorlab as al

from . import peers
from .agents import Driver, Echo
from .sample import Row, Sample

ACTORS = 1_000

OURS = """
import time
import actorlab as al
if __name__ == "__main__":
    started = time.perf_counter()
    with al.Node(workers=2):
        ready_s = time.perf_counter() - started
        weigh(ready_s)
"""
POOL = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    started = time.perf_counter()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver")) as pool:
        [future.result() for future in [pool.submit(time.sleep, 0.05) for _ in range(2)]]
        ready_s = time.perf_counter() - started - 0.05
        weigh(ready_s)
"""
WEIGH = """
def weigh(ready_s):
    import json, psutil
    me = psutil.Process()
    pss = sum(process.memory_full_info().pss for process in [me, *me.children(recursive=True)])
    print(json.dumps({"ready_ms": ready_s * 1e3, "pss_mb": pss / 1e6}), flush=True)
"""


def fresh(script: str, figure: str) -> Sample:
    """Run `script` in a fresh interpreter and return one of the figures it prints."""
    done = subprocess.run(
        [sys.executable, "-c", WEIGH + script], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    return Sample(json.loads(done.stdout.splitlines()[-1])[figure], 1)


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
        lambda: fresh(OURS, "ready_ms"),
        500,
        peers=(("bare process pool", lambda: fresh(POOL, "ready_ms")),),
    ),
    Row(
        "node_pss",
        "MB",
        lambda: fresh(OURS, "pss_mb"),
        60,
        peers=(("bare process pool", lambda: fresh(POOL, "pss_mb")),),
    ),
    Row("node_sigkill", "ms", lambda: recover(0), 60, peers=BY_HAND),
    Row("node_sigkill_spare", "ms", lambda: recover(1), 60, peers=BY_HAND),
)
