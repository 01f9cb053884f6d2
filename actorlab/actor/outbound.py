"""Outbound: the long way out, for every send that is not between two actors of one kernel.

Edge (sends); used by references. Decides where the receiver lives: in this kernel (its door), in another kernel of
this process (its inbox), or in another process (the runtime's lanes). An error found here means that nothing was
sent; with a future, the future carries it.
"""

from __future__ import annotations

import asyncio
from _thread import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..errors import ActorDied, BadCall, CallError, CallTimeout, MailboxFull
from . import current
from .admission import Waiter
from .cell import ENDING
from .chain import chain_of, refuse_cycle
from .envelope import ASK, CALL, CAST, STOP, TELL, Chain
from .future import Future
from .pykka_messages import ActorStop
from .remote_call import call_from_outside, call_out
from .room import full_error, has_room
from .waiting import refuse_to_wait

if TYPE_CHECKING:
    from .ref import ActorRef


def _send(
    ref: ActorRef[Any], envelope: tuple[Any, ...], body: Any, sink: Any, timeout_s: float | None = None
) -> None:
    runtime = ref.runtime
    kernel = runtime.kernels.get(ref.address >> 56)
    if kernel is None:
        runtime.send(ref, envelope[0], body, sink, timeout_s)
        return
    cell = kernel.cells.get(ref.address)
    if cell is None or (cell.phase == ENDING and not cell.parent):
        raise ActorDied(str(ref), "noproc", "never")
    kind = envelope[0]
    if runtime.strict_messages:
        envelope = runtime.copy_envelope(envelope)
    else:
        ref.cell = cell  # from now on the fast path
    if kind in (CALL, CAST) and envelope[1] not in cell.behaviour.public:
        raise BadCall(ref.label, f"no public method {envelope[1]!r}")
    if get_ident() == kernel.ident:
        kernel.admission.send(cell, envelope)
    else:
        kernel.admission.send_from_outside(cell, envelope, timeout_s)


def tell(ref: ActorRef[Any], message: Any) -> None:
    """Send a plain message."""
    if message.__class__ is ActorStop:
        if not ref.is_alive():
            raise ActorDied(str(ref), "noproc", "never")
        stop(ref)
        return
    _send(ref, (TELL, message), message, None)


def cast(ref: ActorRef[Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Send a method call without an answer."""
    _send(ref, (CAST, name, args, kwargs), (name, args, kwargs), None)


def _chain(ref: ActorRef[Any]) -> Chain:
    """Return who would wait for the answer; DeadlockDetected if the receiver is among them."""
    caller = current.cell_here()
    if caller is None:
        return ()
    refuse_cycle(caller, ref.address)
    return chain_of(caller)


def _question(ref: ActorRef[Any], future: Future[Any], envelope: tuple[Any, ...], body: Any) -> Future[Any]:
    future.to, future.runtime = ref.address, ref.runtime
    try:
        _send(ref, envelope, body, future)
    except (ActorDied, BadCall, MailboxFull) as error:
        future.fail(error)
    return future


def ask(ref: ActorRef[Any], message: Any, *, waits: bool) -> Future[Any]:
    """Send a plain message; the answer is a future. `waits` says that the caller will wait for it at once."""
    if message.__class__ is ActorStop:
        return stop(ref)
    chain = _chain(ref) if waits else ()
    future: Future[Any] = Future(ref.path, chain)
    return _question(ref, future, (ASK, message, future), (message, chain))


def request(
    ref: ActorRef[Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any], future: Future[Any] | None = None
) -> Future[Any]:
    """Send a method call; the answer is a future, of the caller's making if he has one."""
    if future is None:
        future = Future(f"{name}() of {ref.path}")
    return _question(ref, future, (CALL, name, args, kwargs, future), (name, args, kwargs, ()))


def request_with(future: Future[Any], ref: ActorRef[Any], name: str, args: tuple[Any, ...]) -> None:
    """Send a method call whose answer settles `future`; an error of sending does, too."""
    try:
        request(ref, name, args, {}, future)
    except CallError as error:
        future.fail(error)


def call(ref: ActorRef[Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float | None) -> Any:
    """Send a method call and wait for its answer."""
    kernel = current.kernel_here()
    if kernel is not None:
        if ref.address >> 56 not in ref.runtime.kernels:
            return call_out(kernel, ref, name, args, kwargs, timeout_s)
        if not kernel.in_handler():
            refuse_to_wait(name)
    elif current.cell_here() is None and ref.address >> 56 not in ref.runtime.kernels:
        return call_from_outside(ref, name, args, kwargs, timeout_s)
    chain = _chain(ref)
    future: Future[Any] = Future(f"{name}() of {ref.path}", chain)
    future.to = ref.address
    if timeout_s is None:
        _send(ref, (CALL, name, args, kwargs, future), (name, args, kwargs, chain), future)
        return future.get()
    end = monotonic() + timeout_s
    _send(ref, (CALL, name, args, kwargs, future), (name, args, kwargs, chain), future, timeout_s)
    return answer_of(ref, future, max(0.0, end - monotonic()), timeout_s)


def answer_of(ref: ActorRef[Any], future: Future[Any], left_s: float | None, timeout_s: float | None) -> Any:
    """Wait for an answer that nobody else can ask for; one that comes after `left_s` is counted and dropped (P6)."""
    try:
        return future.get(timeout=left_s)
    except CallTimeout:
        if future.state:
            return future.get()  # it came this very moment, or it is the callee's own timeout
        waited = ref.runtime.take_back(future, ref.address)
        late = CallTimeout(future.what, timeout_s or 0.0, "never" if waited else "unknown")
        future.fail(late)
        raise late from None


def stop(ref: ActorRef[Any], reason: Any = "normal") -> Future[Any]:
    """Ask an actor to stop when the messages before are done; never waits, never full. Fails with ActorDied if dead."""
    future: Future[Any] = Future(f"the stop of {ref.path}")
    runtime = ref.runtime
    kernel = runtime.kernels.get(ref.address >> 56)
    if kernel is None:
        try:
            runtime.send(ref, STOP, (reason,), future, None)
        except ActorDied as error:
            future.fail(error)
        return future
    if not ref.is_alive():
        cell = kernel.cells.get(ref.address)
        if cell is None:
            future.fail(ActorDied(str(ref), "noproc", "never"))
            return future
    if get_ident() == kernel.ident:
        kernel.endings.stop(ref.address, reason, future)
    else:
        kernel.post(kernel.endings.stop, ref.address, reason, future)
    return future


async def send_async(ref: ActorRef[Any], message: Any) -> None:
    """`tell` that waits for room as a coroutine."""
    kernel = ref.runtime.kernels.get(ref.address >> 56)
    cell = kernel.cells.get(ref.address) if kernel is not None else None
    if kernel is None:
        await ref.runtime.send_async(ref, TELL, message)
        return
    if cell is None:
        raise ActorDied(str(ref), "noproc", "never")
    envelope: tuple[Any, ...] = (TELL, message)
    if cell is current.cell_here() and cell.bounds.overflow == "block" and not has_room(cell, envelope):
        raise full_error(cell)  # nobody else would make room
    waiter = Waiter(f"room in the mailbox of {cell.name}")
    if ref.runtime.strict_messages:
        envelope = ref.runtime.copy_envelope(envelope)
    if get_ident() == kernel.ident:
        kernel.admission.admit(cell, envelope, waiter)
    else:
        kernel.post(kernel.admission.admit, cell, envelope, waiter)
    timeout_s = cell.bounds.timeout_s
    try:
        await asyncio.wait_for(_awaited(waiter.future), timeout_s)
    except TimeoutError:
        if waiter.claim():
            raise full_error(cell) from None


async def _awaited(future: Future[Any]) -> Any:
    return await future
