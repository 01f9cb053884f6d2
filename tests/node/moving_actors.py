"""Actors that are handed over to another process; imported by the workers."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any, ClassVar

import actorlab as al
from actorlab.actor import REPLY
from actorlab.transport import MAX_PAYLOAD_BYTES


def begin_recycling(node: al.Node, number: int, drain: bool = False) -> al.Future[int]:
    """Begin to recycle a worker in which a handler is held; return its future when all others there stand still."""
    done = node._controller.recycler.begin(number, "test", drain)
    ordered: al.Future[None] = al.Future()
    node.runtime.kernels[0].post(ordered.set, None)
    ordered.get(timeout=30)  # the order is in the lane
    node.runtime.control(number, "ping").get(timeout=30)  # jobs of a kernel begin in their order
    return done


class Counter(al.Actor):
    """Counts what it is sent, in order; says where it lives."""

    def __init__(self, start: int = 0) -> None:
        self.n = start
        self.seen: list[Any] = []
        self.starts = 0

    def on_start(self) -> None:
        self.starts += 1

    def add(self, k: int = 1) -> int:
        self.n += k
        return self.n

    def note(self, item: Any) -> Any:
        self.seen.append(item)
        return item

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, al.Down):
            message = ("down", str(message.reason))
        self.seen.append(message)
        return message

    def all(self) -> list[Any]:
        return self.seen

    def state(self) -> tuple[int, int]:
        return self.n, self.starts

    def pid(self) -> int:
        return os.getpid()

    async def hold(self, path: str) -> str:
        open(path + ".held", "w").close()
        while not os.path.exists(path):
            await asyncio.sleep(0.001)
        return "held"

    def watch(self, ref: al.ActorRef[Any]) -> int:
        return self.monitor(ref)

    def tie(self, ref: al.ActorRef[Any]) -> None:
        self.link(ref)

    def keep(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def kept(self, name: str) -> Any:
        return self.__dict__.get(name)

    def tick(self, after_s: float, message: Any) -> None:
        self.timer = self.send_after(after_s, message)

    def tick_every(self, every_s: float, message: Any) -> None:
        self.timer = self.send_interval(every_s, message)

    def untick(self) -> bool:
        return self.cancel(self.timer)

    def ask(self, ref: al.ActorRef[Any], item: Any) -> Any:
        return ref.within(20).call.note(item)

    def send(self, ref: al.ActorRef[Any], first: int, last: int) -> int:
        for n in range(first, last):
            ref.cast.note(n)
        return last - first

    def send_signed(self, ref: al.ActorRef[Any], first: int, last: int) -> int:
        for n in range(first, last):
            ref.cast.note((self.ref.address, n))
        return last - first

    def refs(self) -> tuple[Any, Any]:
        return self.ref, self.node.whereis("somebody")

    def leave(self, reason: Any) -> None:
        self.stop(reason)


class Blocking(Counter):
    blocking = True


class Locked(Counter):
    """Cannot be pickled."""

    def __init__(self, start: int = 0) -> None:
        super().__init__(start)
        self.lock = threading.Lock()
        self.farewell = ""

    def say_farewell_to(self, path: str) -> None:
        self.farewell = path

    def on_stop(self) -> None:
        if self.farewell:
            open(self.farewell, "w").close()


class Keeping(Locked):
    """Cannot be pickled either, and says what of it is to be kept."""

    def snapshot(self) -> Any:
        return self.n, self.seen, threading.get_ident()

    def restore(self, state: Any) -> None:
        self.n, self.seen, self.taken_in = state


class KeepingAsync(Keeping):
    async def snapshot(self) -> Any:
        await asyncio.sleep(0.001)
        return self.n, self.seen, 0


class KeepingInThread(Keeping):
    blocking = True

    def __init__(self, start: int = 0) -> None:
        super().__init__(start)
        self.home_thread = threading.get_ident()

    def snapshot(self) -> Any:
        assert threading.get_ident() == self.home_thread
        return self.n, self.seen, 0


class Unwilling(Keeping):
    def snapshot(self) -> Any:
        raise ValueError("not now")


class Selfish(Counter):
    """Speaks of itself and its timers in its state."""

    def arrange(self) -> None:
        self.own = self.note
        self.me = self
        self.mine = self.ref
        self.where = self.node
        self.timer = self.send_after(60, "late")

    def check(self) -> tuple[Any, ...]:
        self.own("by own")
        return self.me is self, self.mine == self.ref, self.where is self.node, self.cancel(self.timer)


class Doomed(Counter):
    """Its process dies at a point of the hand-over."""

    def die_at_point(self, label: str) -> None:
        from actorlab.node import handover
        from actorlab.transport import arm_crashpoints, kill_at

        arm_crashpoints(handover, kill_at(label, 1))


class Stasher(Counter):
    """Puts numbers aside until it is told to take them."""

    stash_capacity = 100

    def __init__(self, start: int = 0) -> None:
        super().__init__(start)
        self.takes = False

    def note(self, item: Any) -> Any:
        if not self.takes:
            self.stash()
        return super().note(item)

    def take(self) -> None:
        self.takes = True
        self.unstash()


class Urgent(Counter):
    priorities: ClassVar[dict[Any, int]] = {"add": 5}

    def add(self, k: int = 1) -> int:
        self.seen.append(f"add {k}")
        return super().add(k)


class Overflowing(Counter):
    """Answers to nobody, until its lane had no room for some of them."""

    def overflow(self) -> None:
        outlet: Any = self.ref.runtime.outlet
        while not outlet.outbox:
            outlet.post(0, 0, 0, REPLY, 0, bytes(MAX_PAYLOAD_BYTES))
