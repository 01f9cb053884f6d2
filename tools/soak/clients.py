"""Clients: threads of the user's process that send, start, watch and name, until told to stop.

Edge (threads). What they do is decided by a seed, each with dice of its own; what they see is in the journal.
"""

from __future__ import annotations

import itertools
import random
import threading
import traceback
from collections.abc import Callable
from typing import Any

import actorlab as al

from .actors import Claimant, Mail, Owner, Sender, Target, Watcher, content_of, read_current
from .journal import note

TROUBLE = (al.CallError, al.StartError, al.NameTaken, al.SharedMemoryFull)
NAMES = 4
"""How many names everybody fights for."""
POOL = "soak"
POOL_BYTES = 4 << 20


class Clients:
    """The clients of one round. `receivers` are (name, reference, redeliver)."""

    def __init__(
        self,
        node: al.Node,
        folder: str,
        seed: int,
        receivers: list[tuple[str, Any, int]],
        senders: list[al.ActorRef[Sender]],
        watchers: list[tuple[str, al.ActorRef[Watcher]]],
        tag: str = "",
    ) -> None:
        self._node, self._folder = node, folder
        self._receivers, self._senders, self._watchers = receivers, senders, watchers
        self._tag = tag
        self._numbers = itertools.count()
        self._over = threading.Event()
        self._targets: list[tuple[str, al.ActorRef[Target]]] = []
        self._errors: list[BaseException] = []
        work = (self._talk, self._talk, self._drive, self._watch, self._name, self._publish)
        self._threads = [
            threading.Thread(target=self._run, args=(one, random.Random(f"{seed}/{number}"), number), daemon=True)
            for number, one in enumerate(work)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, patience_s: float) -> list[str]:
        """Tell all to stop; return which threads are stuck or failed."""
        self._over.set()
        for thread in self._threads:
            thread.join(patience_s)
        stuck = [f"client {thread.name} is stuck" for thread in self._threads if thread.is_alive()]
        failed = ["".join(traceback.format_exception(error))[-1500:] for error in self._errors]
        return stuck + [f"a client failed: {text}" for text in failed]

    def conclude(self) -> None:
        """When all is at rest: say who watches still, and which targets have ended."""
        for _, watcher in self._watchers:
            watcher.within(10).call.stand()
        for name, target in self._targets:
            if not target.is_alive():
                note(self._folder, "gone", target=name)
            else:
                target.stop(timeout=10)

    def _run(self, work: Callable[[random.Random, int], None], dice: random.Random, number: int) -> None:
        try:
            work(dice, number)
        except BaseException as error:
            self._errors.append(error)

    def _talk(self, dice: random.Random, number: int) -> None:
        mail = Mail(self._folder, f"thread{self._tag}.{number}", dice, self._node.whereis)
        while not self._over.is_set():
            for _ in range(dice.randrange(1, 30)):
                to, ref, redeliver = dice.choice(self._receivers)
                mail.send(to, ref, redeliver)
            mail.gather()
            self._over.wait(dice.random() * 0.005)

    def _drive(self, dice: random.Random, number: int) -> None:
        """Have the senders in the workers send."""
        while not self._over.is_set():
            waits = []
            for sender in self._senders:
                try:
                    waits.append(sender.request.burst(dice.randrange(1 << 30), dice.randrange(5, 60), self._receivers))
                except TROUBLE:
                    pass
            for wait in waits:
                try:
                    wait.get(timeout=10)
                except TROUBLE:
                    pass
            self._over.wait(dice.random() * 0.01)

    def _watch(self, dice: random.Random, number: int) -> None:
        """Start targets, have them watched, and let them end or be killed."""
        while not self._over.is_set():
            name = f"target{self._tag}.{next(self._numbers)}"
            placement = dice.randrange(1, len(self._senders) + 1)
            try:
                target = self._node.spawn(Target, self._folder, name, placement=placement)
            except TROUBLE:
                continue
            self._targets.append((name, target))
            known = dice.sample(self._watchers, dice.randrange(1, len(self._watchers) + 1))
            for _, watcher in known:
                try:
                    watcher.within(3).call.watch(target, name)
                    if dice.random() < 0.3:
                        watcher.within(3).call.tie(target, name)
                except TROUBLE:
                    pass
            end = dice.choice(("stop", "raise", "stay"))
            try:
                target.cast.talk(known, dice.randrange(0, 20), end)
                if end == "stay":
                    self._over.wait(dice.random() * 0.2)
                    target.stop(block=False)
            except TROUBLE:
                pass
            self._over.wait(dice.random() * 0.02)

    def _name(self, dice: random.Random, number: int) -> None:
        """Fight for names, from here and from the workers, and give them up again."""
        while not self._over.is_set():
            name = f"prize{self._tag}.{dice.randrange(NAMES)}"
            placement = dice.randrange(1, len(self._senders) + 1)
            for sender in dice.sample(self._senders, dice.randrange(0, 2)):
                try:
                    sender.cast.own(name, dice.randrange(1, len(self._senders) + 1), dice.random() < 0.5)
                except TROUBLE:
                    pass
            try:
                if dice.random() < 0.5:
                    self._node.spawn(Claimant, self._folder, name, placement=placement)
                else:
                    self._node.spawn(Owner, self._folder, name, name=name, placement=placement)
            except TROUBLE:
                pass
            try:
                owner = self._node.whereis(name)
                if owner is not None and dice.random() < 0.7:
                    owner.stop(block=dice.random() < 0.5, timeout=3)
            except TROUBLE:
                pass
            self._over.wait(dice.random() * 0.01)

    def _publish(self, dice: random.Random, number: int) -> None:
        """Publish versions that rise, and have them read, here and in the workers."""
        pool = self._node.pool(POOL, max_bytes=POOL_BYTES)
        current = pool.current("data")
        version = 0 if current is None else current.version
        while not self._over.is_set():
            version += 1
            note(self._folder, "publish", version=version)
            try:
                pool.publish("data", content_of(version))
                note(self._folder, "published", version=version)
            except al.SharedMemoryFull:
                pass
            read_current(self._folder, pool, f"thread{self._tag}.{number}")
            for sender in dice.sample(self._senders, dice.randrange(0, 2)):
                try:
                    sender.cast.read(POOL)
                except TROUBLE:
                    pass
            self._over.wait(dice.random() * 0.02)

    def free_names(self) -> None:
        """Stop whoever owns a name."""
        for number in range(NAMES):
            owner = self._node.whereis(f"prize{self._tag}.{number}")
            if owner is not None:
                try:
                    owner.stop(timeout=10)
                except TROUBLE:
                    pass
