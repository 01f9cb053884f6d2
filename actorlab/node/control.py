"""Control: what a kernel does when its node asks: start, stop, restart and release actors, and account for itself.

Edge (it acts on a kernel, in jobs that may park); the operations that CONTROL messages name, in every process of a
node. The controller adds its own (controller.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ..actor import (
    DEAD,
    HELD,
    IDLE,
    Cell,
    Future,
    Kernel,
    LazyRow,
    StartRequest,
    begin_following,
    inspect,
    is_suspended,
    lazy_rows,
    owes_news,
)
from ..errors import StartError
from ..ids import process_of
from ..lean_dataclass import dataclass
from ..message import Ignore, WorkerDied
from ..transport import ROW_BYTES, SHEDDING, encode_exception
from .inlet import OPEN_AGAIN_S
from .leaving import leave
from .runtime import ProcessRuntime
from .unanswered import at_work_on, settle_lost

StopOrder = tuple[int, float | str, bool, Any]
"""One actor to stop: address, shutdown (seconds, "infinity", "brutal_kill"), keep its place for a restart, reason."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """Whether a kernel has nothing to do, and the count that must not move between two looks."""

    idle: bool
    handled: int


def operations() -> dict[str, Callable[..., Any]]:
    """Return every kernel's operations by name."""
    return {
        "start": start,
        "start_alike": start_alike,
        "start_batch": start_batch,
        "stop": stop,
        "release": release,
        "home_died": home_died,
        "orphans": orphans,
        "abandoned": abandoned,
        "incident": incident,
        "shutdown_all": shutdown_all,
        "named": named,
        "lazies": lazies,
        "follow": begin_following,
        "held": held,
        "at_work_on": at_work_on,
        "quiet": quiet,
        "inspect": inspect,
        "shed": shed,
        "hand_over": leave,
        "ping": ping,
        "exit": exit_process,
    }


def start(kernel: Kernel, request: StartRequest) -> int:
    """Start one actor; return its address, 0 if it raised Ignore."""
    return kernel.lifecycle.start(request)


def start_alike(kernel: Kernel, request: StartRequest, number: int) -> list[int]:
    """Start `number` actors from one request; if one fails, stop the ones before and raise."""
    started: list[int] = []
    try:
        for _ in range(number):
            address = kernel.lifecycle.start(request)
            if address:
                started.append(address)
    except BaseException:
        for address in reversed(started):
            kernel.endings.stop_child(address, "brutal_kill")
        raise
    return started


def start_batch(kernel: Kernel, rows: list[tuple[Any, ...]], in_order: bool) -> tuple[int, list[Any]]:
    """Start actors one after another, each from a StartRequest's row.

    Return our epoch, and for each actor its address, 0 (Ignore) or the exception, encoded: with its traceback here.
    `in_order`: after a failure the rest is not begun, and the answer ends with that failure.
    """
    answers: list[Any] = []
    lifecycle = kernel.lifecycle
    requests = [StartRequest(*row) for row in rows]
    try:
        reserved = lifecycle.reserve(requests) if len(requests) > 1 else {}
    except Exception:
        reserved = {}  # each for itself, then: who has no place, or no name, will say so
    for position, request in enumerate(requests):
        place = reserved.pop(position, None)
        try:
            if place is None:
                answers.append(lifecycle.start(request))
            else:
                answers.append(lifecycle.begin(request, place[0], named=place[1]))
        except Ignore:
            answers.append(0)
        except Exception as error:
            failure = error if isinstance(error, StartError) else StartError(request.actor.__name__, str(error))
            if failure is not error:
                failure.__cause__ = error
            answers.append(encode_exception(failure, handled=False))
            if in_order:
                break
    for cell, _ in reserved.values():
        lifecycle.give_back(cell)
    runtime = kernel.runtime
    return runtime.epoch if isinstance(runtime, ProcessRuntime) else 0, answers


def stop(kernel: Kernel, orders: list[StopOrder], parallel: bool) -> list[Any]:
    """Stop actors, one after another or all at once; return their exit reasons."""
    stop_child = kernel.endings.stop_child
    if not parallel:
        return [stop_child(address, shutdown, reason, keep) for address, shutdown, keep, reason in orders]
    waits: list[Future[Any]] = []
    for order in orders:
        done: Future[Any] = Future("a stop")

        def stop_one(order: StopOrder = order) -> Any:
            address, shutdown, keep, reason = order
            return stop_child(address, shutdown, reason, keep)

        kernel.submit(stop_one, done)
        waits.append(done)
    return [done.get() for done in waits]


def release(kernel: Kernel, addresses: list[int]) -> None:
    """No restart will come for these husks."""
    for address in addresses:
        kernel.endings.release(address)


def named(kernel: Kernel, address: int, name: str) -> bool:
    """Note that a name stands for an actor of this kernel, so that it is freed with it; False: it has ended."""
    cell = kernel.cells.get(address)
    if cell is None or cell.phase == DEAD:
        return False
    kernel.table.set_named(cell.word)
    if cell.extra is None or cell.extra.name is None:
        cell.more().name = name
    return True


def lazies(kernel: Kernel) -> list[LazyRow]:
    """Say what lazy values this kernel's process has, and who holds them."""
    return lazy_rows()
def held(kernel: Kernel, addresses: list[int]) -> list[int]:
    """Note that actors of this kernel are members of something, so that it is freed with them; return who has ended."""
    gone = []
    for address in addresses:
        cell = kernel.cells.get(address)
        if cell is None or cell.phase == DEAD:
            gone.append(address)
        else:
            kernel.table.set_named(cell.word)
    return gone


def home_died(kernel: Kernel, home: int, reason: WorkerDied, epoch: int) -> None:
    """A worker died: take what it still sent, settle what it was asked, then deliver what its actors no longer can.

    For all kernels of this process. Each is told behind what the dead worker's messages were handed to it by (P7).
    """
    runtime = kernel.runtime
    assert isinstance(runtime, ProcessRuntime)
    if runtime.inlet is not None:
        if not runtime.inlet.drain_from(process_of(home)):
            kernel.hub.loop.call_later(OPEN_AGAIN_S, home_died, kernel, home, reason, epoch)
            return
        settle_lost(runtime, process_of(home), reason, epoch)
    for each in tuple(runtime.kernels.values()):
        each.post(each.signals.home_died, home, reason, epoch)


def orphans(kernel: Kernel, home: int, reason: WorkerDied, epoch: int) -> None:
    """Said to a new worker, whose predecessor may have died before it could act on an earlier death."""
    kernel.signals.orphans_of(home, reason, epoch)


def abandoned(kernel: Kernel, home: int, reason: WorkerDied) -> None:
    """A dead worker will not be replaced: whatever it was asked fails, and whatever it will be asked."""
    runtime = kernel.runtime
    assert isinstance(runtime, ProcessRuntime)
    runtime.abandoned[process_of(home)] = reason
    settle_lost(runtime, process_of(home), reason, None)


def incident(kernel: Kernel, home: int, reason: WorkerDied, epoch: int) -> None:
    """The dead worker's place is taken again: tell all supervisors of this process what they lost, as one incident."""
    runtime = kernel.runtime
    assert isinstance(runtime, ProcessRuntime)
    for each in tuple(runtime.kernels.values()):
        each.post(_inform_supervisors, each, home, reason, epoch)


def _inform_supervisors(kernel: Kernel, home: int, reason: WorkerDied, epoch: int) -> None:
    supervisors = [cell for cell in tuple(kernel.cells.values()) if cell.behaviour.supervisor]
    if supervisors:
        from ..supervision import WorkerIncident  # where there is none of them, nobody has imported it

        for cell in supervisors:
            kernel.lifecycle.inform(cell, WorkerIncident(home, reason, epoch))


def shutdown_all(kernel: Kernel, grace_s: float) -> int:
    """Stop every actor that is left here, all at once; return how many there were."""
    cells = [cell for cell in tuple(kernel.cells.values()) if cell.phase != HELD]
    stop(kernel, [(cell.address, grace_s, False, "shutdown") for cell in cells], True)
    return len(cells)


def quiet(kernel: Kernel) -> Quiet:
    """Say whether anything is running, queued, parked or in a lane here."""
    lanes = kernel.lanes
    busy = (
        kernel.runq
        or kernel.resumable
        or kernel.yielded
        or kernel.inbox
        or any(map(_is_busy, tuple(kernel.cells.values())))
        or owes_news(kernel)
        or (lanes is not None and (lanes.unfinished or lanes.has_news()))  # who asks may have overtaken others
    )
    outlet = kernel.runtime.outlet if isinstance(kernel.runtime, ProcessRuntime) else None
    waiting = outlet.waiting if outlet is not None else 0
    handled = sum(cell.handled for cell in tuple(kernel.cells.values()))
    return Quiet(not busy and not waiting, handled)


def _is_busy(cell: Cell) -> bool:
    """Whether an actor has something to do, and is not held up."""
    return bool(cell.phase not in (IDLE, HELD) or cell.mailbox) and not is_suspended(cell)


def shed(kernel: Kernel, soft_bytes: int) -> None:
    """Refuse messages from other processes and new actors until told 0: this worker is above its soft limit."""
    kernel.admission.shed(soft_bytes)
    runtime = kernel.runtime
    if isinstance(runtime, ProcessRuntime) and runtime.board is not None:
        # no crash point: it says where new actors should not go; the slot's next process says that they may
        runtime.board.u8[runtime.process * ROW_BYTES + SHEDDING] = bool(soft_bytes)


def ping(kernel: Kernel) -> int:
    """Answer with the process id."""
    return os.getpid()


def exit_process(kernel: Kernel) -> None:
    """End this kernel's loop, and with it the worker."""
    kernel.stop()
