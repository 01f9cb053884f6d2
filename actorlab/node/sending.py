"""Sending: a process's messages to actors and kernels of other processes, and how a sender waits for room.

Edge (lanes, files); used by the process's runtime. An actor's message waits, parked or blocked, as long as the
receiver's mailbox says; replies, signals and control never wait. What is refused was not sent (P3).
"""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING, Any

from ..actor import (
    CALL,
    CAST,
    STOP,
    ActorRef,
    Future,
    kernel_here,
)
from ..errors import ActorDied, CallTimeout, MailboxFull, MessageTooLarge, NodeGone
from ..ids import CONTROLLER_HOME, generation_of, home_of, index_of, process_of
from ..transport import (
    MAX_PAYLOAD_BYTES,
    OVERFLOW_CODES,
    SLOT_U8,
    SLOT_U32,
    STATE,
    Large,
    dumps,
    encode,
)
from .books import Books
from .inlet import SPILLED

if TYPE_CHECKING:
    from .runtime import ProcessRuntime

_BODY_NAMES = {CALL: ("method", "args", "kwargs", "chain"), CAST: ("method", "args", "kwargs")}


class Target:
    """What a sender knows of an actor in another process; `out` counts its own messages not yet handled there."""

    __slots__ = ("address", "books", "capacity", "generation", "generation_at", "out", "overflow", "process",
                 "state_at", "timeout_s")  # fmt: skip

    def __init__(self, address: int, books: Books) -> None:
        view = books.read(address)
        index = index_of(address)
        self.address = address
        self.books = books
        self.process = process_of(home_of(address))
        self.generation = generation_of(address)
        self.generation_at = index * SLOT_U32 + 2
        self.state_at = index * SLOT_U8 + STATE
        self.out = 0
        self.capacity = view.capacity if view is not None else 1
        self.overflow = OVERFLOW_CODES[view.overflow] if view is not None else "reject"
        self.timeout_s = view.timeout_ms / 1000 if view is not None else 0.0


class Sending:
    """What one process sends to the others."""

    def __init__(self, runtime: ProcessRuntime, process: int) -> None:
        self._runtime = runtime
        self._targets: dict[int, Target] = {}
        self._unnumbered = process << 56
        self._numbers = count(self._unnumbered | 1)
        self._gates: dict[int, list[Future[None]]] = {}
        self.rescues = 0

    @property
    def unnumbered(self) -> int:
        """The correlation id of what nobody waits for: it still says which process it comes from."""
        return self._unnumbered

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
        elif target.books.u32[target.generation_at] != target.generation or target.books.table.u8[target.state_at] in (
            0,
            5,
        ):
            del self._targets[address]
            raise ActorDied(str(ref), "noproc", "never")
        payload = dumps(body, ref.path)
        flags = 0
        if len(payload) > MAX_PAYLOAD_BYTES:
            payload, flags = self._spilled(body, ref, kind)
        corr = self._unnumbered
        if sink is not None:
            corr = sink.corr = next(self._numbers)
            self._runtime.pending[corr] = sink
        if (target.out < target.capacity or kind == STOP) and outlet.try_send(
            target.process, address, corr, kind, flags, payload, target
        ):
            return
        if kind == STOP:
            outlet.post(target.process, address, corr, kind, flags, payload)
            return
        try:
            self._wait_for_room(ref, target, corr, kind, flags, payload)
        except BaseException:
            self._runtime.pending.pop(corr, None)
            if flags & SPILLED:
                self._runtime.spill.discard(payload)
            raise

    def _aim(self, ref: ActorRef[Any]) -> Target:
        try:
            books = self._runtime.table(home_of(ref.address))
        except OSError:
            raise ActorDied(str(ref), "noproc", "never") from None
        if not books.is_tenant(ref.address):
            raise ActorDied(str(ref), "noproc", "never")
        if len(self._targets) > 50_000:
            self._targets = {address: target for address, target in self._targets.items() if target.out}
        target = self._targets[ref.address] = Target(ref.address, books)
        return target

    def _spilled(self, body: Any, ref: ActorRef[Any], kind: int) -> tuple[bytes, int]:
        """Write a large message to a file of its own; return its token."""
        data = encode(body, ref.path, MAX_PAYLOAD_BYTES, _BODY_NAMES.get(kind, ()))
        if not isinstance(data, Large):
            return data, 0
        limit = self._runtime.options.max_message_bytes
        if data.size_bytes > limit:
            raise MessageTooLarge(str(ref), data.size_bytes, limit)
        return self._runtime.spill.write(data.meta, data.buffers, f"a message to {ref.path}"), SPILLED

    def _wait_for_room(
        self, ref: ActorRef[Any], target: Target, corr: int, kind: int, flags: int, payload: bytes
    ) -> None:
        outlet = self._runtime.outlet
        assert outlet is not None
        end = time.monotonic() + target.timeout_s
        kernel = kernel_here()
        may_wait = kernel is None or kernel.in_handler()
        if kernel is not None and kernel.home == CONTROLLER_HOME:
            outlet.post(target.process, target.address, corr, kind, flags, payload)  # supervisors never wait at doors
            return
        while True:
            outlet.recount(target.process)
            mailbox_full = target.out >= target.capacity
            if mailbox_full and target.overflow == "reject":
                raise MailboxFull(ref.label, target.capacity, "reject")
            if not mailbox_full or target.overflow.startswith("drop"):
                if outlet.try_send(target.process, target.address, corr, kind, flags, payload, target):
                    return
                if outlet.want_room(target.process, len(payload)):
                    continue
            else:
                outlet.want_room(target.process, 0)
            left = end - time.monotonic()
            if left <= 0 or not may_wait:
                if mailbox_full:
                    raise MailboxFull(ref.label, target.capacity, target.overflow)
                raise MailboxFull(ref.label, self._runtime.options.lane_blocks, target.overflow, "lane")
            gate: Future[None] = Future(f"room for {ref.path}")
            self._gates.setdefault(target.process, []).append(gate)
            outlet.recount(target.process)
            if mailbox_full and target.out < target.capacity:
                continue
            try:
                gate.get(timeout=min(left, 0.05))
            except CallTimeout:
                self.rescues += 1  # the second line: a ring that was lost

    def room_in(self, process: int) -> None:
        """`process` has news for us: whoever waits for room in the lane to it looks again."""
        gates = self._gates.pop(process, None)
        if gates:
            for gate in gates:
                gate.reply(None)

    def post_body(self, process: int, dest: int, corr: int, kind: int, body: Any, what: str) -> None:
        """Send a reply, signal or control message: never waits for room. Raises NotSendable, MessageTooLarge."""
        payload = dumps(body, what)
        flags = 0
        if len(payload) > MAX_PAYLOAD_BYTES:
            data = encode(body, what, MAX_PAYLOAD_BYTES)
            if isinstance(data, Large):
                if data.size_bytes > self._runtime.options.max_message_bytes:
                    raise MessageTooLarge(what, data.size_bytes, self._runtime.options.max_message_bytes)
                payload, flags = self._runtime.spill.write(data.meta, data.buffers, what), SPILLED
            else:
                payload = data
        if self._runtime.outlet is not None and not self._runtime.closed:
            self._runtime.outlet.post(process, dest, corr, kind, flags, payload)

    def post_raw(self, process: int, dest: int, corr: int, kind: int, payload: bytes) -> None:
        """Send bytes as they are, through a file if they are many."""
        flags = 0
        if len(payload) > MAX_PAYLOAD_BYTES:
            payload, flags = self._runtime.spill.write(dumps(payload), (), "a large answer"), SPILLED
        if self._runtime.outlet is not None and not self._runtime.closed:
            self._runtime.outlet.post(process, dest, corr, kind, flags, payload)
