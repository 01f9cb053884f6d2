"""Closing: a kernel on its way to stand still, so that its actors can be packed as they are.

Edge (one kernel's thread, in a job of its own); used by a worker that hands over its actors. Actors that have only
messages to handle stand still where they are, their queue with them; what is under way goes on to its end, and with it
those whose answers it waits for. So everything keeps its order, and nobody's handler is cut short. Under load it comes
to rest too: what arrives is queued, not handled.

An actor that stands still is READY and in no run queue: nobody else puts it there. `thaw` does, if all is called off.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..errors import CallTimeout, NotMovable
from . import snapshot
from .cell import ENDING, HELD, IDLE, PARKED, READY, RUNNING, Cell
from .future import Future
from .packing import is_movable, put_back
from .waiting import give_way
from .work import ahead

if TYPE_CHECKING:
    from .scheduler import Kernel

_SHORTEST_S, _LONGEST_S = 0.0005, 0.01
_TURNS = 200


class Closing:
    """One attempt to make a kernel stand still. `states` are what the actors' `snapshot` returned, by address."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.states: dict[int, snapshot.State] = {}
        self.busy: list[Cell] = []  # whose handler, or hook, was under way when it was last looked
        self._taken_at: dict[int, int] = {}  # by address: the messages it had handled when its snapshot was taken

    def wait_still(self, timeout_s: float) -> None:
        """Wait until nothing runs here but this job, and every snapshot is of now. In a kernel job (parks).

        On return nothing has happened since that was so, and nothing will until the caller parks. Raises NotMovable
        naming who is still busy after `timeout_s`; then everybody stands as before: call `thaw`.
        """
        kernel = self._kernel
        end = kernel.timers.now() + timeout_s
        pause_s = _SHORTEST_S
        while True:
            for _ in range(_TURNS):
                self._run_inbox()
                busy = self._freeze()
                if not kernel.runq and not kernel.resumable and not kernel.yielded:
                    break
                give_way(kernel)
            why = busy or self._loose_ends()
            if why is None and not self._take_snapshots(end):
                return
            if kernel.timers.now() > end:
                raise NotMovable(*(why or (f"worker {kernel.home}", "it does not come to rest")))
            if why is not None:
                _pause(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_S)

    def thaw(self) -> None:
        """Let everybody go on."""
        queued = {id(cell) for cell in self._kernel.runq}
        for cell in self._kernel.cells.values():
            if cell.phase == READY and id(cell) not in queued:
                put_back(cell)

    def _run_inbox(self) -> None:
        """Do what others asked of the kernel: else a stream of orders could keep it from ever being found at rest."""
        kernel = self._kernel
        me, kernel.current = kernel.current, None
        try:
            while kernel.inbox:
                function, args = kernel.inbox.popleft()
                function(*args)
        finally:
            kernel.current = me

    def _freeze(self) -> tuple[str, str] | None:
        """Let all who can stand still, and those go on who are waited for; return who is busy, and why."""
        kernel = self._kernel
        runq, cells = kernel.runq, kernel.cells
        jobs = [cell for cell in runq if cells.get(cell.address) is not cell]
        runq.clear()
        busy: tuple[str, str] | None = None
        self.busy = []
        for cell in cells.values():
            phase = cell.phase
            if phase == IDLE or phase == READY:
                why = self._needs_to_run(cell)
                cell.phase = READY
                if why:
                    runq.append(cell)
                    busy = (cell.name, why)
            elif phase in (RUNNING, PARKED, ENDING):
                busy = (cell.name, "its handler does not end" if phase != ENDING else "its last hook does not end")
                self.busy.append(cell)
            elif phase == HELD and (cell.object is not None or not cell.parent):
                busy = (cell.name, "it is being started")
                self.busy.append(cell)
        runq.extend(jobs)
        return busy

    def _needs_to_run(self, cell: Cell) -> str:
        """Return why an actor cannot stand still yet: somebody here waits for it, or it for a step of its own."""
        extra = cell.extra
        for envelope in cell.mailbox:
            if not is_movable(envelope):
                return "somebody in its own worker waits for its answer"
        if extra is None:
            return ""
        if extra.ending or self._kernel.endings.is_awaited(cell.address):
            return "it is being stopped"
        for envelope, waiter in extra.waiting or ():
            if not is_movable(envelope) or (waiter is not None and not waiter.is_claimed):
                return "somebody in its own worker waits at its door"
        special = extra.special
        if special is not None and (why := special.stays()):
            return why
        return "a step of its own is due" if extra.continues else ""

    def _loose_ends(self) -> tuple[str, str] | None:
        """Return what goes on here beside actors' handlers, and would end with this process."""
        kernel = self._kernel
        if kernel.parked:
            return f"worker {kernel.home}", "something it was asked to do is under way"
        if kernel.inbox:
            return f"worker {kernel.home}", "it has orders to carry out"
        mine = kernel.hub.loop
        for task in asyncio.all_tasks(mine):
            if not task.done():
                return f"worker {kernel.home}", f"the background task {task.get_name()} runs"
        return None

    def _take_snapshots(self, end: float) -> bool:
        """Ask those for their state who can say it, in their own place; return whether any had to be asked (parks)."""
        kernel = self._kernel
        asked: list[tuple[Cell, Future[snapshot.State]]] = []
        for cell in tuple(kernel.cells.values()):
            if not cell.behaviour.keeps_state or cell.object is None:
                continue
            if self._taken_at.get(cell.address) == cell.handled and cell.phase == READY:
                continue
            asked.append((cell, _ask(cell)))
        for cell, answer in asked:
            try:
                self.states[cell.address] = answer.get(timeout=max(0.001, end - kernel.timers.now()))
            except CallTimeout:
                raise NotMovable(cell.name, "its snapshot() does not return") from None
            except Exception as error:
                if cell.phase in (RUNNING, PARKED):
                    cell.phase = READY
                raise NotMovable(cell.name, f"its snapshot() raised {type(error).__name__}: {error}") from error
            self._taken_at[cell.address] = cell.handled
            cell.phase = READY
        return bool(asked)


def _ask(cell: Cell) -> Future[Any]:
    """Have an actor that stands still take its snapshot, and stand still again."""
    answer: Future[Any] = Future(f"a snapshot of {cell.name}")
    finish = cell.kernel.lifecycle.wait_if_async

    def step(cell: Cell, _me: Any) -> bool:
        try:
            state = snapshot.take(cell.object, finish)
        except BaseException as error:
            answer.fail(error)
            if not isinstance(error, Exception):
                raise
        else:
            answer.reply(state)
        return False

    ahead(cell, step, "snapshot")
    cell.phase = READY
    cell.kernel.runq.append(cell)
    return answer


def _pause(seconds: float) -> None:
    try:
        Future("a moment").get(timeout=seconds)
    except CallTimeout:
        pass
