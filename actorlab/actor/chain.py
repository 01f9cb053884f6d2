"""Chain: who waits for whom, through calls; and the refusal of what would wait for itself.

Edge (reads the cells of one kernel); used by everything that waits for an answer. A call carries the chain of those
that wait for it, so a callee knows whom it must not call. What a chain cannot know, that the callee began to wait for
the caller by itself, each cell of the kernel says in `waits_for` (a call) and `waits` (futures).
"""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any

from ..errors import DeadlockDetected
from .cell import Cell, Extra
from .envelope import Chain

if TYPE_CHECKING:
    from .future import Future


class LocalCall:
    """A handler that waits, in its greenlet, for an actor of the same kernel: the sink of its call."""

    __slots__ = (
        "asked", "caller", "corr", "direct", "greenlet", "outcome", "parked", "state", "timeout_s", "until",
        "waiting_in", "what", "wheel",
    )  # fmt: skip

    def __init__(self, greenlet_: Any, caller: Cell, timeout_s: float | None, what: str) -> None:
        self.what = what
        self.greenlet = greenlet_
        self.caller = caller
        self.timeout_s = timeout_s
        self.state = 0  # 0 pending, 1 value, 2 exception
        self.asked = -1  # the process its question went to, if it went out
        self.outcome: Any = None
        self.direct = False  # the callee runs on the thread the caller lent it, and hands it straight back
        self.parked = False  # its greenlet waits for this, and nobody has resumed it yet
        self.wheel: Any = None
        self.corr = 0  # its number among the questions to other processes
        self.waiting_in: Cell | None = None  # the full mailbox at whose door the call waits
        self.until: float | None = None  # its own deadline (inf: none), where the door's is shorter

    @property
    def chain(self) -> Chain:
        return chain_of(self.caller)

    def reply(self, value: Any) -> None:
        # `_settle`, written out for the case that must be fast: the answer of another process, in the kernel's thread
        if self.state or self.direct or get_ident() != self.caller.ident:
            self._settle(1, value)
            return
        self.state = 1
        self.outcome = value
        if self.wheel is not None:
            self.wheel.pop(self, None)
        if self.parked:
            self.parked = False
            self.caller.kernel.resumable.append(self.greenlet)

    def fail(self, error: BaseException) -> None:
        self._settle(2, error)

    def _settle(self, state: int, outcome: Any) -> None:
        if self.state:
            self._late()
            return
        self.state = state
        self.outcome = outcome
        if self.wheel is not None:
            self.wheel.pop(self, None)
        if not self.direct:
            kernel = self.caller.kernel
            if get_ident() == kernel.ident:
                self._resume()
            else:
                kernel.post(self._resume)  # answered by a blocking actor's thread

    def _resume(self) -> None:
        # The answer may have come before its greenlet waits: then it goes on by itself, and must not be switched to.
        if self.parked:
            self.parked = False
            self.caller.kernel.resumable.append(self.greenlet)

    def expire(self) -> None:
        """The deadline passed: the caller goes on with CallTimeout, unless a thread answers this very moment."""
        if not self.state:
            self.caller.kernel.admission.give_up(self)

    def abandon(self) -> None:
        """The caller was thrown out while it waited: whatever comes now is late."""
        if not self.state:
            self.state = 2
            if self.wheel is not None:
                self.wheel.pop(self, None)

    def _late(self) -> None:
        from .future import Future

        Future.late += 1


def chain_of(cell: Cell | None) -> Chain:
    """Return the addresses that wait, through calls, for what `cell` does now, itself last."""
    if cell is not None and cell.sink.__class__ is not LocalCall:
        return (cell.address,) if cell.sink is None else (*cell.sink.chain, cell.address)
    chain: list[int] = []
    while cell is not None:
        chain.append(cell.address)
        sink = cell.sink
        if sink is None:
            break
        if sink.__class__ is LocalCall:
            if sink.state:
                break  # its caller has given up
            cell = sink.caller
        else:
            chain.extend(reversed(sink.chain))
            break
    return tuple(reversed(chain))


def deadlock(caller: Cell, callee: str) -> DeadlockDetected:
    """The error of a call to `callee` that would close a cycle."""
    names = tuple(map(caller.kernel.name_of, chain_of(caller)))
    return DeadlockDetected(caller.name, callee, names)


def refuse_cycle(caller: Cell, to: int) -> None:
    """Raise DeadlockDetected if `to` waits, through others of this kernel, for `caller` or for who waits for it.

    The chain that travels with a call cannot know that the callee began to wait for the caller by itself.
    """
    kernel = caller.kernel
    chain = chain_of(caller)
    met = [to]
    for one in met:
        if one in chain:
            raise deadlock(caller, kernel.name_of(to))
        cell = kernel.cells.get(one)
        extra = cell.extra if cell is not None else None
        if extra is None:
            continue
        if extra.waits_for and extra.waits_for not in met:
            met.append(extra.waits_for)
        if extra.waits:
            met.extend({future.to for future in tuple(extra.waits) if not future.state}.difference(met))


def begin_wait(cell: Cell, future: Future[Any]) -> list[Future[Any]]:
    """A handler of `cell` waits for the answer of `future.to`: say so to whoever asks; refuse what cannot come.

    A handler's tasks may wait for several answers at once. Return where this one is noted, for `end_wait`.
    """
    refuse_cycle(cell, future.to)
    future.chain = chain_of(cell)
    extra = cell.more()
    waits = extra.waits
    if waits is None:
        waits = extra.waits = []
    waits.append(future)
    return waits


def end_wait(waits: list[Future[Any]], future: Future[Any]) -> None:
    """Who waited for `future` goes on."""
    waits.remove(future)
    if future not in waits:
        future.chain = ()


def handler_over(extra: Extra) -> None:
    """A handler has ended: whatever its tasks still wait for, the actor does not."""
    waits, extra.waits = extra.waits, None
    for future in waits or ():
        future.chain = ()
