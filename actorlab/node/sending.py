"""Sending: a process's messages to actors and kernels of other processes, and how a sender waits for room.

Edge (lanes, files); used by the process's runtime. An actor's message waits, parked or blocked, as long as the
receiver's mailbox says; replies, signals and control never wait. What is refused was not sent (P3).
"""

from __future__ import annotations

import asyncio
import pickle
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Any

from ..actor import (
    STOP,
    ActorRef,
    Future,
    kernel_here,
)
from ..errors import ActorDied, CallTimeout, MailboxFull, MessageTooLarge, NodeGone
from ..ids import CONTROLLER_HOME, generation_of, home_of, index_of, process_of
from ..transport import (
    IN_HAND_LOCAL,
    IN_HAND_MASK,
    MAIN,
    MAX_PAYLOAD_BYTES,
    ONE_BLOCK_BYTES,
    OVERFLOW_CODES,
    SLOT_U8,
    SLOT_U32,
    SLOT_WORDS,
    STACK_GLOBAL,
    STATE,
    Door,
    Large,
    Outlet,
    dumps,
    encode,
)
from .books import Books
from .inlet import SPILLED

if TYPE_CHECKING:
    from .runtime import ProcessRuntime

NO_LIMIT = 1 << 62
LOOK_AGAIN_S = 0.05

_Message = tuple[int, int, int, int, int, bytes]  # process, dest, corr, kind, flags, payload
_BODY_NAMES = ((), (), ("method", "args", "kwargs"), ("message", "chain"), ("method", "args", "kwargs", "chain"), ())
"""By kind: how an error calls the parts of a message's body."""


class Target:
    """What a sender knows of an actor in another process.

    `out` counts this process's own messages not yet done with there; up to `limit` of them may be not yet begun. `most`
    is what the fast path compares with: the limit, or 0 while somebody waits in `line`, so that nobody passes him by.
    """

    __slots__ = ("address", "books", "capacity", "generation", "generation_at", "limit", "line", "most", "out",
                 "overflow", "process", "state_at", "timeout_s", "word")  # fmt: skip

    def __init__(self, address: int, books: Books, lane_blocks: int) -> None:
        view = books.read(address)
        index = index_of(address)
        self.address = address
        self.books = books
        self.process = process_of(home_of(address))
        self.generation = generation_of(address)
        self.generation_at = index * SLOT_U32 + 2
        self.state_at = index * SLOT_U8 + STATE
        self.word = index * SLOT_WORDS
        self.out = 0
        self.capacity = view.capacity if view is not None else 1
        self.overflow = OVERFLOW_CODES[view.overflow] if view is not None else "reject"
        self.timeout_s = view.timeout_ms / 1000 if view is not None else 0.0
        if self.overflow.startswith("drop"):
            self.limit = NO_LIMIT  # the receiver makes room by itself
        else:
            # one actor's backlog must leave room in the lane for the messages to others
            self.limit = min(self.capacity, lane_blocks * 3 // 4)
        self.most = self.limit
        self.line: deque[Place] = deque()

    def has_begun(self, process: int) -> bool:
        """Whether the message in hand there is one of this process's."""
        hand = self.books.words[self.word] & IN_HAND_MASK
        return hand != IN_HAND_LOCAL and (hand - 1) >> 16 == process and hand > 0

    def is_gone(self) -> bool:
        """Whether the actor that was meant has ended for good."""
        return self.books.u32[self.generation_at] != self.generation or self.books.table.u8[self.state_at] in (0, 5)


class Place:
    """A sender's place in the line before a full mailbox or lane; `gate` settles when it is to look again."""

    __slots__ = ("gate",)

    def __init__(self) -> None:
        self.gate: Future[None] = Future("room")


class Sending:
    """What one process sends to the others."""

    def __init__(self, runtime: ProcessRuntime, process: int) -> None:
        self._runtime = runtime
        self._targets: dict[int, Target] = {}
        self._process = process
        self._unnumbered = process << 56
        self._numbers = count(self._unnumbered | 1)
        self.doors: Mapping[int, Door] = {}  # the outlet's that are open
        self._lines = Lock()  # for coming into a line and leaving it
        self._full: dict[int, set[Target]] = {}  # by process: where somebody waits in line
        self.rescues = 0  # how often room was found by looking again, without a ring: the second line

    @property
    def unnumbered(self) -> int:
        """The correlation id of what nobody waits for: it still says which process it comes from."""
        return self._unnumbered

    def go_by(self, outlet: Outlet) -> None:
        """Send by these lanes."""
        self._runtime.outlet = outlet
        self.doors = outlet.doors

    def number(self) -> int:
        """Return the correlation id of the next question."""
        return next(self._numbers)

    def number_from(self, epoch: int) -> None:
        """Number our questions so that answers meant for an earlier process in our slot are nobody's."""
        self._numbers = count(self._unnumbered | (epoch & 0xFFFF) << 40 | 1)

    def send(self, ref: ActorRef[Any], kind: int, body: Any, sink: Any, timeout_s: float | None) -> None:
        """Send to an actor in another process; park or block for room, at most as long as its mailbox says (P3)."""
        address = ref.address
        outlet = self._runtime.outlet
        if outlet is None or self._runtime.closed:
            raise NodeGone(str(ref), self._runtime.node_id)
        target = self._targets.get(address)
        if target is None:
            target = self._aim(ref)
        elif target.is_gone():
            self._targets.pop(address, None)
            raise ActorDied(str(ref), "noproc", "never")
        elif ref.shortcut is None and target.out and kind != STOP:
            ref.shortcut = self._shortcut(target, ref.path)  # not its first message: there will be more
        payload, flags = self._packed(body, ref, kind)
        corr = self._unnumbered
        if sink is not None:
            corr = sink.corr = next(self._numbers)
            sink.asked = -1
            self._runtime.pending[corr] = sink
        self._send(ref, target, (target.process, address, corr, kind, flags, payload), timeout_s)
        if sink is not None:
            sink.asked = target.process  # only now: if it dies, what is still in line here is not lost with it

    def _send(self, ref: ActorRef[Any], target: Target, message: _Message, timeout_s: float | None) -> None:
        outlet = self._runtime.outlet
        assert outlet is not None
        _process, address, corr, kind, flags, payload = message
        if (target.out < target.most or kind == STOP) and outlet.try_send(
            target.process, address, corr, kind, flags, payload, target
        ):
            return
        if kind == STOP:
            outlet.post(target.process, address, corr, kind, flags, payload)
            return
        kernel = kernel_here()
        if kernel is not None and kernel.home == CONTROLLER_HOME:
            outlet.post(target.process, address, corr, kind, flags, payload)  # supervisors never wait at doors
            return
        limit_s = target.timeout_s if timeout_s is None else min(timeout_s, target.timeout_s)
        if kernel is not None and not kernel.in_handler():
            limit_s = 0.0
        steps = self._steps(ref, target, limit_s, message)
        try:
            with closing(steps):
                for gate, pause_s in steps:
                    try:
                        gate.get(timeout=pause_s)
                    except CallTimeout:
                        pass
        except BaseException:
            self._runtime.pending.pop(corr, None)
            raise

    async def send_async(self, ref: ActorRef[Any], kind: int, body: Any) -> None:
        """Send without an answer, waiting for room as a coroutine: in an async handler, or in the user's own loop."""
        outlet = self._runtime.outlet
        if outlet is None or self._runtime.closed:
            raise NodeGone(str(ref), self._runtime.node_id)
        target = self._targets.get(ref.address)
        if target is None or target.is_gone():
            target = self._aim(ref)
        payload, flags = self._packed(body, ref, kind)
        message = (target.process, ref.address, self._unnumbered, kind, flags, payload)
        if target.out < target.most and outlet.try_send(*message, target):
            return
        steps = self._steps(ref, target, target.timeout_s, message)
        with closing(steps):
            for gate, pause_s in steps:
                try:
                    await asyncio.wait_for(_settled(gate), pause_s)
                except TimeoutError:
                    pass

    def _shortcut(self, target: Target, path: str) -> Callable[..., bool]:
        """Return the short way to an actor: kind, body, sink → False when this message must go the long way.

        A closure, for it runs once a message.
        """
        runtime, outlet = self._runtime, self._runtime.outlet
        assert outlet is not None
        door, unnumbered, address = outlet.door(target.process), self._unnumbered, target.address
        try_send, outbox, one_block = outlet.open(target.process).try_send, outlet.outbox, ONE_BLOCK_BYTES
        u32, generation_at = target.books.u32, target.generation_at
        u8, state_at, names = target.books.table.u8, target.state_at, _BODY_NAMES
        generation, most, numbers = target.generation, MAX_PAYLOAD_BYTES, self._numbers
        process, pickled, module, main = target.process, pickle.dumps, STACK_GLOBAL, MAIN

        def send(kind: int, body: Any, sink: Any = None) -> bool:
            if (
                target.out >= target.most
                or runtime.closed
                or u32[generation_at] != generation
                or not 0 < u8[state_at] < 5
            ):
                return False
            try:
                payload = pickled(body, 5)
            except Exception:
                payload = dumps(body, path, names[kind])  # by value, or the error that says why not
            else:
                if module in payload and main in payload:
                    payload = dumps(body, path, names[kind])
            if len(payload) > most:
                return False
            if sink is None:
                if outbox or len(payload) > one_block:
                    return door(address, unnumbered, kind, 0, payload, target)
                return try_send(address, unnumbered, kind, 0, payload, target) >= 0  # what the door would do
            corr = sink.corr = next(numbers)
            runtime.pending[corr] = sink
            if (
                door(address, corr, kind, 0, payload, target)
                if outbox or len(payload) > one_block
                else try_send(address, corr, kind, 0, payload, target) >= 0
            ):
                sink.asked = process
                return True
            del runtime.pending[corr]
            return False

        return send

    def _aim(self, ref: ActorRef[Any]) -> Target:
        try:
            books = self._runtime.table(home_of(ref.address))
        except OSError:
            raise ActorDied(str(ref), "noproc", "never") from None
        if not books.is_tenant(ref.address):
            raise ActorDied(str(ref), "noproc", "never")
        if len(self._targets) > 50_000:
            for address, target in tuple(self._targets.items()):
                if not target.out:
                    target.most = 0  # the short ways to it are closed
                    del self._targets[address]
        target = self._targets[ref.address] = Target(ref.address, books, self._runtime.options.lane_blocks)
        return target

    def _packed(self, body: Any, ref: ActorRef[Any], kind: int) -> tuple[bytes, int]:
        """Return a message's payload and flags; a large one goes to a file of its own, and its token is the payload."""
        payload = dumps(body, ref.path, _BODY_NAMES[kind])
        if len(payload) <= MAX_PAYLOAD_BYTES:
            return payload, 0
        data = encode(body, ref.path, MAX_PAYLOAD_BYTES, _BODY_NAMES[kind])
        if not isinstance(data, Large):
            return data, 0
        limit = self._runtime.options.max_message_bytes
        if data.size_bytes > limit:
            raise MessageTooLarge(str(ref), data.size_bytes, limit)
        return self._runtime.spill.write(data.meta, data.buffers, f"a message to {ref.path}"), SPILLED

    def _steps(
        self, ref: ActorRef[Any], target: Target, limit_s: float, message: _Message
    ) -> Generator[tuple[Future[None], float], None, None]:
        """Send as soon as there is room, whoever came first; yield what to wait for, and how long, until it is done.

        Raises MailboxFull after `limit_s`, ActorDied if the actor ends meanwhile; then nothing was sent.
        """
        outlet = self._runtime.outlet
        assert outlet is not None
        end = time.monotonic() + limit_s
        process = target.process
        place, line = Place(), target.line
        with self._lines:
            line.append(place)
            target.most = 0
            self._full.setdefault(process, set()).add(target)
        rung, sent = True, False
        try:
            while True:
                gate = place.gate = Future(f"room for {ref.path}")  # before the look: no ring from here on is missed
                pause_s = end - time.monotonic()
                full = True
                if line[0] is place:
                    full = not self._has_room(target)
                    if not full and outlet.try_send(*message, target):
                        self.rescues += not rung
                        sent = True
                        return
                    if not full and len(message[-1]) > ONE_BLOCK_BYTES:
                        message = self._shrunk(message, ref.path)  # one block may be had where several may not
                        continue
                    if full and target.overflow == "reject":
                        raise MailboxFull(ref.label, target.capacity, "reject")
                    if outlet.want_room(process, 0) and not full:
                        continue
                    if full and self._has_room(target):
                        continue
                    if target.is_gone():
                        raise ActorDied(str(ref), "noproc", "never")
                if pause_s <= 0:
                    if full:
                        raise MailboxFull(ref.label, target.capacity, target.overflow)
                    raise MailboxFull(ref.label, self._runtime.options.lane_blocks, target.overflow, "lane")
                yield gate, min(pause_s, LOOK_AGAIN_S) if line[0] is place else pause_s
                rung = bool(gate.state)
        finally:
            if message[4] & SPILLED and not sent:
                self._runtime.spill.discard(message[-1])
            with self._lines:
                line.remove(place)
                following = line[0] if line else None
                if following is None:
                    target.most = target.limit
                    self._full[process].discard(target)
            if following is not None:
                following.gate.reply(None)

    def _shrunk(self, message: _Message, path: str) -> _Message:
        process, dest, corr, kind, flags, payload = message
        token = self._runtime.spill.write(payload, (), f"a message to {path}")
        return process, dest, corr, kind, flags | SPILLED, token

    def _has_room(self, target: Target) -> bool:
        if target.out >= target.limit:
            outlet = self._runtime.outlet
            assert outlet is not None
            outlet.recount(target.process)
        return target.out < target.limit or (target.out == target.limit and target.has_begun(self._process))

    def room_in(self, process: int) -> None:
        """`process` has news for us: whoever is first in a line before it looks again."""
        full = self._full.get(process)
        if full:
            for target in tuple(full):
                try:
                    target.line[0].gate.reply(None)
                except IndexError:
                    pass  # the last one has just left

    def post_body(self, process: int, dest: int, corr: int, kind: int, body: Any, what: str) -> None:
        """Send a reply, signal or control message: never waits for room. Raises NotSendable, MessageTooLarge."""
        data = encode(body, what, MAX_PAYLOAD_BYTES)
        flags = 0
        if isinstance(data, Large):
            if data.size_bytes > self._runtime.options.max_message_bytes:
                raise MessageTooLarge(what, data.size_bytes, self._runtime.options.max_message_bytes)
            data, flags = self._runtime.spill.write(data.meta, data.buffers, what), SPILLED
        self.post(process, dest, corr, kind, flags, data)

    def post_raw(self, process: int, dest: int, corr: int, kind: int, payload: bytes) -> None:
        """Send bytes as they are, through a file if they are many."""
        flags = 0
        if len(payload) > MAX_PAYLOAD_BYTES:
            payload, flags = self._runtime.spill.write(dumps(payload), (), "a large answer"), SPILLED
        self.post(process, dest, corr, kind, flags, payload)

    def post(self, process: int, dest: int, corr: int, kind: int, flags: int, payload: bytes) -> None:
        """Send bytes that fit a lane: never waits for room."""
        if self._runtime.outlet is not None and not self._runtime.closed:
            self._runtime.outlet.post(process, dest, corr, kind, flags, payload)


async def _settled(future: Future[None]) -> None:
    await future
