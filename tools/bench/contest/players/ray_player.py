"""Ray on this machine: each actor is a process; asked and told from the driver."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import playing

STARTED = time.perf_counter()
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import psutil  # noqa: E402
import ray  # noqa: E402


class Echo:
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

    def keep(self, table: Any) -> float:
        self.kept = table
        return playing.read(table)


def main() -> None:
    works = playing.wanted()
    ray.init(num_cpus=200, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Echo)
    echo = actor.remote()
    ray.get(echo.count.remote())
    playing.say("start", time.perf_counter() - STARTED)
    if "base" in works:
        time.sleep(1)
        playing.say("base", playing.memory("pss") / 1e6)
    for _ in range(100):
        ray.get(echo.echo.remote(playing.MESSAGE))
    if n := works.get("call"):
        playing.say_latency("call", playing.timed(lambda: ray.get(echo.echo.remote(playing.MESSAGE)), n))
    if n := works.get("tell"):
        before, started = ray.get(echo.count.remote()), time.perf_counter()
        for _ in range(n):
            echo.take.remote(playing.MESSAGE)
        playing.until(lambda: ray.get(echo.count.remote()) == before + n)
        playing.say("tell", n / (time.perf_counter() - started), n=n)
    if n := works.get("array"):
        data, started = playing.array(), time.perf_counter()
        for _ in range(n):
            echo.take.remote(data)
        ray.get(echo.count.remote())
        playing.say("array", n * playing.ARRAY_BYTES / (time.perf_counter() - started) / 1e9, n=n)
    if n := works.get("fan"):
        others = [actor.remote() for _ in range(10)]
        ray.get([other.count.remote() for other in others])
        rounds = playing.timed(lambda: ray.get([others[i % 10].echo.remote(1) for i in range(100)]), n)
        playing.say_latency("fan", rounds, note="100 calls to 10 actors: 100 processes do not fit")
        del others
    if n := works.get("spawn"):
        started = time.perf_counter()
        made = [actor.remote() for _ in range(n)]
        ray.get([one.count.remote() for one in made])
        playing.say("spawn", n / (time.perf_counter() - started), n=n)
        del made
    if n := works.get("idle"):
        made = [actor.remote() for _ in range(n)]
        pids = ray.get([one.pid.remote() for one in made])
        uss = sum(psutil.Process(pid).memory_full_info().uss for pid in pids)
        playing.say("idle", uss / n, n=n, note="a process each")
        del made
    if n := works.get("context"):
        readers = [actor.remote() for _ in range(n)]
        ray.get([reader.count.remote() for reader in readers])
        added = playing.Added()
        handle = ray.put(playing.context())
        ray.get([reader.keep.remote(handle) for reader in readers])
        playing.say("context", added.bytes() / 1e6, n=n, note=added.said())
    if n := works.get("restart"):
        phoenix, times = actor.remote(), []
        for _ in range(n):
            pid = ray.get(phoenix.pid.remote())
            time.sleep(0.3)
            started = time.perf_counter()
            os.kill(pid, signal.SIGKILL)
            while True:
                try:
                    if ray.get(phoenix.pid.remote(), timeout=60) != pid:
                        break
                except ray.exceptions.RayError:
                    pass
            times.append(time.perf_counter() - started)
        playing.say("restart", sorted(times)[len(times) // 2] * 1e3, n=n)
    ray.shutdown()


if __name__ == "__main__":
    main()
