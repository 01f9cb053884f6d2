"""Unanswered: what becomes of a process's questions to another one that died.

Edge (lanes); used by every process when it hears of a death. What the dead process had taken out of our lane and not
answered will not be answered (P6); what still lies there, its successor takes up. We may hear of the death late, when
the successor is at work already: then what is missing from the lane may be in its hands, and only it can say so. It is
asked by the same lane, and since its answers come back in order, whatever it had done by then is answered before.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..actor import VALUE, Kernel, numbers_on_strands
from ..errors import ActorDied, WorkerLost
from ..message import WorkerDied
from .answers import Order

if TYPE_CHECKING:
    from .runtime import ProcessRuntime


def settle_lost(runtime: ProcessRuntime, process: int, reason: WorkerDied, epoch: int | None) -> None:
    """Fail what was asked of the process that died in that epoch of its slot, and what nobody else can have taken up.

    None: it has no successor and will have none, so what still lies in the lane is lost, too.
    """
    runtime.deaths[process] = reason, epoch  # before the look at who was asked: an order on its way out looks here last
    asked = [(corr, sink) for corr, sink in runtime.pending.copy().items() if sink.asked == process]
    if not asked or runtime.outlet is None or runtime.inlet is None:
        return
    queued = runtime.outlet.unanswered(process) if epoch is not None else ()
    # A successor takes its slot before it takes anything out of a lane. So the lane was looked at before this: if there
    # is none now, nobody but the dead process had what was missing.
    succeeded = epoch is not None and runtime.inlet.epoch_of(process) != epoch
    # An answer is published before its question's block is free: so it is in the lane now, or never will be.
    runtime.inlet.drain_from(process)
    missing = [corr for corr, _ in asked if corr not in queued and corr in runtime.pending]
    if not succeeded:
        _fail(runtime, missing, reason)
    elif missing:
        answer = runtime.control(process, "at_work_on", missing)
        answer.on_settled(partial(_told, runtime, missing, reason, answer))


def _told(runtime: ProcessRuntime, missing: list[int], reason: WorkerDied, answer: Any) -> None:
    """The successor said what it is at; or it died as well, and with the news of that all this was gone through."""
    state, outcome = answer.outcome()
    if state == VALUE:
        _fail(runtime, set(missing).difference(outcome), reason)
    elif not isinstance(outcome, WorkerLost):
        _fail(runtime, missing, reason)


def _fail(runtime: ProcessRuntime, numbers: Iterable[int], reason: WorkerDied) -> None:
    for corr in numbers:
        sink = runtime.pending.pop(corr, None)
        if sink is not None:
            lost = WorkerLost(sink.what, str(reason)) if isinstance(sink, Order) else None
            sink.fail(lost or ActorDied(sink.what, str(reason), "unknown"))


def at_work_on(kernel: Kernel, numbers: list[int]) -> list[int]:
    """Say which of another process's questions this one has taken out of its lane, and not yet answered."""
    runtime: Any = kernel.runtime
    under_way = runtime.orders | numbers_on_strands(kernel)
    return [number for number in numbers if number in under_way]
