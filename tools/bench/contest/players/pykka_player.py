"""Pykka: every actor a thread of this process, so there is nothing between processes."""

from __future__ import annotations

import threading
import time
from typing import Any

import playing

STARTED = time.perf_counter()

import pykka  # noqa: E402


class Echo(pykka.ThreadingActor):
    use_daemon_thread = True

    def __init__(self) -> None:
        super().__init__()
        self.n = 0
        self.goal = 0
        self.reached = threading.Event()

    def on_receive(self, message: Any) -> Any:
        self.n += 1
        if self.n == self.goal:
            self.reached.set()
        return message


class Driver(pykka.ThreadingActor):
    use_daemon_thread = True

    def ask(self, other: Any, n: int) -> list[int]:
        return playing.timed(lambda: other.ask(playing.MESSAGE), n)

    def fan(self, others: list[Any], rounds: int) -> list[int]:
        return playing.timed(lambda: pykka.get_all([ref.ask(1, block=False) for ref in others]), rounds)


def main() -> None:
    works = playing.wanted()
    echo, driver = Echo.start(), Driver.start().proxy()
    echo.ask(1)
    playing.say("start", time.perf_counter() - STARTED, note="one process, no workers")
    if "base" in works:
        playing.say("base", playing.memory("pss") / 1e6, note="one process, no workers")
    if n := works.get("call_local"):
        playing.say_latency("call_local", driver.ask(echo, n).get())
    if n := works.get("tell_local"):
        proxy = echo.proxy()
        proxy.goal = proxy.n.get() + n + 2  # the proxy's own messages do not count
        base = proxy.n.get()
        proxy.goal = base + n
        reached = proxy.reached.get()
        started = time.perf_counter()
        for _ in range(n):
            echo.tell(playing.MESSAGE)
        reached.wait(60)
        playing.say("tell_local", n / (time.perf_counter() - started), n=n)
    if n := works.get("fan"):
        playing.say_latency("fan", driver.fan([Echo.start() for _ in range(100)], n).get())
    if n := works.get("spawn"):
        started = time.perf_counter()
        made = [Echo.start() for _ in range(n)]
        playing.say("spawn", n / (time.perf_counter() - started), n=n)
        for ref in made:
            ref.stop(block=False)
    if n := works.get("idle"):
        before = playing.memory("uss")
        made = [Echo.start() for _ in range(n)]
        playing.say("idle", (playing.memory("uss") - before) / n, n=n)
    pykka.ActorRegistry.stop_all(block=False)


if __name__ == "__main__":
    main()
