"""Endings: how an actor of a kernel ends, and who hears of it.

Edge (one kernel's thread; hooks run in the actor's own greenlet or thread); used by the kernel and the node. Ending
runs the hooks, then tells links, monitors and the supervisor, once. A supervised actor that ended stays as a husk, its
mailbox kept, until the supervisor starts its next incarnation or says `release`. The rules are OTP's; where Pykka's
differ, `pykka_rule` says so.
"""

from __future__ import annotations

from _thread import get_ident
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ActorDied, CallTimeout
from ..message import KILLED, NOPROC, NORMAL
from . import pykka_actor
from .cell import DEAD, ENDING, HELD, IDLE, NO_MAIL, READY, RUNNING, Cell, state_of
from .envelope import END, STOP
from .future import Future
from .waiting import Killed, throw

if TYPE_CHECKING:
    from .scheduler import Kernel


@dataclass(frozen=True, slots=True)
class ChildExit:
    """What a supervisor is sent when one of its children ended."""

    address: int
    incarnation: int
    reason: Any


class Endings:
    """Ends the actors of one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._ends: dict[int, list[Future[Any]]] = {}

    def stop(self, address: int, reason: Any, sink: Any) -> None:
        """End an actor when the messages before are done."""
        cell = self._kernel.cells.get(address)
        if cell is None or cell.phase == DEAD:
            if sink is not None:
                sink.fail(ActorDied(self._kernel.name_of(address), NOPROC, "never"))
            return
        self._kernel.admission.open_mailbox(cell).append((STOP, reason, sink))
        self._kernel.ready(cell)

    def end_soon(self, cell: Cell, reason: Any, error: BaseException | None = None) -> None:
        """End an actor before its next message. From its own thread or the kernel's."""
        extra = cell.more()
        if extra.ending:
            return
        extra.ending = True
        extra.reason = reason
        if get_ident() != self._kernel.ident:
            cell.mailbox.appendleft((END, reason, error))
            return
        self._kernel.admission.open_mailbox(cell).appendleft((END, reason, error))
        if cell.phase == IDLE or (cell.phase == RUNNING and self._kernel.current is cell):
            if cell.phase == IDLE or error is not None:
                cell.phase = READY
                self._kernel.runq.append(cell)
        elif cell.phase == HELD and cell.object is None and not cell.incarnation and not cell.parent:
            self.finalize(cell, reason)

    def kill(self, cell: Cell, reason: Any = KILLED) -> None:
        """End an actor now, without hooks: a parked handler is thrown out of its greenlet, once."""
        extra = cell.more()
        extra.ending = True
        extra.reason = reason
        if cell.phase == DEAD:
            return
        task, parked, thread = extra.task, extra.greenlet, extra.thread
        sink, cell.sink = cell.sink, None
        if sink is not None:
            sink.fail(ActorDied(cell.name, str(reason), "unknown"))
        self.bury(cell, reason)
        if task is not None:
            task.cancel()
        if parked is not None and cell.phase != RUNNING:
            throw(self._kernel, parked, Killed())
        if thread is not None:
            thread.abandon()

    def end(self, cell: Cell, envelope: Any) -> None:
        """Run the hooks of an actor that ends, in its own greenlet or thread, then bury it."""
        kernel = self._kernel
        kind, reason = envelope[0], envelope[1]
        extra = cell.more()
        extra.ending = True
        extra.reason = reason
        error = envelope[2] if kind == END else None
        sink = envelope[2] if kind == STOP else None
        obj = cell.object
        kernel.table.set_state(cell.word, state_of(ENDING))
        if obj is not None:
            if cell.behaviour.pykka_rule:
                pykka_actor.run_last_hook(cell, obj, error)
            else:
                cell.phase = RUNNING
                try:
                    if error is not None:
                        self._kernel.lifecycle.wait_if_async(obj.on_failure(type(error), error, error.__traceback__))
                    else:
                        self._kernel.lifecycle.wait_if_async(obj.on_stop())
                except BaseException as hook_error:
                    if cell.phase != DEAD:
                        kernel.runtime.crashed(cell, "on_failure" if error is not None else "on_stop", hook_error)
        self._kernel.do(self._buried, cell, reason, sink)

    def _buried(self, cell: Cell, reason: Any, sink: Any) -> None:
        self.bury(cell, reason)
        if sink is not None:
            sink.reply(None)

    def bury(self, cell: Cell, reason: Any) -> None:
        """The incarnation is over: tell links, monitors and the supervisor. In the kernel's thread; once."""
        kernel = self._kernel
        if cell.phase == DEAD or (cell.phase == HELD and cell.object is None and cell.extra is None):
            return
        if get_ident() != kernel.ident:
            kernel.post(self.bury, cell, reason)
            return
        extra = cell.more()
        signal = kernel.runtime.signal
        cell.object = None
        cell.sink = None
        if extra.timers:
            for timer in extra.timers:
                timer.live = False
            extra.timers = None
        if extra.links:
            links, extra.links = extra.links, None
            for other in links:
                signal(other, ("exit", other, cell.address, reason, "link"))
        if extra.watching:
            watching, extra.watching = extra.watching, None
            for monitor, target in watching.items():
                signal(target, ("demonitor", target, monitor))
        if extra.monitors:
            monitors, extra.monitors = extra.monitors, None
            for monitor, watcher in monitors.items():
                signal(watcher, ("down", watcher, cell.address, monitor, reason))
        self._kernel.signals.social.discard(cell)
        extra.ending = False
        if extra.thread is not None:
            extra.thread.finish()
            extra.thread = None
        if cell.parent:
            cell.phase = HELD
            kernel.table.set_state(cell.word, state_of(HELD))
            kernel.table.set_depth(cell.word, len(cell.mailbox))
            if not cell.behaviour.keep_mail:
                error = ActorDied(cell.name, str(reason), "never")
                kernel.admission.clear(cell, "dropped_on_restart", error)
            if not extra.quiet:
                signal(cell.parent, ("child_exit", cell.parent, cell.address, cell.incarnation, reason))
            extra.quiet = False
        else:
            self.finalize(cell, reason)
        for ended in self._ends.pop(cell.address, ()):
            ended.reply(reason)

    def release(self, address: int, reason: Any = NORMAL) -> None:
        """The supervisor will not restart it: the husk goes, its queue becomes dead letters."""
        cell = self._kernel.cells.get(address)
        if cell is not None and cell.phase == HELD:
            self.finalize(cell, reason)

    def finalize(self, cell: Cell, reason: Any) -> None:
        kernel = self._kernel
        if cell.phase == DEAD:
            return
        extra = cell.more()
        extra.reason = reason
        cell.phase = DEAD
        cell.brake = 0
        kernel.runtime.ended(cell)
        kernel.admission.clear(cell, "stopped", ActorDied(cell.name, str(reason), "never"))
        if extra.thread is not None:
            extra.thread.finish()
            extra.thread = None
        cell.mailbox = NO_MAIL
        kernel.cells.pop(cell.address, None)
        kernel.table.close_slot(cell.word)
        if extra.stopped is not None:
            extra.stopped.set()

    def stop_child(self, address: int, shutdown: float | str, reason: Any = "shutdown", keep: bool = False) -> Any:
        """Stop one actor down the ladder and wait for it; return its exit reason. In a kernel job (parks).

        `shutdown` is seconds, "infinity" or "brutal_kill". A parked handler is thrown out when the time is up.
        With `keep`, its place and mailbox wait for a restart.
        """
        kernel = self._kernel
        cell = kernel.cells.get(address)
        if cell is None or cell.phase in (DEAD, HELD):
            if cell is not None and not keep:
                self.release(address, reason)
            return NOPROC
        cell.more().quiet = True
        if not keep:
            cell.parent = 0
        ended: Future[Any] = Future(f"the end of {cell.name}")
        self._ends.setdefault(address, []).append(ended)
        if shutdown == "brutal_kill":
            self.kill(cell, KILLED)
        else:
            if cell.behaviour.supervisor:
                self._kernel.lifecycle.inform(cell, ("shutdown", reason))
            else:
                self.end_soon(cell, reason)
            try:
                ended.get(timeout=None if shutdown == "infinity" else float(shutdown))
            except CallTimeout:
                self.kill(cell, KILLED)
        return ended.outcome()[1] if ended.state else KILLED

    def mark_ending(self, cell: Cell) -> None:
        """From here on the actor counts as dead to everybody else."""
        cell.phase = ENDING
