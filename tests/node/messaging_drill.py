"""Actors for the tests of messaging between processes; imported by the workers, so it needs nothing but actorlab.

Whatever is to wait for the test waits for a file: `hold` keeps one actor busy, `hold_worker` its whole worker. That
they do so they say by another file.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

import actorlab as al


class Held(al.Actor):
    """Keeps what it is sent, in order, and can be held up."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def hold(self, path: str) -> None:
        open(path + ".held", "w").close()
        while not os.path.exists(path):
            await asyncio.sleep(0.001)

    def hold_worker(self, path: str) -> None:
        open(path + ".held", "w").close()
        while not os.path.exists(path):
            time.sleep(0.001)

    def take(self, item: Any) -> Any:
        self.seen.append(item)
        return item

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, al.Down):
            message = f"down: {message.reason}"
        self.seen.append(message)
        return message

    def all(self) -> list[Any]:
        return self.seen

    def fail(self, text: str) -> None:
        raise ValueError(text)

    def watch(self, ref: al.ActorRef[Any]) -> int:
        return self.monitor(ref)


class Threaded(Held):
    """The same with a thread of its own."""

    blocking = True

    def wait_for(self, path: str) -> None:
        while not os.path.exists(path):
            threading.Event().wait(0.001)


class Patient(Held):
    """Errors of its handlers are answers."""

    reply_errors = (Exception,)


class Sender(al.Actor):
    """Sends what it is told to, from its worker."""

    reply_errors = (Exception,)

    def tell(self, ref: al.ActorRef[Any], messages: list[Any]) -> list[str]:
        """Tell them all; return for each "ok", or the error's class and reason."""
        return [outcome(ref.tell, message) for message in messages]

    def tell_timed(self, ref: al.ActorRef[Any], message: Any) -> tuple[str, float]:
        began = time.monotonic()
        return outcome(ref.tell, message), time.monotonic() - began

    async def send(self, ref: al.ActorRef[Any], messages: list[Any]) -> list[str]:
        outcomes = []
        for message in messages:
            try:
                await ref.send(message)
                outcomes.append("ok")
            except al.CallError as error:
                outcomes.append(named(error))
        return outcomes

    def call(self, ref: al.ActorRef[Any], method: str, *args: Any, timeout_s: float = 5.0) -> Any:
        return getattr(ref.within(timeout_s).call, method)(*args)

    def mixed(self, ref: al.ActorRef[Any], number: int, pad: int) -> int:
        """Send numbered messages of all kinds and sizes; return how many."""
        futures = []
        for n in range(number):
            item = (n, b"x" * pad) if n % 7 == 3 else (n, b"")
            if n % 3 == 0:
                ref.tell(item)
            elif n % 3 == 1:
                ref.cast.take(item)
            else:
                futures.append(ref.request.take(item))
        for future in futures:
            future.get(timeout=30)
        return number

    def rescues(self) -> int:
        """How often a parked sender of this process found room without having been rung."""
        rescues: int = self.ref.runtime.sending.rescues
        return rescues

    def ping(self) -> str:
        return "pong"


class Crowder(al.Actor):
    """Floods another, which floods it."""

    def __init__(self) -> None:
        self.refused = 0

    def flood(self, other: Any, number: int) -> None:
        for n in range(number):
            try:
                other.tell(n)
            except al.MailboxFull:
                self.refused += 1
                return

    def flooded(self) -> bool:
        return True


class Link(al.Actor):
    """One of a chain of actors that call each other."""

    reply_errors = (al.CallError,)

    def __init__(self) -> None:
        self.next: Any = None

    def join(self, ref: al.ActorRef[Any]) -> None:
        self.next = ref

    def go(self, steps: int) -> int:
        return 0 if steps == 0 else 1 + self.next.call.go(steps - 1)


class Undecodable:
    """Pickles; what it pickles to does not unpickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _blow_up, ("on arrival",)


def _blow_up(text: str) -> None:
    raise RuntimeError(text)


class Cursed(Exception):
    """An exception that cannot be pickled, nor what it is made of."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class Replies(al.Actor):
    """Answers with what makes trouble on the way."""

    reply_errors = (Exception,)

    def __init__(self, given: Any = None) -> None:
        self.given = given

    def lock(self) -> Any:
        return threading.Lock()

    def undecodable(self) -> Any:
        return Undecodable()

    def curse(self) -> None:
        raise Cursed("boo")

    def huge(self, size_bytes: int) -> bytes:
        return bytes(size_bytes)

    async def huge_when(self, path: str, size_bytes: int) -> bytes:
        open(path + ".held", "w").close()
        while not os.path.exists(path):
            await asyncio.sleep(0.001)
        return bytes(size_bytes)

    def nested_refusal(self) -> None:
        raise al.MailboxFull("somebody else", 1)

    def fine(self) -> str:
        return "fine"


def named(error: BaseException) -> str:
    reason = getattr(error, "reason", "")
    return f"{type(error).__name__}({reason})" if reason else type(error).__name__


def outcome(send: Any, *args: Any) -> str:
    try:
        send(*args)
    except al.CallError as error:
        return named(error)
    return "ok"


def open_all_lanes(node: al.Node) -> None:
    """Have this process open what it keeps open of its node, so that no test of a module's node is blamed for it."""
    for worker in node.workers:
        ref = node.spawn(Link, placement=worker.number)
        ref.statistics()
        ref.stop()
    node.wait_idle()
