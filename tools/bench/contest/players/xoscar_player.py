"""xoscar: a pool of two processes beside the main one; actors are asked and told from an actor."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import playing

STARTED = time.perf_counter()

import xoscar as xo  # noqa: E402
from xoscar.backends.allocate_strategy import ProcessIndex  # noqa: E402

ADDRESS = "127.0.0.1:12799"


class Echo(xo.Actor):
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


class Driver(xo.Actor):
    async def ask(self, other: Any, n: int) -> list[int]:
        times = []
        for _ in range(n):
            started = time.perf_counter_ns()
            await other.echo(playing.MESSAGE)
            times.append(time.perf_counter_ns() - started)
        return times

    async def tell(self, other: Any, message: Any, n: int) -> float:
        before, started = await other.count(), time.perf_counter()
        for _ in range(n):
            await other.take.tell(message)
        while await other.count() < before + n:
            await asyncio.sleep(0.0005)
        return time.perf_counter() - started

    async def give(self, other: Any, message: Any, n: int) -> float:
        started = time.perf_counter()
        for _ in range(n):
            await other.take(message)
        return time.perf_counter() - started

    async def fan(self, others: list[Any], rounds: int) -> list[int]:
        times = []
        for _ in range(rounds):
            started = time.perf_counter_ns()
            await asyncio.gather(*(other.echo(1) for other in others))
            times.append(time.perf_counter_ns() - started)
        return times


async def main() -> None:
    works = playing.wanted()
    pool = await xo.create_actor_pool(ADDRESS, n_process=2, auto_recover="actor", subprocess_start_method="spawn")
    await pool.start()

    async def create(cls: Any, process: int) -> Any:
        return await xo.create_actor(cls, address=ADDRESS, allocate_strategy=ProcessIndex(process))

    driver, echo, near = await create(Driver, 1), await create(Echo, 2), await create(Echo, 1)
    await echo.count()
    playing.say("start", time.perf_counter() - STARTED)
    if "base" in works:
        playing.say("base", playing.memory("pss") / 1e6)
    await driver.ask(echo, 200)
    if n := works.get("call"):
        playing.say_latency("call", await driver.ask(echo, n))
    if n := works.get("call_local"):
        playing.say_latency("call_local", await driver.ask(near, n))
    if n := works.get("tell"):
        playing.say("tell", n / await driver.tell(echo, playing.MESSAGE, n), n=n)
    if n := works.get("tell_local"):
        playing.say("tell_local", n / await driver.tell(near, playing.MESSAGE, n), n=n)
    if n := works.get("array"):
        taken = await driver.give(echo, playing.array(), n)
        playing.say("array", n * playing.ARRAY_BYTES / taken / 1e9, n=n, note="asked: tells of it pile up")
    if n := works.get("fan"):
        others = [await create(Echo, 1 + i % 2) for i in range(100)]
        playing.say_latency("fan", await driver.fan(others, n))
    if n := works.get("spawn"):
        started = time.perf_counter()
        for i in range(n):
            await create(Echo, 1 + i % 2)
        playing.say("spawn", n / (time.perf_counter() - started), n=n, note="one by one: it has no other way")
    if n := works.get("idle"):
        before = playing.memory("uss")
        refs = [await create(Echo, 1 + i % 2) for i in range(n)]
        playing.say("idle", (playing.memory("uss") - before) / n, n=n, note="references included")
        del refs
    if n := works.get("context"):
        readers = [await create(Echo, 1 + i % 2) for i in range(n)]
        added, table = playing.Added(), playing.context()
        for reader in readers:
            await reader.keep(table)
        del table
        playing.say("context", added.bytes() / 1e6, n=n, note=added.said())
    if n := works.get("restart"):
        phoenix, times = await create(Echo, 2), []
        for _ in range(n):
            pid = await phoenix.pid()
            await asyncio.sleep(0.5)
            started = time.perf_counter()
            os.kill(pid, signal.SIGKILL)
            while True:
                try:
                    if await asyncio.wait_for(phoenix.pid(), 10) != pid:
                        break
                except Exception:
                    await asyncio.sleep(0.002)
            times.append(time.perf_counter() - started)
        playing.say("restart", sorted(times)[len(times) // 2] * 1e3, n=n, note="auto_recover='actor'")
    os._exit(0)  # a pool one of whose processes was killed does not stop


if __name__ == "__main__":
    asyncio.run(main())
