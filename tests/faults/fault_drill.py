"""Actors for the tests of the fault catalogue; importable in worker processes."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

import actorlab as al
from actorlab import testing


class Clerk(al.Actor):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def add(self, item: Any) -> int:
        self.seen.append(item)
        return len(self.seen)

    def all(self) -> list[Any]:
        return self.seen

    def boom(self) -> None:
        raise ValueError("boom")

    def on_receive(self, message: Any) -> None:
        self.seen.append(message)

    def call_of(self, other: Any, seconds: float, nested: Any = None) -> Any:
        """Call another, which calls `nested` in turn, with a deadline."""
        if nested is None:
            return other.within(seconds).call.add("nested")
        return other.within(seconds).call.call_of(nested, seconds)

    def cross(self, other: Any, seconds: float, mine: str, theirs: str) -> tuple[str, str]:
        """Call another with a deadline in the middle of a handler, while he does the same; return how that went."""
        _meet(f"{mine}.began", f"{theirs}.began")
        try:
            said = ("answered", str(other.within(seconds).call.add("crossed")))
        except al.CallError as error:
            said = (type(error).__name__, error.delivery)
        _meet(f"{mine}.ended", f"{theirs}.ended")
        return said

    def jump(self, seconds: float) -> None:
        """Have this process's wall clock jump."""
        wall, wall_ns = time.time, time.time_ns
        time.time = lambda: wall() + seconds
        time.time_ns = lambda: wall_ns() + int(seconds * 1e9)

    def wait_in_vain(self, seconds: float) -> str:
        try:
            al.Future().get(timeout=seconds)
        except al.CallTimeout as error:
            return type(error).__name__
        return "answered"

    def wake_after(self, seconds: float, what: str) -> None:
        self.send_after(seconds, what)

    def fork_and_try(self, other: Any) -> tuple[int, int]:
        """Fork; the child tries to send and to start, and tells by its exit code how often it could."""
        pid = os.fork()
        if pid == 0:
            could = 0
            for attempt in (
                lambda: self.node.spawn(Clerk),
                lambda: self.node.register("forked", self.ref),
                lambda: other.tell("from a fork"),
                lambda: other.cast.add("from a fork"),
                lambda: other.call.add("from a fork"),
                lambda: other.request.add("from a fork").get(timeout=5),
                lambda: self.stop(),
                lambda: self.monitor(other),
                lambda: self.spawn(Clerk),
            ):
                try:
                    attempt()
                    could += 1
                except BaseException:
                    pass
            os._exit(could)
        return pid, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def fork_and_return(self) -> int:
        """Fork; the child returns from the handler as if it were its parent."""
        pid = os.fork()
        if pid == 0:
            self.seen.append("child")
            return 0
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def nested_node(self) -> tuple[str, int]:
        """Open a node of one's own inside a worker, use it and stop it."""
        with al.Node(workers=0) as node:
            return node.name, node.spawn(Clerk).call.add(1)

    def nested_workers(self) -> tuple[str, int]:
        """The same with a worker process of its own."""
        with al.Node(workers=1, log_level="CRITICAL") as node:
            return node.name, node.spawn(Clerk, placement=1).within(10).call.add(1)

    def without_descriptors(self, other: Any) -> list[str]:
        """Do with no descriptor to be had what an actor does."""
        said = []
        with testing.few_descriptors():
            for attempt in (
                lambda: other.tell("small"),
                lambda: other.tell(b"x" * 1_000_000),
                lambda: other.call.add("call"),
                lambda: self.spawn(Clerk).call.add(1),
                lambda: os.close(os.open("/dev/null", os.O_RDONLY)),
            ):
                try:
                    attempt()
                    said.append("ok")
                except (al.CallError, al.ActorlabError, OSError) as error:
                    said.append(type(error).__name__)
        return said


def _meet(mine: str, theirs: str) -> None:
    """Say that we are there, and wait until the other is."""
    with open(mine, "w"):
        pass
    while not os.path.exists(theirs):
        time.sleep(0.001)


class Deadly:
    """Unpickling it ends the process."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return _die, (self.path,)


def _die(path: str) -> Any:
    with open(path, "a") as file:
        file.write("unpickled\n")
    os._exit(0)


class Stillborn(al.Actor):
    """Notes each start in a file, and fails."""

    def __init__(self, path: str) -> None:
        with open(path, "a") as file:
            file.write("start\n")
        raise RuntimeError("not today")


class Relapsing(al.Actor):
    """Notes each start in a file, crashes as soon as it lives, and never gets ready again."""

    def __init__(self, path: str) -> None:
        with open(path, "a+") as file:
            file.write("start\n")
            file.seek(0)
            if file.read().count("start") > 1:
                raise RuntimeError("not again")
        self.send_after(0.0, "crash")

    def on_receive(self, message: Any) -> None:
        raise ValueError(message)


class Suicidal(al.Actor):
    """Notes each start in a file, and takes its worker with it as soon as it lives."""

    def __init__(self, path: str) -> None:
        with open(path, "a") as file:
            file.write("start\n")
        self.send_after(0.0, "die")

    def on_receive(self, message: Any) -> None:
        os._exit(9)


class Retrying(Clerk):
    redeliver = 2


class Till(al.Actor):
    """Takes its time for each message, and counts what came from whom."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def take(self, sender: str, pad: bytes) -> None:
        self.counts[sender] = self.counts.get(sender, 0) + 1
        time.sleep(0.001)

    def counted(self) -> dict[str, int]:
        return self.counts


class Pusher(al.Actor):
    """Sends without pause until a file is there."""

    blocking = True

    def push(self, till: Any, name: str, size_bytes: int, over: str) -> int:
        pad, sent = b"x" * size_bytes, 0
        while not os.path.exists(over):
            till.cast.take(name, pad)
            sent += 1
        return sent


class Scribe(al.Actor):
    """Logs."""

    def log_many(self, logger: str, number: int) -> None:
        for n in range(number):
            logging.getLogger(logger).warning("line %d", n)
