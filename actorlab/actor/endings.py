"""Endings: how an actor of a kernel ends, and who hears of it.

Edge (one kernel's thread; hooks run in the actor's own greenlet or thread); used by the kernel and the node. Ending
runs the hooks, then tells links, monitors and the supervisor, once. A supervised actor that ended stays as a husk, its
mailbox kept, until the supervisor starts its next incarnation or says `release`. The rules are OTP's; where Pykka's
differ, `pykka_rule` says so.
"""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent

from ..errors import ActorDied, CallTimeout
from ..lean_dataclass import dataclass
from ..message import KILLED, NOPROC, NORMAL
from . import pykka_actor
from .cell import DEAD, ENDING, HELD, IDLE, NO_MAIL, PARKED, READY, RUNNING, Cell, state_of
from .chain import handler_over
from .envelope import END, INFO, INIT, STOP, WORK, is_unbounded
from .following import end_following
from .future import Future
from .inspection import is_suspended, wake
from .keeping import finish
from .lazy_value import let_go
from .reentry import abandon
from .stash import hand_over
from .waiting import Killed, greenlet_of, throw_out

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
        self.stop_cell(cell, reason, sink)

    def stop_cell(self, cell: Cell, reason: Any, sink: Any = None) -> None:
        """End an actor of ours when the messages before are done."""
        self._kernel.admission.open_mailbox(cell).append((STOP, reason, sink))
        cell.more().unbounded += 1
        self._kernel.ready(cell)

    def is_awaited(self, address: int) -> bool:
        """Whether somebody waits for an actor's end."""
        return address in self._ends

    def end_soon(self, cell: Cell, reason: Any, error: BaseException | None = None) -> None:
        """End an actor before its next message. From its own thread or the kernel's."""
        extra = cell.more()
        if extra.ending or _is_husk(cell):
            return
        extra.ending = True
        extra.reason = reason
        if error is not None and not cell.parent:
            # before its caller is answered: whoever sees the exception finds the actor dead
            self._kernel.table.set_state(cell.word, state_of(ENDING))
        if get_ident() != self._kernel.ident:
            # in the blocking actor's own thread, at work on this very mailbox
            extra.unbounded += 1
            with cell.mail_lock():
                cell.mailbox.appendleft((END, reason, error))
            return
        mailbox = self._kernel.admission.open_mailbox(cell)
        extra.unbounded += 1
        mailbox.appendleft((END, reason, error))
        if is_suspended(cell):
            wake(cell)
            return
        if cell.phase == IDLE or (cell.phase == RUNNING and self._kernel.current is cell):
            if cell.phase == IDLE or error is not None:
                cell.phase = READY
                self._kernel.runq.append(cell)
        elif cell.phase == HELD and cell.object is None and not cell.incarnation and not cell.parent:
            self.finalize(cell, reason)

    def kill(self, cell: Cell, reason: Any = KILLED, *, starting: bool = False) -> None:
        """End an actor now, without hooks. A handler that waits is thrown out, once; one that runs ends for nobody."""
        if cell.phase == DEAD or _is_husk(cell):
            return
        kernel = self._kernel
        extra = cell.more()
        task, waiting, thread = extra.task, greenlet_of(kernel, cell), extra.thread
        handling = not starting and cell.phase in (PARKED, RUNNING) and cell.object is not None
        handling = handling and not is_suspended(cell)
        if thread is not None:
            extra.thread = None
            handling = thread.abandon() and handling
        if handling and extra.ending and not any(envelope[0] == END for envelope in tuple(cell.mailbox)):
            handling = False  # its last hook, no message
        extra.ending = True
        extra.reason = reason
        sink, cell.sink = cell.sink, None
        if not handling:
            kernel.release_hand(cell)
        else:
            kernel.handling.settle_hand(cell, failed=False)
            kernel.runtime.dead_letters.add(cell.name, cell.address, "the message in hand", "crashed_in_flight")
        # Whoever is still in its handler holds the old mailbox: emptied, it gives him nothing more to do.
        mailbox = cell.mailbox
        if mailbox is not NO_MAIL:
            cell.mailbox = mailbox.copy()
            mailbox.clear()
        extra.task = extra.greenlet = None
        extra.waits_for = 0
        handler_over(extra)
        self.bury(cell, reason)
        if sink is not None:
            sink.fail(ActorDied(cell.name, str(reason), "unknown"))
        if task is not None:
            task.cancel()
        if waiting is not None:
            throw_out(kernel, waiting)
        elif kernel.current is cell and get_ident() == kernel.ident:
            kernel.killed.add(getcurrent())  # by itself

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
        # a stop that came by a lane stays there until it is answered, but it is no message that crashed in flight
        hand, cell.hand = cell.hand, 0
        # Killed before this, or at any point until its block is free: the stop waits in its lane for who comes next.
        # crash: end.word
        kernel.words[cell.word] = cell.handled << 24
        # crash: end.state
        kernel.table.set_state(cell.word, state_of(ENDING))
        # crash: end.begun
        if obj is not None:
            if cell.behaviour.pykka_rule:
                pykka_actor.run_last_hook(cell, obj)
            else:
                cell.phase = RUNNING
                try:
                    if error is not None:
                        self._kernel.lifecycle.wait_if_async(obj.on_failure(type(error), error, error.__traceback__))
                    else:
                        self._kernel.lifecycle.wait_if_async(obj.on_stop())
                        finish(cell)
                except Killed:
                    pass  # `kill` has buried it
                except BaseException as hook_error:
                    if cell.object is obj:
                        kernel.runtime.crashed(cell, "on_failure" if error is not None else "on_stop", hook_error)
        self._kernel.do(self._buried, cell, obj, reason, sink, hand)

    def _buried(self, cell: Cell, obj: Any, reason: Any, sink: Any, hand: int) -> None:
        if cell.object is obj:  # else it was killed meanwhile
            self.bury(cell, reason)
        if sink is not None:
            sink.reply(None)
        if hand:
            self._kernel.handling.free(hand)

    def bury(self, cell: Cell, reason: Any) -> None:
        """The incarnation is over: tell links, monitors and the supervisor. In the kernel's thread; once."""
        kernel = self._kernel
        if get_ident() != kernel.ident:
            kernel.post(self.bury, cell, reason)
            return
        if cell.phase == DEAD or _is_husk(cell):
            return
        extra = cell.more()
        signal = kernel.runtime.signal
        if cell.behaviour.supervisor and cell.object is not None:
            for child in cell.object.living():  # none, unless it was killed or fails
                signal(child, ("orphaned", child, cell.address))
        obj, cell.object = cell.object, None
        cell.sink = None
        if obj is not None and cell.behaviour.pykka_rule:
            pykka_actor.unregister(kernel.runtime.ref(cell.address), kernel.home)
        self.part(cell, reason)
        extra.ending = False
        if extra.thread is not None:
            extra.thread.finish()
            extra.thread = None
        if cell.parent:
            self.hold(cell)
            if not cell.behaviour.keep_mail:
                error = ActorDied(cell.name, str(reason), "never")
                kernel.admission.clear(cell, "dropped_on_restart", error)
                kernel.table.set_depth(cell.word, 0)
            if not extra.quiet:
                signal(cell.parent, ("child_exit", cell.parent, cell.address, cell.incarnation, reason))
            extra.quiet = False
        else:
            self.finalize(cell, reason)
        for ended in self._ends.pop(cell.address, ()):
            ended.reply(reason)

    def hold(self, cell: Cell) -> None:
        """Keep the place and the queue; what was the ended incarnation's (its start, Down, Exit, timers) goes."""
        extra = cell.more()
        cell.phase = HELD
        self._kernel.table.set_state(cell.word, state_of(HELD))
        own = (INFO, END, WORK, INIT)
        if not cell.behaviour.supervisor and any(envelope[0] in own for envelope in cell.mailbox):
            kept = [envelope for envelope in cell.mailbox if envelope[0] not in own]
            for envelope in cell.mailbox:
                if envelope[0] == WORK and envelope[3] is not None:
                    envelope[3].fail(ActorDied(cell.name, str(extra.reason), "never"))
            cell.mailbox.clear()
            cell.mailbox.extend(kept)
        extra.unbounded = sum(map(is_unbounded, cell.mailbox))
        extra.trap_exit = extra.ending = False
        aside = 0
        if extra.special is not None:
            hand_over(cell)
            aside = extra.special.kept()
        self._kernel.table.set_depth(cell.word, len(cell.mailbox) - extra.unbounded + aside)

    def part(self, cell: Cell, reason: Any) -> None:
        """Let go of what ties an incarnation to others: its timers, links, monitors, lazy values, streams."""
        extra = cell.more()
        signal = self._kernel.runtime.signal
        let_go(cell.address)
        end_following(cell.address)
        if extra.timers:
            timers, extra.timers = extra.timers, None  # which a blocking actor's thread may still cancel some of
            for timer in timers:
                timer.live = False
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
        extra.continues = None
        if extra.special is not None:
            abandon(cell, extra.special.strands)
            for number in extra.special.watches:
                self._kernel.signals.unwatch(number)
            extra.special.watches.clear()
            extra.special.part()

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
        cell.object = None
        cell.brake = 0
        kernel.runtime.ended(cell)
        kernel.admission.clear(cell, "stopped", ActorDied(cell.name, str(reason), "never"))
        if extra.special is not None and extra.special.keeper is not None:
            extra.special.keeper.drop()
        if extra.thread is not None:
            extra.thread.finish()
            extra.thread = None
        cell.mailbox = NO_MAIL
        kernel.cells.pop(cell.address, None)
        # Killed before its slot is free: whoever takes over finds an actor that ends, and gives its slot up.
        # crash: final.word
        kernel.words[cell.word] = cell.handled << 24  # it ends in the middle of an activation
        # crash: final.close
        kernel.table.close_slot(cell.word)
        # crash: final.closed
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
        cell.more().ending = True
        cell.phase = ENDING


def _is_husk(cell: Cell) -> bool:
    """Whether a supervised actor is between two incarnations: there is nobody who could end."""
    return cell.phase == HELD and cell.parent != 0 and cell.object is None
