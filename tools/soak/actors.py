"""The actors of a soak: receivers of several sorts, senders, watchers and their targets, owners of names.

Actors; imported by workers. Each notes what it invokes and sees in its process's journal, in `folder`.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections.abc import Callable
from typing import Any

import actorlab as al

from .journal import note

PAD = b"x" * 30_000


class Receiver(al.Actor):
    """Takes messages `(id, work, pad)`, and does what `work` says between noting that it begins and that it is done."""

    def __init__(self, folder: str, name: str) -> None:
        self.folder, self.name = folder, name

    def on_start(self) -> None:
        note(self.folder, "life", to=self.name, worker=self.ref.home)

    def on_receive(self, message: tuple[str, str, bytes]) -> Any:
        return self.take(*message)

    def take(self, message: str, work: str, pad: bytes) -> Any:
        note(self.folder, "begin", id=message, to=self.name)
        if work == "async":
            return self._later(message)
        try:
            if work == "hold":
                time.sleep(0.003)
            elif work == "park" and not self.blocking:
                try:
                    al.Future().get(timeout=0.003)
                except al.CallTimeout:
                    pass
            elif work == "raise":
                raise RuntimeError(message)
        finally:
            note(self.folder, "end", id=message, to=self.name)
        return message

    async def _later(self, message: str) -> str:
        try:
            await asyncio.sleep(0.003)
        finally:
            note(self.folder, "end", id=message, to=self.name)
        return message


class Retrying(Receiver):
    """A message in hand when its worker dies is tried again, twice."""

    redeliver = 2


class Threaded(Receiver):
    """Has a thread of its own."""

    blocking = True


class Mail:
    """One sender's numbered messages: sends them in all ways, and notes what became of each."""

    def __init__(self, folder: str, sender: str, dice: random.Random, find: Callable[[str], Any]) -> None:
        """`find` is `node.whereis`: for receivers that are known by name only."""
        self._folder, self._sender, self._dice, self._find = folder, sender, dice, find
        self._numbers = itertools.count(1)
        self._answers: list[tuple[str, al.Future[Any]]] = []

    def send(self, to: str, ref: Any, redeliver: int, work: str | None = None, how: str = "") -> bool:
        """Send one message, in a way that the dice choose unless told; return whether it was taken."""
        dice = self._dice
        message = f"{self._sender}#{next(self._numbers)}"
        how = how or dice.choice(("tell", "tell", "cast", "call", "request"))
        if work is None:
            work = dice.choices(("", "hold", "park", "async", "raise"), (80, 4, 6, 6, 4))[0]
        if ref is None and (ref := self._find(to)) is None:
            return False
        pad = PAD[: dice.choice((0, 0, 0, 300, 5_000, 30_000))]
        note(self._folder, "send", id=message, to=to, how=how, redeliver=redeliver)
        try:
            if how == "tell":
                ref.tell((message, work, pad))
            elif how == "cast":
                ref.cast.take(message, work, pad)
            elif how == "call":
                self._note_done(message, "ok", value=ref.within(3.0).call.take(message, work, pad))
                return True
            else:
                self._answers.append((message, ref.request.take(message, work, pad)))
                return True
        except BaseException as error:
            self._note_error(message, error)
            if not isinstance(error, Exception):
                raise
            return False
        self._note_done(message, "ok")
        return True

    def gather(self) -> None:
        """Wait for what was requested."""
        answers, self._answers = self._answers, []
        for message, answer in answers:
            try:
                value = answer.get(timeout=3.0)
            except BaseException as error:
                self._note_error(message, error)
                if not isinstance(error, Exception):
                    raise
            else:
                self._note_done(message, "ok", value=value)

    def _note_error(self, message: str, error: BaseException) -> None:
        if isinstance(error, RuntimeError) and error.args == (message,):
            self._note_done(message, "handled")  # the handler's own exception
        else:
            delivery = getattr(error, "delivery", "unknown")
            self._note_done(message, delivery, error=f"{type(error).__name__}: {error}"[:300])

    def _note_done(self, message: str, outcome: str, **fields: Any) -> None:
        note(self._folder, "done", id=message, outcome=outcome, **fields)


class Sender(al.Actor):
    """Sends from a worker."""

    reply_errors = (Exception,)

    def __init__(self, folder: str, name: str) -> None:
        self.folder, self.name = folder, name

    def on_start(self) -> None:
        self._dice = random.Random(0)
        note(self.folder, "life", to=self.name, worker=self.ref.home)
        life = f"{self.name}.{os.getpid()}.{self._mine().incarnation}"
        self._mail = Mail(self.folder, life, self._dice, self.node.whereis)

    def burst(self, seed: int, number: int, receivers: list[tuple[str, Any, int]]) -> None:
        """Send `number` messages to receivers (name, reference, redeliver) that the seed chooses."""
        self._dice.seed(seed)
        for _ in range(number):
            to, ref, redeliver = self._dice.choice(receivers)
            self._mail.send(to, ref, redeliver)
        self._mail.gather()

    def own(self, name: str, placement: Any, claims: bool = False) -> None:
        """Try to start an owner of a name from here; one that is given it, or (`claims`) registers it itself."""
        try:
            if claims:
                self.spawn(Claimant, self.folder, name, placement=placement)
            else:
                self.spawn(Owner, self.folder, name, name=name, placement=placement)
        except (al.NameTaken, al.StartError, al.CallError, al.SharedMemoryFull):
            pass

    def read(self, pool: str) -> None:
        """Read what is current in a pool."""
        read_current(self.folder, self.node.pool(pool), f"{self.name}.{os.getpid()}")


class Watcher(al.Actor):
    """Watches targets, and takes what they send."""

    reply_errors = (Exception,)

    def __init__(self, folder: str, name: str) -> None:
        self.folder, self.name = folder, name
        self.life = ""
        self.tied: dict[int, str] = {}

    def on_start(self) -> None:
        self.trap_exit = True
        self.life = f"{self.name}.{os.getpid()}.{self._mine().incarnation}"

    def watch(self, ref: Any, target: str) -> str:
        """Monitor a target; return which life of this watcher does."""
        note(self.folder, "watch", watcher=self.life, monitor=self.monitor(ref), target=target)
        return self.life

    def tie(self, ref: Any, target: str) -> None:
        """Link this watcher to a target."""
        self.tied[ref.address] = target
        note(self.folder, "link", watcher=self.life, target=target)
        self.link(ref)

    def take(self, message: str) -> None:
        note(self.folder, "begin", id=message, to=self.name)
        note(self.folder, "end", id=message, to=self.name)

    def on_receive(self, message: Any) -> None:
        if isinstance(message, al.Down):
            note(self.folder, "down", watcher=self.life, monitor=message.monitor, reason=str(message.reason)[:80])
        elif isinstance(message, al.Exit):
            target = self.tied.get(message.ref.address, "")
            note(self.folder, "exit", watcher=self.life, target=target, reason=str(message.reason)[:80])

    def stand(self) -> None:
        """Say that this life is still on."""
        note(self.folder, "standing", watcher=self.life)


class Target(al.Actor):
    """Talks to its watchers for a while, and ends in one of several ways."""

    def __init__(self, folder: str, name: str) -> None:
        self.folder, self.name = folder, name

    def talk(self, watchers: list[tuple[str, Any]], number: int, end: str) -> None:
        """Send numbered messages to watchers (their name, their reference), then end."""
        numbers = itertools.count(1)
        for _ in range(number):
            for watcher, ref in watchers:
                message = f"{self.name}#{next(numbers)}"
                note(self.folder, "send", id=message, to=watcher, how="cast")
                try:
                    ref.cast.take(message)
                except al.CallError as error:
                    note(self.folder, "done", id=message, outcome=error.delivery, error=str(error)[:200])
                else:
                    note(self.folder, "done", id=message, outcome="ok")
        if end == "stop":
            self.stop()
        elif end == "raise":
            raise RuntimeError("the end of a target")


class Owner(al.Actor):
    """Owns a name from its start to its stop."""

    def __init__(self, folder: str, name: str) -> None:
        self.folder, self.name = folder, name

    def on_start(self) -> None:
        self.owner = f"{self.name}.{os.getpid()}.{self.ref.address:x}"
        note(self.folder, "own", name=self.name, owner=self.owner)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        note(self.folder, "moved", owner=self.owner)

    def on_stop(self) -> None:
        note(self.folder, "disown", name=self.name, owner=self.owner)


class Claimant(Owner):
    """Registers the name itself, and leaves where it is another's."""

    def on_start(self) -> None:
        self.owner = ""
        try:
            self.node.register(self.name, self.ref)
        except (al.NameTaken, al.CallError):
            self.stop()
        else:
            super().on_start()

    def on_stop(self) -> None:
        if self.owner:
            super().on_stop()


def content_of(version: int) -> bytes:
    """Return what a pool's publisher publishes as its `version`: some 8 to 80 kB that say it throughout."""
    return version.to_bytes(8, "little") * (1_000 + version % 10 * 1_000)


def read_current(folder: str, pool: Any, reader: str) -> None:
    """Read what is current in a pool, and note what it says and whether all of it does."""
    note(folder, "reading", reader=reader)
    try:
        value = pool.get("data")
    except (al.SegmentGone, al.SharedMemoryFull):
        return  # nothing was published yet, or there is no room to look
    version = int.from_bytes(value[:8], "little")
    note(folder, "read", reader=reader, version=version, whole=bytes(value) == content_of(version))
