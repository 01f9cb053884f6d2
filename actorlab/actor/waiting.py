"""Waiting: how a handler waits without holding the thread, and how one actor calls another of its kernel.

Edge (greenlets of one kernel's thread); used by the kernel, references and futures. A handler that must wait parks:
its greenlet switches to the hub, which goes on with others. A call to an idle actor of the same kernel lends it the
thread and gets it back with the answer; its deadline begins to count only if the callee parks.
"""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent, greenlet

from ..errors import BadCall, BlockingCall, CallTimeout, DeadlockDetected
from .cell import PARKED, READY, RUNNING, Cell
from .envelope import CALL, Chain

if TYPE_CHECKING:
    from .future import Future
    from .scheduler import Kernel


class Killed(BaseException):
    """Thrown into a parked handler that must end. Not an Exception, so that handlers do not catch it by accident."""


class LocalCall:
    """A handler that waits, in its greenlet, for an actor of the same kernel: the sink of its call."""

    __slots__ = ("caller", "direct", "greenlet", "outcome", "state", "timeout_s", "waiting_in", "what", "wheel")

    def __init__(self, greenlet_: Any, caller: Cell, timeout_s: float | None, what: str) -> None:
        self.what = what
        self.greenlet = greenlet_
        self.caller = caller
        self.timeout_s = timeout_s
        self.state = 0  # 0 pending, 1 value, 2 exception
        self.outcome: Any = None
        self.direct = False  # the callee runs on the thread the caller lent it, and hands it straight back
        self.wheel: Any = None
        self.waiting_in: Cell | None = None  # the full mailbox at whose door the call waits

    @property
    def chain(self) -> Chain:
        return chain_of(self.caller)

    def reply(self, value: Any) -> None:
        self._settle(1, value)

    def fail(self, error: BaseException) -> None:
        self._settle(2, error)

    def _settle(self, state: int, outcome: Any) -> None:
        if self.state:
            return
        self.state = state
        self.outcome = outcome
        if self.wheel is not None:
            self.wheel.pop(self, None)
        if not self.direct:
            kernel = self.caller.kernel
            if get_ident() == kernel.ident:
                kernel.resumable.append(self.greenlet)
            else:
                kernel.post(kernel.resume, self.greenlet)  # answered by a blocking actor's thread

    def expire(self) -> None:
        """The deadline passed: the caller goes on with CallTimeout."""
        self.caller.kernel.admission.give_up(self)


def chain_of(cell: Cell | None) -> Chain:
    """Return the addresses that wait, through calls, for what `cell` does now, itself last."""
    chain: list[int] = []
    while cell is not None:
        chain.append(cell.address)
        sink = cell.sink
        if sink is None:
            break
        if sink.__class__ is LocalCall:
            cell = sink.caller
        else:
            chain.extend(reversed(sink.chain))
            break
    return tuple(reversed(chain))


def park(kernel: Kernel) -> None:
    """Give the thread away until somebody resumes this greenlet. The caller has arranged for that."""
    cell = kernel.current
    assert cell is not None
    cell.phase = PARKED
    sink = cell.sink
    while sink.__class__ is LocalCall and sink.direct:
        # whoever lent us the thread now waits like anybody else: its deadline counts from here
        sink.direct = False
        if sink.timeout_s is not None:
            kernel.deadlines.add(sink, sink.timeout_s)
        sink = sink.caller.sink
    extra = cell.more()
    extra.greenlet = getcurrent()
    kernel.current = None
    kernel.parked += 1
    try:
        kernel.hub_greenlet.switch()
    finally:
        kernel.parked -= 1
        extra.greenlet = None
        kernel.current = cell
        cell.phase = RUNNING


def give_way(kernel: Kernel) -> None:
    """Let the others run, then go on: what a handler that sends a lot does every BRAKE sends."""
    if kernel.in_handler():
        kernel.yielded.append(getcurrent())
        park(kernel)


def wait_for(kernel: Kernel, future: Future[Any], timeout_s: float | None) -> None:
    """Park the handler until `future` is settled or `timeout_s` is over (CallTimeout)."""
    if future.state:
        return
    if not kernel.in_handler():
        if timeout_s == 0:
            raise CallTimeout(future.what, 0.0)
        raise BlockingCall("future.get()", "await future")
    waiter = _Waiter(kernel, getcurrent())
    future.on_settled(waiter.wake)
    if timeout_s is not None and not future.state:
        kernel.deadlines.add(waiter, max(0.0, timeout_s))
    try:
        while not future.state and not waiter.expired:
            park(kernel)
    finally:
        waiter.done()
        future.forget(waiter.wake)
    if not future.state:
        raise CallTimeout(future.what, timeout_s or 0.0)


def call(
    kernel: Kernel, cell: Cell, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float | None
) -> Any:
    """Call a method of an actor of this kernel and wait for its answer, from one of its handlers."""
    caller = kernel.current
    me = getcurrent()
    if caller is None or me is kernel.hub_greenlet:
        raise BlockingCall(f"ref.call.{name}()", f"await ref.request.{name}()")
    above = caller
    while True:
        if above is cell:
            raise _deadlock(kernel, caller, cell)
        sink = above.sink
        if sink is None:
            break
        if sink.__class__ is LocalCall:
            above = sink.caller
            continue
        if cell.address in sink.chain:
            raise _deadlock(kernel, caller, cell)
        break
    behaviour = cell.behaviour
    function = behaviour.public.get(name)
    if function is None:
        raise BadCall(cell.name, f"no public method {name!r}")
    calls = kernel.calls
    if calls:
        sink = calls.pop()
        sink.greenlet, sink.caller, sink.timeout_s, sink.what = me, caller, timeout_s, name
    else:
        sink = LocalCall(me, caller, timeout_s, name)
    if not cell.phase and kernel.handovers and not behaviour.blocking:  # IDLE
        kernel.handovers -= 1
        sink.direct = True
        cell.phase = RUNNING
        caller.phase = PARKED
        pool = kernel.pool
        if pool:
            pool.pop().switch((cell, function, args, kwargs, sink))
        else:
            greenlet(kernel.runner, kernel.hub_greenlet).switch((cell, function, args, kwargs, sink))
        kernel.current = caller
        caller.phase = RUNNING
        if sink.direct and sink.state == 1:
            # nobody else ever saw this sink: use it again
            result = sink.outcome
            sink.state = 0
            sink.outcome = None
            calls.append(sink)
            return result
    else:
        sink.direct = False
        kernel.admission.admit(cell, (CALL, name, args, kwargs, sink), None)
        if not sink.state:
            if timeout_s is not None:
                kernel.deadlines.add(sink, timeout_s)
            park(kernel)
    if sink.state == 1:
        return sink.outcome
    raise sink.outcome


def refuse_to_wait(kernel: Kernel, name: str) -> None:
    """Say what to write instead of a blocking call in an async handler."""
    raise BlockingCall(f"ref.call.{name}()", f"await ref.request.{name}()")


def _deadlock(kernel: Kernel, caller: Cell, callee: Cell) -> DeadlockDetected:
    names = tuple(kernel.name_of(address) for address in chain_of(caller))
    return DeadlockDetected(caller.name, callee.name, names)


def lend(kernel: Kernel, cell: Cell, envelope: tuple[Any, ...], timeout_s: float | None) -> Any:
    """Have another actor handle `envelope` on this thread at once, and wait for its answer. May park."""
    caller = kernel.current
    assert caller is not None, "lend outside a handler"
    me = getcurrent()
    sink = LocalCall(me, caller, timeout_s, cell.name)
    envelope = (*envelope, sink)
    if cell.behaviour.blocking:
        cell.mailbox = kernel.admission.open_mailbox(cell)
        cell.mailbox.appendleft(envelope)
        cell.phase = READY
        kernel.runq.append(cell)
        if timeout_s is not None:
            kernel.deadlines.add(sink, timeout_s)
        park(kernel)
    else:
        sink.direct = True
        cell.phase = RUNNING
        phase, caller.phase = caller.phase, PARKED
        pool = kernel.pool
        runner = pool.pop() if pool else greenlet(kernel.runner, kernel.hub_greenlet)
        runner.switch((cell, None, envelope, None, sink))
        kernel.current = caller
        caller.phase = phase
    if sink.state == 1:
        return sink.outcome
    raise sink.outcome


def throw(kernel: Kernel, runner: Any, error: BaseException) -> None:
    """Raise `error` where a parked greenlet waits, when the hub comes round."""
    kernel.resumable.append(_Throw(runner, error))


def undirect(kernel: Kernel, sink: Any) -> None:
    while sink.__class__ is LocalCall and sink.direct:
        sink.direct = False
        if sink.timeout_s is not None:
            kernel.deadlines.add(sink, sink.timeout_s)
        sink = sink.caller.sink


class _Throw:
    """A parked greenlet that is to be resumed with an exception."""

    __slots__ = ("_error", "_runner")

    def __init__(self, runner: Any, error: BaseException) -> None:
        self._runner = runner
        self._error = error

    def switch(self) -> None:
        self._runner.throw(self._error)


class _Waiter:
    """A greenlet that waits for a future: resumed once, by the answer or by the deadline."""

    __slots__ = ("expired", "greenlet", "kernel", "wheel", "woken")

    def __init__(self, kernel: Kernel, greenlet_: Any) -> None:
        self.kernel = kernel
        self.greenlet = greenlet_
        self.expired = False
        self.woken = False
        self.wheel: Any = None

    def wake(self) -> None:
        if get_ident() == self.kernel.ident:
            self._resume()
        else:
            self.kernel.post(self._resume)

    def _resume(self) -> None:
        if not self.woken:
            self.woken = True
            self.kernel.resume(self.greenlet)

    def expire(self) -> None:
        self.expired = True
        self._resume()

    def done(self) -> None:
        self.woken = True
        if self.wheel is not None:
            self.wheel.pop(self, None)
