"""Actors for the tests of what reaches the user from a worker; imported there by name."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

import actorlab as al


class Chronicler(al.Actor):
    """Logs, prints, fails and dies as it is told."""

    reply_errors = (KeyError,)

    def log_many(self, number: int) -> None:
        for n in range(number):
            logging.getLogger("news.many").info("line %d of %s", n, "many")

    def log_error(self) -> None:
        try:
            raise ZeroDivisionError("by nothing")
        except ZeroDivisionError:
            logging.getLogger("news.error").exception("it failed", extra={"order": 7, "basket": ["pear"]})

    def log_and_die(self, text: str) -> None:
        logging.getLogger("news.last").warning(text)
        os.kill(os.getpid(), signal.SIGKILL)

    def print_and_die(self, text: str) -> None:
        print(text)
        os.kill(os.getpid(), signal.SIGKILL)

    def fail(self, why: str) -> None:
        raise ValueError(why)

    def pid(self) -> int:
        return os.getpid()


class Letterbox(al.Actor):
    """Loses what it is sent while it is busy."""

    def flood(self, number: int) -> None:
        for n in range(number):
            self.ref.tell(n)

    def on_receive(self, message: object) -> None:
        pass


class Blocked(al.Actor):
    """Logs from a thread of its own."""

    blocking = True

    def log_many(self, number: int) -> None:
        for n in range(number):
            logging.getLogger("news.thread").info("%d", n)


class Reluctant(Chronicler):
    """Fails to start as often as a file says, which counts down."""

    def __init__(self, path: str) -> None:
        left = int(Path(path).read_text())
        if left:
            Path(path).write_text(str(left - 1))
            self.open_shop()

    def open_shop(self) -> None:
        raise OSError("the shop is shut")
