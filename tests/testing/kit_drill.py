"""Actors for the tests of the kit; importable in worker processes."""

from __future__ import annotations

from typing import Any

import actorlab as al


class Clerk(al.Actor):
    def hello(self) -> str:
        return "hello"

    def boom(self) -> None:
        raise ValueError("boom")


class Asker(al.Actor):
    reply_errors = (al.CallError,)

    def __init__(self, other: Any) -> None:
        self.other = other

    def ask(self, message: Any) -> Any:
        return self.other.ask(message)

    def tell(self, message: Any) -> None:
        self.other.tell(message)

    def wait(self, seconds: float) -> None:
        self.other.within(seconds).call.take_long()


class Alarm(al.Actor):
    def __init__(self, whom: Any) -> None:
        self.whom = whom

    def after(self, seconds: float, message: Any) -> None:
        self.send_after(seconds, message)

    def every(self, seconds: float, message: Any) -> None:
        self.send_interval(seconds, message)

    def on_receive(self, message: Any) -> None:
        self.whom.tell(message)


class Lazy(al.Actor):
    """Never answers."""

    def __init__(self, whom: Any) -> None:
        self.whom = whom

    def take_long(self) -> None:
        self.whom.tell("asked")
        al.Future().get()
