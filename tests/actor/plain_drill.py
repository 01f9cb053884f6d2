"""Plain Pykka actors, which know nothing of actorlab; imported by the workers."""

from __future__ import annotations

import os
from typing import Any

import pykka


class Plain(pykka.ThreadingActor):
    """As in anybody's program."""

    use_daemon_thread = True

    def __init__(self, start: int = 0, *, friend: Any = None) -> None:
        super().__init__()
        self.n = start
        self.friend = friend
        self.events: list[str] = []

    def on_start(self) -> None:
        self.events.append("started")

    def on_receive(self, message: Any) -> Any:
        if message == "fail":
            raise ValueError("failed as told")
        return ("heard", message)

    def add(self, k: int) -> int:
        self.n += k
        return self.n

    def pid(self) -> int:
        return os.getpid()

    def ask_friend(self, message: Any) -> Any:
        return self.friend.ask(message, timeout=20)

    def die(self) -> None:
        os._exit(3)

    class Inner(pykka.ThreadingActor):
        def on_receive(self, message: Any) -> Any:
            return "inner"


class Derived(Plain):
    """One that overrides and calls up."""

    def add(self, k: int) -> int:
        return super().add(k) * 10


class Refuses(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        raise RuntimeError("no")
