"""Waiting: how a handler waits without holding the thread, and how one actor calls another of its kernel.

Edge (greenlets of one kernel's thread); used by the kernel, references and futures. A handler that must wait parks:
its greenlet switches to the hub, which goes on with others. A call to an idle actor of the same kernel lends it the
thread and gets it back with the answer; its deadline begins to count only if the callee parks.
"""

from __future__ import annotations

from _thread import get_ident
from math import inf
from typing import TYPE_CHECKING, Any, NoReturn

from greenlet import getcurrent, greenlet

from ..errors import BadCall, BlockingCall, CallTimeout
from .cancelling import take_back
from .cell import PARKED, READY, RUNNING, Cell
from .chain import LocalCall, begin_wait, chain_of, deadlock, end_wait, refuse_cycle
from .envelope import CALL

if TYPE_CHECKING:
    from .future import Future
    from .scheduler import Kernel


class Killed(BaseException):
    """Thrown into a parked handler that must end. Not an Exception, so that handlers do not catch it by accident."""


class Interrupted(BaseException):
    """Raised in a handler that holds the thread and must end, from a signal: its incarnation ends with it."""

    def __str__(self) -> str:
        return "interrupted, because it held its worker's thread"


def park(kernel: Kernel) -> None:
    """Give the thread away until somebody resumes this greenlet. The caller has arranged for that."""
    cell = kernel.current
    assert cell is not None
    me = getcurrent()
    killed = kernel.killed
    if killed and me in killed:
        _abandon(kernel)
    cell.phase = PARKED
    sink = cell.sink
    if sink.__class__ is LocalCall and sink.direct:
        undirect(kernel, cell)
    extra = cell.extra or cell.more()
    extra.greenlet = me
    kernel.current = None
    kernel.parked += 1
    try:
        kernel.hub_greenlet.switch()
    finally:
        kernel.parked -= 1
        kernel.current = cell
        if not killed or me not in killed:
            # else the cell is dead, or its next incarnation's already
            extra.greenlet = None
            cell.phase = RUNNING


def _abandon(kernel: Kernel) -> None:
    """A handler that was thrown out waits again: it stays where it is for good."""
    kernel.current = None
    while True:
        kernel.hub_greenlet.switch()


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
    cell = kernel.current
    assert cell is not None
    waits = begin_wait(cell, future) if future.to else None
    waiter = _Waiter(kernel, getcurrent())
    future.on_settled(waiter.wake)
    if timeout_s is not None and not future.state:
        kernel.deadlines.add(waiter, max(0.0, timeout_s))
    try:
        while not future.state and not waiter.expired:
            waiter.woken = False
            if not future.state:
                park(kernel)
    except Killed:
        future.forget(waiter.wake)
        future.abandon()
        raise
    finally:
        waiter.done()
        future.forget(waiter.wake)
        if waits is not None:
            end_wait(waits, future)
    if not future.state:
        raise CallTimeout(future.what, timeout_s or 0.0)


def call(
    kernel: Kernel, cell: Cell, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float | None
) -> Any:
    """Call a method of an actor of this kernel and wait for its answer, from one of its handlers."""
    caller = kernel.current
    me = getcurrent()
    if caller is None or me is kernel.hub_greenlet:
        refuse_to_wait(name)
    above = caller
    while True:
        if above is cell:
            if cell.address not in chain_of(caller):
                break  # it has given up waiting for us
            raise deadlock(caller, cell.name)
        sink = above.sink
        if sink is None:
            break
        if sink.__class__ is LocalCall:
            above = sink.caller
            continue
        if cell.address in sink.chain:
            raise deadlock(caller, cell.name)
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
    if not cell.phase and kernel.handovers and not behaviour.indirect:  # IDLE
        kernel.handovers -= 1
        sink.direct = True
        cell.phase = RUNNING
        caller.phase = PARKED
        pool = kernel.pool
        try:
            if pool:
                pool.pop().switch((cell, function, args, kwargs, sink))
            else:
                greenlet(kernel.runner, kernel.hub_greenlet).switch((cell, function, args, kwargs, sink))
        except BaseException:
            sink.abandon()
            kernel.current = caller
            raise
        kernel.current = caller
        if sink.direct and caller.phase == PARKED:
            caller.phase = RUNNING
            if sink.state == 1:
                # nobody else ever saw this sink: use it again
                result = sink.outcome
                sink.state = 0
                sink.outcome = None
                calls.append(sink)
                return result
        else:
            _take_back(kernel, caller, me)
    else:
        sink.direct = False
        extra = cell.extra
        if extra is not None and (extra.waits_for or extra.waits):
            refuse_cycle(caller, cell.address)
        if not kernel.admission.admit(cell, (CALL, name, args, kwargs, sink), None) and sink.waiting_in is not None:
            door_s = cell.bounds.timeout_s
            if timeout_s is None or door_s < timeout_s:
                # a shorter deadline as long as it waits at the door; the rest of its own once it is in
                sink.until = inf if timeout_s is None else kernel.deadlines.now() + timeout_s
                timeout_s = door_s
        if not sink.state:
            if timeout_s is not None:
                kernel.deadlines.add(sink, timeout_s)
            extra = caller.more()
            extra.waits_for = cell.address
            _park_until_answered(kernel, sink, cell.address)
            extra.waits_for = 0
    if sink.state == 1:
        return sink.outcome
    error, sink.outcome = sink.outcome, None
    try:
        raise error
    finally:
        del error  # or the frame and the exception keep each other until the next collection


def _park_until_answered(kernel: Kernel, sink: LocalCall, to: int) -> None:
    try:
        while not sink.state:
            sink.parked = True
            park(kernel)
    except BaseException:
        sink.abandon()
        take_back(kernel, to, sink)
        raise


def refuse_to_wait(name: str) -> NoReturn:
    """Say what to write instead of a blocking call in an async handler."""
    raise BlockingCall(f"ref.call.{name}()", f"await ref.request.{name}()")


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
        _park_until_answered(kernel, sink, cell.address)
    else:
        sink.direct = True
        cell.phase = RUNNING
        caller.phase = PARKED
        pool = kernel.pool
        runner = pool.pop() if pool else greenlet(kernel.runner, kernel.hub_greenlet)
        try:
            runner.switch((cell, None, envelope, None, sink))
        except BaseException:
            sink.abandon()
            kernel.current = caller
            raise
        kernel.current = caller
        if sink.direct and caller.phase == PARKED:
            caller.phase = RUNNING
        else:
            _take_back(kernel, caller, me)
    if sink.state == 1:
        return sink.outcome
    raise sink.outcome


def _take_back(kernel: Kernel, caller: Cell, me: Any) -> None:
    """The thread that a handler lent is its own again, long after: unless its actor was killed meanwhile."""
    if kernel.killed and me in kernel.killed:
        raise Killed
    extra = caller.more()
    extra.greenlet = None
    extra.waits_for = 0
    caller.phase = RUNNING


def greenlet_of(kernel: Kernel, cell: Cell) -> Any:
    """Return the greenlet in which a handler of `cell` waits, or None."""
    if cell.extra is not None and cell.extra.greenlet is not None:
        return cell.extra.greenlet
    above = kernel.current
    while above is not None:  # has it lent the thread to whoever runs now?
        sink = above.sink
        if sink.__class__ is not LocalCall or not sink.direct:
            return None
        if sink.caller is cell:
            return sink.greenlet
        above = sink.caller
    return None


def throw_out(kernel: Kernel, waiting: Any) -> None:
    """Raise Killed where a handler waits, when the hub comes round: once. Whatever would have resumed it does not."""
    kernel.killed.add(waiting)
    kernel.resumable.append(_Throw(kernel, waiting))


def undirect(kernel: Kernel, cell: Cell) -> None:
    """`cell` is going to wait on a thread it was lent: whoever lent it waits like anybody else from here on."""
    sink = cell.sink
    while sink.__class__ is LocalCall and sink.direct:
        sink.direct = False
        sink.parked = True
        if sink.timeout_s is not None:
            kernel.deadlines.add(sink, sink.timeout_s)
        caller = sink.caller
        extra = caller.more()
        extra.greenlet = sink.greenlet
        extra.waits_for = cell.address
        cell = caller
        sink = cell.sink


class _Throw:
    """A waiting greenlet that is to be resumed by Killed."""

    __slots__ = ("_kernel", "_waiting")

    def __init__(self, kernel: Kernel, waiting: Any) -> None:
        self._kernel = kernel
        self._waiting = waiting

    def switch(self) -> None:
        kernel, waiting = self._kernel, self._waiting
        if waiting not in kernel.killed:
            return  # it had been resumed already, and has ended
        for queue in (kernel.resumable, kernel.yielded):
            while waiting in queue:
                queue.remove(waiting)
        waiting.throw(Killed())


class _Waiter:
    """A greenlet that waits for a future: resumed once, by the answer or by the deadline."""

    __slots__ = ("expired", "greenlet", "kernel", "wheel", "woken")

    def __init__(self, kernel: Kernel, greenlet_: Any) -> None:
        self.kernel = kernel
        self.greenlet = greenlet_
        self.expired = False
        self.woken = True  # until it waits: an outcome that comes before must not resume it
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
