"""RemoteCall: how a handler, or a thread of the user's, calls an actor of another process and waits for its answer.

Edge (greenlets of one kernel's thread; threads); used by references. A handler parks, with the same sink as for calls
within its kernel; a thread drains the lanes itself while it waits. Neither needs a Future, which any number may wait
for anywhere, and which costs as much again as the rest of the way out.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent

from ..errors import CallTimeout
from .chain import LocalCall, chain_of, refuse_cycle
from .envelope import CALL, Chain
from .future import Future
from .waiting import park, refuse_to_wait

if TYPE_CHECKING:
    from .ref import ActorRef
    from .scheduler import Kernel


def call_out(
    kernel: Kernel,
    ref: ActorRef[Any],
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    timeout_s: float | None,
) -> Any:
    """Call a method of an actor in another process and wait for its answer, from a handler of `kernel`."""
    caller = kernel.current
    me = getcurrent()
    if caller is None or me is kernel.hub_greenlet:
        refuse_to_wait(name)
    to = ref.address
    chain = chain_of(caller)
    if to in chain:
        refuse_cycle(caller, to)
    calls, deadlines = kernel.calls, kernel.deadlines
    if calls:
        sink = calls.pop()
        sink.greenlet, sink.caller, sink.timeout_s, sink.what = me, caller, timeout_s, name
    else:
        sink = LocalCall(me, caller, timeout_s, name)
    sink.direct = False
    end = None if timeout_s is None else deadlines.now() + timeout_s
    runtime = ref.runtime
    try:
        shortcut, body = ref.shortcut, (name, args, kwargs, chain)
        if shortcut is None or not shortcut(CALL, body, sink):
            runtime.send(ref, CALL, body, sink, timeout_s)
        extra = caller.extra or caller.more()
        kernel.asked = True
        while not sink.state:
            if end is not None and sink.wheel is None:
                deadlines.add_at(sink, end)
            extra.waits_for = to
            sink.parked = True
            park(kernel)
        extra.waits_for = 0
    except BaseException:
        sink.abandon()
        runtime.take_back(sink, to)
        raise
    result = sink.outcome
    sink.outcome = None
    if sink.state == 1:
        # answered, so nobody knows it any more: use it again
        sink.state = 0
        sink.wheel = None
        calls.append(sink)
        return result
    runtime.take_back(sink, to)  # unless it was answered
    try:
        raise result
    finally:
        del result  # or the frame and the exception keep each other until the next collection


class OutsideCall:
    """The sink of a call from a thread of the user's: what a Future is, for one who waits at once and alone."""

    # What a call begins with is the class's: setting seven fields would cost a fiftieth of the whole call.
    state = 0  # 0 pending, 1 value, 2 exception
    outcome: Any = None
    chain: Chain = ()
    corr = 0
    asked = -1  # the process its question went to, if it went out
    waiting_in: Any = None

    def __init__(self, what: str) -> None:
        self.what = what
        self._waiters: list[Callable[[], object]] = []

    def reply(self, value: Any) -> None:
        """Settle with a value, unless settled."""
        if self.state:
            self._settle(1, value)
            return
        self.outcome = value
        self.state = 1
        if self._waiters:
            self._wake()

    def fail(self, error: BaseException) -> None:
        """Settle with an exception, unless settled."""
        self._settle(2, error)

    def _settle(self, state: int, outcome: Any) -> None:
        if self.state:
            Future.late += 1
            return
        self.outcome = outcome
        self.state = state
        if self._waiters:
            self._wake()

    def _wake(self) -> None:
        # As in Future: who waits appends himself, then looks at `state`; we set `state`, then pop, and a pop is atomic.
        try:
            self._waiters.pop()()
        except IndexError:
            pass

    def on_settled(self, wake: Callable[[], object]) -> None:
        """Call `wake` once there is an outcome; at once if there is one."""
        self._waiters.append(wake)
        if self.state:
            self._wake()

    def forget(self, wake: Callable[[], object]) -> None:
        """Take back `on_settled`."""
        try:
            self._waiters.remove(wake)
        except ValueError:
            pass


def call_from_outside(
    ref: ActorRef[Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float | None
) -> Any:
    """Call a method of an actor in another process and wait for its answer, from a thread that runs no actor."""
    end = None if timeout_s is None else monotonic() + timeout_s
    runtime, shortcut = ref.runtime, ref.shortcut
    sink, body = OutsideCall(name), (name, args, kwargs, ())
    try:
        if shortcut is None or not shortcut(CALL, body, sink):
            runtime.send(ref, CALL, body, sink, timeout_s)
        if not sink.state and not runtime.wait_in_foreign_thread(sink, timeout_s):
            latch = allocate_lock()
            latch.acquire()
            sink.on_settled(latch.release)
            if not latch.acquire(timeout=-1 if end is None else max(0.0, end - monotonic())) and not sink.state:
                raise CallTimeout(f"{name}() of {ref.path}", timeout_s or 0.0)
    except BaseException as error:
        runtime.take_back(sink, ref.address)
        if not sink.state:
            sink.fail(error)  # an answer that comes after all is counted and dropped (P6)
        raise
    if sink.state == 1:
        return sink.outcome
    raise sink.outcome
