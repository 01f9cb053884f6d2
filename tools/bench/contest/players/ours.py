"""actorlab. Two workers, as it comes; nothing is pinned to a core."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import playing

STARTED = time.perf_counter()

import actorlab as al  # noqa: E402


class Echo(al.Actor):
    """Answers, counts, keeps."""

    def __init__(self) -> None:
        self.n = 0
        self.kept: Any = None

    def echo(self, message: Any) -> Any:
        return message

    def take(self, message: Any) -> None:
        self.n += 1

    def count(self) -> int:
        return self.n

    def pid(self) -> int:
        return os.getpid()

    def keep(self, handle: Any) -> float:
        self.kept = handle.get()
        return playing.read(self.kept)


class Driver(al.Actor):
    """Does the asking and telling from inside a worker."""

    def ask(self, other: Any, n: int) -> list[int]:
        call = other.call.echo
        return playing.timed(lambda: call(playing.MESSAGE), n)

    def tell(self, other: Any, message: Any, n: int) -> float:
        before, started, take = other.call.count(), time.perf_counter(), other.cast.take
        for _ in range(n):
            take(message)
        playing.until(lambda: other.call.count() == before + n)
        return time.perf_counter() - started

    def fan(self, others: list[Any], rounds: int) -> list[int]:
        return playing.timed(lambda: al.gather(*(ref.request.echo(1) for ref in others)).get(timeout=60), rounds)


def main() -> None:
    forked = "fork" in sys.argv  # from this process, and not from a fresh interpreter
    if forked:
        sys.argv.remove("fork")
    works = playing.wanted()
    child = al.child(Echo, name="phoenix", placement=2)
    tree = al.Supervisor(children=[child, al.DynamicSupervisor(name="jobs")], max_restarts=100)
    preload = ("pyarrow.compute",) if "context" in works else ()  # as the guide says: once, not in every worker
    with al.Node(workers=2, tree=tree, preload=preload, start_method="fork" if forked else "auto") as node:
        echo, near = node.spawn(Echo, placement=2), node.spawn(Echo, placement=1)
        echo.call.count()
        playing.say("start", time.perf_counter() - STARTED, note="start_method='fork'" if forked else "")
        if "base" in works:
            playing.say("base", playing.memory("pss") / 1e6)
        driver = node.spawn(Driver, placement=1).within(300).call
        driver.ask(echo, 500)
        if n := works.get("call"):
            playing.say_latency("call", driver.ask(echo, n))
        if n := works.get("call_local"):
            playing.say_latency("call_local", driver.ask(near, n))
        if n := works.get("tell"):
            playing.say("tell", n / driver.tell(echo, playing.MESSAGE, n), n=n)
        if n := works.get("tell_local"):
            playing.say("tell_local", n / driver.tell(near, playing.MESSAGE, n), n=n)
        if n := works.get("array"):
            playing.say("array", n * playing.ARRAY_BYTES / driver.tell(echo, playing.array(), n) / 1e9, n=n)
        if n := works.get("fan"):
            playing.say_latency("fan", driver.fan(node.spawn_many(Echo, 100), n))
        if n := works.get("spawn"):
            jobs, started = node.find("jobs"), time.perf_counter()
            for first in range(0, n, 1000):
                jobs.within(60).call.start_children([al.child(Echo) for _ in range(min(1000, n - first))])
            playing.say("spawn", n / (time.perf_counter() - started), n=n, note="supervised")
        if n := works.get("idle"):
            before = playing.memory("uss")
            refs = node.spawn_many(Echo, n)
            playing.say("idle", (playing.memory("uss") - before) / n, n=n)
            del refs
        if n := works.get("context"):
            readers = [node.spawn(Echo) for _ in range(n)]
            added = playing.Added()
            handle = node.pool("contest").put("context", playing.context())
            for reader in readers:
                reader.within(60).call.keep(handle)
            playing.say("context", added.bytes() / 1e6, n=n, note=f"{added.said()}; preload={preload}")
        if n := works.get("restart"):
            phoenix, times = node.find("phoenix"), []
            for _ in range(n):
                pid = phoenix.within(20).call.pid()
                time.sleep(0.2)
                started = time.perf_counter()
                os.kill(pid, signal.SIGKILL)
                while True:
                    try:
                        if phoenix.within(5).call.pid() != pid:
                            break
                    except al.CallError:
                        pass
                times.append(int((time.perf_counter() - started) * 1e9))
            playing.say("restart", sorted(times)[len(times) // 2] / 1e6, n=n)


if __name__ == "__main__":
    main()
