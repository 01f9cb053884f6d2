"""Sending: a process's messages to actors and kernels of other processes, and how a sender waits for room.

Edge (lanes, files); used by the process's runtime. An actor's message waits, parked or blocked, as long as the
receiver's mailbox says; replies, signals and control never wait. What is refused was not sent (P3).
"""

from __future__ import annotations

import asyncio
import pickle
import time
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
from ..errors import ActorDied, CallTimeout, MailboxFull, MessageTooLarge, NodeGone, SharedMemoryError
from ..ids import CONTROLLER_HOME, home_of
from ..transport import (
    MAIN,
    MAX_PAYLOAD_BYTES,
    ONE_BLOCK_BYTES,
    SPILLED,
    STACK_GLOBAL,
    Door,
    Large,
    Outlet,
    SawLargeBuffer,
    dumps,
    dumps_small,
    encode,
)
from .target import Place, Target

if TYPE_CHECKING:
    from .runtime import ProcessRuntime

MANY_TARGETS = 130_000  # about a kilobyte each; who tells more actors than these in turn looks each up again
LEAST_TARGETS = 512
LOOK_AGAIN_S = 0.05

_Message = tuple[int, int, int, int, int, bytes]  # process, dest, corr, kind, flags, payload
_BODY_NAMES = ((), (), ("method", "args", "kwargs"), ("message", "chain"), ("method", "args", "kwargs", "chain"), ())
"""By kind: how an error calls the parts of a message's body."""


class Sending:
    """What one process sends to the others."""

    def __init__(self, runtime: ProcessRuntime, process: int) -> None:
        self._runtime = runtime
        self._targets: dict[int, Target] = {}
        self._look_at = LEAST_TARGETS  # how many targets there are when it is time to see who has ended
        self._process = process
        self._unnumbered = process << 56
        self._numbers = count(self._unnumbered | 1)
        self.doors: Mapping[int, Door] = {}  # the outlet's that are open
        self._lines = Lock()  # for coming into a line and leaving it
        self._full: dict[int, set[Target]] = {}  # by process: where somebody waits in line
        self.large_answers = 0  # how many more answers are looked through for large buffers before they are pickled
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

    def go_on_from(self, number: int) -> None:
        """Number our questions from here on: where a predecessor that handed over in our epoch has stopped."""
        self._numbers = count(number)

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
        elif ref.shortcut is None and target.out and kind != STOP and target.max_bytes is None:
            ref.shortcut = self._shortcut(target, ref.path)  # not its first message: there will be more
        payload, flags = self._packed(body, ref, kind, target)
        if sink is None:
            self._send(ref, target, (target.process, address, self._unnumbered, kind, flags, payload), timeout_s)
            return
        corr = sink.corr = next(self._numbers)
        sink.asked = -1
        self._runtime.pending[corr] = sink
        death = self._runtime.deaths.get(target.process)
        self._send(ref, target, (target.process, address, corr, kind, flags, payload), timeout_s)
        self._runtime.asked(sink, target.process, death)

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
        payload, flags = self._packed(body, ref, kind, target)
        message = (target.process, ref.address, self._unnumbered, kind, flags, payload)
        if target.out < target.most and outlet.try_send(*message, target):
            return  # never where messages are weighed: `most` is 0
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
        process, module, main = target.process, STACK_GLOBAL, MAIN
        pickled = dumps_small if target.large else pickle.dumps
        deaths = runtime.deaths

        def send(kind: int, body: Any, sink: Any = None) -> bool:
            nonlocal pickled
            if (
                target.out >= target.most
                or runtime.closed
                or u32[generation_at] != generation
                or not 0 < u8[state_at] < 5
            ):
                return False
            try:
                payload = pickled(body, 5)
            except SawLargeBuffer:
                return False
            except Exception:
                payload = dumps(body, path, names[kind])  # by value, or the error that says why not
            else:
                if module in payload and main in payload:
                    payload = dumps(body, path, names[kind])
            if len(payload) > most:
                pickled = dumps_small  # 40 ns a message from here on, and no large buffer is copied in vain
                return False
            if sink is None:
                if outbox or len(payload) > one_block:
                    return door(address, unnumbered, kind, 0, payload, target)
                return try_send(address, unnumbered, kind, 0, payload, target) >= 0  # what the door would do
            corr = sink.corr = next(numbers)
            runtime.pending[corr] = sink
            death = deaths.get(process)
            if (
                door(address, corr, kind, 0, payload, target)
                if outbox or len(payload) > one_block
                else try_send(address, corr, kind, 0, payload, target) >= 0
            ):
                sink.asked = process
                if deaths.get(process) is not death:
                    runtime.asked(sink, process, death)
                return True
            del runtime.pending[corr]
            return False

        return send

    def _aim(self, ref: ActorRef[Any]) -> Target:
        """Return how an actor is sent to, its lane open: what that may raise is raised before anything is written."""
        try:
            books = self._runtime.table(home_of(ref.address))
        except FileNotFoundError:
            raise ActorDied(str(ref), "noproc", "never") from None
        if not books.is_tenant(ref.address):
            raise ActorDied(str(ref), "noproc", "never")
        if len(self._targets) >= self._look_at:
            self._forget_targets()
        target = Target(ref.address, books, self._runtime.options.lane_blocks)
        self._open_lane(target.process)
        self._targets[ref.address] = target
        return target

    def _open_lane(self, process: int) -> None:
        outlet = self._runtime.outlet
        if outlet is not None and not self._runtime.closed:
            outlet.door(process)

    def _forget_targets(self) -> None:
        """Forget those who have ended, and of very many those to whom nothing is on its way."""
        many = len(self._targets) > MANY_TARGETS
        # A copy is one step of the interpreter; listing the items is not, and other threads add to them.
        for address, target in self._targets.copy().items():
            if target.is_gone() or (many and not target.out):
                target.most = 0  # the short ways to it are closed
                self._targets.pop(address, None)
        self._look_at = max(LEAST_TARGETS, 2 * len(self._targets))

    def _packed(self, body: Any, ref: ActorRef[Any], kind: int, target: Target) -> tuple[bytes, int]:
        """Return a message's payload and flags; a large one goes into shared memory, and its token is the payload."""
        if not target.large:
            payload = dumps(body, ref.path, _BODY_NAMES[kind])
            if len(payload) <= MAX_PAYLOAD_BYTES:
                return payload, 0
            target.large = True
        data = encode(body, ref.path, MAX_PAYLOAD_BYTES, _BODY_NAMES[kind], likely_large=True)
        if not isinstance(data, Large):
            return data, 0
        limit = self._runtime.options.max_message_bytes
        if data.size_bytes > limit:
            raise MessageTooLarge(str(ref), data.size_bytes, limit)
        what = f"a message to {ref.path}"
        return self._runtime.spill.write(data.pieces, data.buffers, what, target.process), SPILLED

    def _steps(
        self, ref: ActorRef[Any], target: Target, limit_s: float, message: _Message
    ) -> Generator[tuple[Future[None], float], None, None]:
        """Send as soon as there is room, whoever came first; yield what to wait for, and how long, until it is done.

        Raises MailboxFull after `limit_s`, ActorDied if the actor ends meanwhile; then nothing was sent.
        """
        outlet = self._runtime.outlet
        assert outlet is not None
        end = time.monotonic() + limit_s
        process, weight = target.process, target.weigh(message[4], message[5])
        place, line = Place(), target.line
        with self._lines:
            line.append(place)
            target.most = 0
            self._full.setdefault(process, set()).add(target)
        rung, sent = True, False
        try:
            target.refuse_heavy(ref.label, weight)
            while True:
                gate = place.gate = Future(f"room for {ref.path}")  # before the look: no ring from here on is missed
                pause_s = end - time.monotonic()
                full = True
                if line[0] is place:
                    full = not target.has_room(self._process, outlet, weight)
                    if not full and outlet.try_send(*message, target.sink(weight)):
                        self.rescues += not rung
                        sent = True
                        return
                    if not full and len(message[-1]) > ONE_BLOCK_BYTES:
                        message = self._shrunk(message, ref.path)  # one block may be had where several may not
                        continue
                    if full and target.overflow == "reject":
                        raise target.full(ref.label)
                    if outlet.want_room(process, 0) and not full:
                        continue
                    if full and target.has_room(self._process, outlet, weight):
                        continue
                    if target.is_gone():
                        raise ActorDied(str(ref), "noproc", "never")
                if pause_s <= 0:
                    if full:
                        raise target.full(ref.label)
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
                    target.open_fast_path()
                    self._full[process].discard(target)
            if following is not None:
                following.gate.reply(None)

    def _shrunk(self, message: _Message, path: str) -> _Message:
        process, dest, corr, kind, flags, payload = message
        token = self._runtime.spill.write(payload, (), f"a message to {path}", process)
        return process, dest, corr, kind, flags | SPILLED, token

    def room_in(self, process: int) -> None:
        """`process` has news for us: whoever is first in a line before it looks again."""
        full = self._full.get(process)
        if full:
            for target in tuple(full):
                try:
                    target.line[0].gate.reply(None)
                except IndexError:
                    pass  # the last one has just left

    def post_body(self, process: int, dest: int, corr: int, kind: int, body: Any, what: str) -> bool:
        """Send a reply, signal or control message: never waits for room; return whether it was a large one.

        Raises NotSendable, MessageTooLarge.
        """
        data = encode(body, what, MAX_PAYLOAD_BYTES)
        flags = 0
        if isinstance(data, Large):
            if data.size_bytes > self._runtime.options.max_message_bytes:
                raise MessageTooLarge(what, data.size_bytes, self._runtime.options.max_message_bytes)
            data, flags = self._runtime.spill.write(data.pieces, data.buffers, what, process), SPILLED
        self.post(process, dest, corr, kind, flags, data)
        return bool(flags)

    def post_raw(self, process: int, dest: int, corr: int, kind: int, payload: bytes) -> None:
        """Send bytes as they are, through shared memory if they are many."""
        flags = 0
        if len(payload) > MAX_PAYLOAD_BYTES:
            payload, flags = self._runtime.spill.write(dumps(payload), (), "a large answer", process), SPILLED
        self.post(process, dest, corr, kind, flags, payload)

    def post(self, process: int, dest: int, corr: int, kind: int, flags: int, payload: bytes) -> None:
        """Send bytes that fit a lane: never waits for room."""
        if self._runtime.outlet is not None and not self._runtime.closed:
            try:
                self._runtime.outlet.post(process, dest, corr, kind, flags, payload)
            except (OSError, SharedMemoryError):  # there is no lane, so nothing was sent
                if flags & SPILLED:
                    self._runtime.spill.discard(payload)
                raise


async def _settled(future: Future[None]) -> None:
    await future
