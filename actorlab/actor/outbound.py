"""Outbound: the long way out, for every send that is not between two actors of one kernel.

Edge (sends); used by references. Decides where the receiver lives: in this kernel (its door), in another kernel of
this process (its inbox), or in another process (the runtime's lanes). An error found here means that nothing was
sent; with a future, the future carries it.
"""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any

from ..errors import ActorDied, BadCall, DeadlockDetected, MailboxFull
from . import current
from .admission import Waiter
from .envelope import ASK, CALL, CAST, STOP, TELL, Chain
from .future import Future
from .pykka_messages import ActorStop
from .waiting import chain_of, refuse_to_wait

if TYPE_CHECKING:
    from .ref import ActorRef


def _send(ref: ActorRef[Any], envelope: tuple[Any, ...], body: Any, sink: Any) -> None:
    runtime = ref.runtime
    kernel = runtime.kernels.get(ref.address >> 56)
    if kernel is None:
        runtime.send(ref, envelope[0], body, sink, None)
        return
    cell = kernel.cells.get(ref.address)
    if cell is None:
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
        kernel.admission.send_from_outside(cell, envelope)


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
    chain = chain_of(caller)
    if ref.address in chain:
        names = tuple(caller.kernel.name_of(address) for address in chain)
        raise DeadlockDetected(caller.name, ref.label, names)
    return chain


def _question(ref: ActorRef[Any], future: Future[Any], envelope: tuple[Any, ...], body: Any) -> Future[Any]:
    try:
        _send(ref, envelope, body, future)
    except (ActorDied, MailboxFull) as error:
        future.fail(error)
    return future


def ask(ref: ActorRef[Any], message: Any, *, waits: bool) -> Future[Any]:
    """Send a plain message; the answer is a future. `waits` says that the caller will wait for it at once."""
    if message.__class__ is ActorStop:
        return stop(ref)
    chain = _chain(ref) if waits else ()
    future: Future[Any] = Future(ref.path, chain)
    return _question(ref, future, (ASK, message, future), (message, chain))


def request(ref: ActorRef[Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
    """Send a method call; the answer is a future."""
    future: Future[Any] = Future(f"{name}() of {ref.path}")
    return _question(ref, future, (CALL, name, args, kwargs, future), (name, args, kwargs, ()))


def call(ref: ActorRef[Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float | None) -> Any:
    """Send a method call and wait for its answer."""
    kernel = current.kernel_here()
    if kernel is not None and not kernel.in_handler():
        refuse_to_wait(kernel, name)
    chain = _chain(ref)
    future: Future[Any] = Future(f"{name}() of {ref.path}", chain)
    _send(ref, (CALL, name, args, kwargs, future), (name, args, kwargs, chain), future)
    return future.get(timeout=timeout_s)


def stop(ref: ActorRef[Any], reason: Any = "normal") -> Future[Any]:
    """Ask an actor to stop when the messages before are done; never waits, never full. Fails with ActorDied if dead."""
    future: Future[Any] = Future(f"the stop of {ref.path}")
    runtime = ref.runtime
    kernel = runtime.kernels.get(ref.address >> 56)
    if kernel is None:
        runtime.send(ref, STOP, (reason,), future, None)
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
    if kernel is None or cell is None:
        tell(ref, message)
        return
    waiter = Waiter(f"room in the mailbox of {cell.name}")
    envelope = (TELL, message)
    if get_ident() == kernel.ident:
        kernel.admission.admit(cell, envelope, waiter)
    else:
        kernel.post(kernel.admission.admit, cell, envelope, waiter)
    timeout_s = cell.bounds.timeout_s
    import asyncio

    try:
        await asyncio.wait_for(_awaited(waiter.future), timeout_s)
    except TimeoutError:
        if waiter.claim():
            raise MailboxFull(cell.name, cell.bounds.capacity, cell.bounds.overflow) from None


async def _awaited(future: Future[Any]) -> Any:
    return await future
