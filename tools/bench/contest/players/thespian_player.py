"""Thespian, multiprocTCPBase: each actor is a process; asked from outside, told from an actor."""

from __future__ import annotations

import os
import time
from typing import Any

import playing
import psutil

STARTED = time.perf_counter()

from thespian.actors import Actor, ActorExitRequest, ActorSystem  # noqa: E402


class Echo(Actor):
    n = 0

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, tuple):
            kind = message[0]
            if kind == "take":
                self.n += 1
            elif kind == "echo":
                self.send(sender, message[1])
            elif kind == "count":
                self.send(sender, self.n)
            elif kind == "keep":
                self.kept = message[1]
                self.send(sender, playing.read(self.kept))
            elif kind == "pid":
                self.send(sender, os.getpid())
            elif kind == "tell":
                for _ in range(message[2]):
                    self.send(message[1], ("take", playing.MESSAGE))
                self.send(sender, "sent")


def main() -> None:
    works = playing.wanted()
    system = ActorSystem("multiprocTCPBase", logDefs={"version": 1}, transientUnique=True)
    try:
        echo, driver = system.createActor(Echo), system.createActor(Echo)
        system.ask(echo, ("count",), 10)
        pids = [system.ask(one, ("pid",), 10) for one in (echo, driver)]
        playing.say("start", time.perf_counter() - STARTED)
        if "base" in works:
            admin = psutil.Process(pids[0]).ppid()  # who made them: a daemon, and no child of ours
            playing.say("base", playing.memory("pss", admin, *pids) / 1e6)
        if n := works.get("call"):
            ask = playing.timed(lambda: system.ask(echo, ("echo", playing.MESSAGE), 10), n)
            playing.say_latency("call", ask, note="from outside the system")
        if n := works.get("tell"):
            before, started = system.ask(echo, ("count",), 10), time.perf_counter()
            system.ask(driver, ("tell", echo, n), 120)
            playing.until(lambda: system.ask(echo, ("count",), 30) >= before + n, 120)
            playing.say("tell", n / (time.perf_counter() - started), n=n)
        if n := works.get("array"):
            data, before, started = playing.array(), system.ask(echo, ("count",), 10), time.perf_counter()
            for _ in range(n):
                system.tell(echo, ("take", data))
            playing.until(lambda: system.ask(echo, ("count",), 30) >= before + n, 60)
            playing.say("array", n * playing.ARRAY_BYTES / (time.perf_counter() - started) / 1e9, n=n)
        if n := works.get("context"):
            readers = [system.createActor(Echo) for _ in range(n)]
            pids = [system.ask(reader, ("pid",), 30) for reader in readers]
            added, table = playing.Added(psutil.Process(pids[0]).ppid(), *pids), playing.context()
            for reader in readers:
                system.ask(reader, ("keep", table), 120)
            del table
            playing.say("context", added.bytes() / 1e6, n=n, note=added.said())
        if n := works.get("spawn"):
            started = time.perf_counter()
            made = [system.createActor(Echo) for _ in range(n)]
            for one in made:
                system.ask(one, ("count",), 30)
            playing.say("spawn", n / (time.perf_counter() - started), n=n)
            pids = [system.ask(one, ("pid",), 30) for one in made]
            uss = sum(psutil.Process(pid).memory_full_info().uss for pid in pids)
            playing.say("idle", uss / n, n=n)
            for one in made:
                system.tell(one, ActorExitRequest())
    finally:
        system.shutdown()


if __name__ == "__main__":
    main()
