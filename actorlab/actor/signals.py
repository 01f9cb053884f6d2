"""Signals: links, monitors and exits between actors, of this kernel and of others.

Edge (one kernel's thread); used by actors, endings and the node. Links are symmetric, monitors one-way with one Down
(P7). A target that is gone answers at once with `noproc`. When a whole worker died, nobody is left there to send its
exits and Downs: `home_died` delivers them from what is known here.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from ..message import KILL, KILLED, NOPROC, NORMAL, SHUTDOWN, Down, Exit
from .cancelling import pick_out, take_back_remote
from .cell import DEAD, HELD, Cell
from .endings import ChildExit
from .envelope import INFO
from .future import Future
from .streaming import close_stream

if TYPE_CHECKING:
    from .scheduler import Kernel

ORPHAN_GRACE_S = 1.0


class Signals:
    """Links and monitors of one kernel's actors."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._monitor_ids = count(1)
        self._outside: dict[int, tuple[int, Future[Any]]] = {}
        self.died: dict[int, int] = {}  # home → the last epoch of its process that died
        self.social: set[Cell] = set()  # those with links or monitors of their own: told when a worker dies

    def link(self, cell: Cell, other: int) -> None:
        """Link both ways."""
        extra, runtime = cell.more(), self._kernel.runtime
        if extra.links is None:
            extra.links = {}
        if other not in extra.links and other != cell.address:
            extra.links[other] = self._epoch_of(other)
            self.social.add(cell)
            runtime.signal(other, ("link", other, cell.address, runtime.epoch))

    def _epoch_of(self, other: int) -> int:
        """Return which process of its slot another actor lives in now: with the one before it, it did not die."""
        lanes = self._kernel.lanes
        return 0 if lanes is None or other >> 56 == self._kernel.home else lanes.epoch_of(other >> 56)

    def unlink(self, cell: Cell, other: int) -> None:
        """Take a link back, both ways."""
        extra = cell.extra
        if extra is not None and extra.links and other in extra.links:
            del extra.links[other]
            self._kernel.runtime.signal(other, ("unlink", other, cell.address))

    def monitor(self, cell: Cell, target: int) -> int:
        """Watch `target`; return the monitor's number."""
        extra = cell.more()
        if extra.watching is None:
            extra.watching = {}
        number = self._number(target)
        extra.watching[number] = target
        self.social.add(cell)
        self._kernel.runtime.signal(target, ("monitor", target, cell.address, number))
        return number

    def _number(self, target: int) -> int:
        """Return the number of a new monitor; its upper part is the epoch of the target's process."""
        return self._epoch_of(target) << 56 | self._kernel.home << 48 | next(self._monitor_ids)

    def demonitor(self, cell: Cell, number: int) -> None:
        """Stop watching; a Down that has not been handled yet will not be."""
        extra = cell.extra
        target = extra.watching.pop(number, 0) if extra is not None and extra.watching else 0
        if target:
            self._kernel.runtime.signal(target, ("demonitor", target, number))
            return

        def is_it(envelope: Any) -> bool:
            return envelope[0] == INFO and isinstance(envelope[1], Down) and envelope[1].monitor == number

        if pick_out(cell, is_it) is not None:
            cell.more().unbounded -= 1

    def next_number(self) -> int:
        """Return the number of a monitor that nobody has: for whoever goes on where this kernel ends."""
        return next(self._monitor_ids)

    def number_from(self, number: int) -> None:
        """Number our monitors from here on."""
        self._monitor_ids = count(number)

    def signal(self, signal: tuple[Any, ...]) -> None:
        """Act on a signal that arrived for an actor of this kernel."""
        operation, to = signal[0], signal[1]
        cell = self._kernel.cells.get(to)
        if cell is not None and cell.phase == DEAD:
            cell = None
        tell = self._kernel.runtime.signal
        if operation == "exit":
            if cell is not None:
                self._exit_signal(cell, *signal[2:])
        elif operation == "down":
            self._down(cell, *signal[2:])
        elif operation == "child_exit":
            if cell is not None:
                self._kernel.lifecycle.inform(cell, ChildExit(*signal[2:]))
        elif operation == "orphaned":
            if cell is not None and cell.parent == signal[2]:
                self.orphan(cell, SHUTDOWN)
        elif operation == "inform":
            if cell is not None:
                self._kernel.lifecycle.inform(cell, signal[2])
        elif operation == "monitor":
            if cell is None:
                tell(signal[2], ("down", signal[2], to, signal[3], NOPROC))
            else:
                extra = cell.more()
                if extra.monitors is None:
                    extra.monitors = {}
                extra.monitors[signal[3]] = signal[2]
        elif operation == "demonitor":
            if cell is not None and cell.extra is not None and cell.extra.monitors:
                cell.extra.monitors.pop(signal[2], None)
        elif operation == "link":
            if cell is None:
                tell(signal[2], ("exit", signal[2], to, NOPROC, "link"))
            else:
                extra = cell.more()
                if extra.links is None:
                    extra.links = {}
                extra.links[signal[2]] = signal[3]
                self.social.add(cell)
        elif operation == "stream_close":
            close_stream(self._kernel, to, signal[2])
        elif operation == "cancel":
            take_back_remote(self._kernel, to, signal[2])
        elif operation == "unlink" and cell is not None and cell.extra is not None and cell.extra.links:
            cell.extra.links.pop(signal[2], None)

    def _exit_signal(self, cell: Cell, source: int, reason: Any, mode: str) -> None:
        extra = cell.more()
        if mode == "link":
            if extra.links is None or source not in extra.links:
                return  # unlinked meanwhile
            del extra.links[source]
        if mode == "exit" and reason == KILL:
            self._kernel.endings.kill(cell, KILLED)
        elif extra.trap_exit:
            self._kernel.lifecycle.inform(cell, Exit(self._kernel.runtime.ref(source) if source else None, reason))
        elif reason == NORMAL and (mode == "link" or source != cell.address):
            pass  # OTP's rule: only to oneself is `normal` a reason to end
        else:
            self._kernel.endings.end_soon(cell, reason)

    def _down(self, cell: Cell | None, target: int, number: int, reason: Any) -> None:
        kernel = self._kernel
        if cell is None:
            watcher = self._outside.pop(number, None)
            if watcher is not None:
                watcher[1].reply(Down(kernel.runtime.ref(target), reason, number))
            return
        extra = cell.extra
        if extra is None or not extra.watching or extra.watching.pop(number, 0) != target:
            return  # demonitored, or delivered already when the target's worker died
        self._kernel.lifecycle.inform(cell, Down(kernel.runtime.ref(target), reason, number))

    def unwatch(self, number: int) -> None:
        """Take back `watch_from_outside`."""
        target, _ = self._outside.pop(number, (0, None))
        if target:
            self._kernel.runtime.signal(target, ("demonitor", target, number))

    def watch_from_outside(self, target: int, future: Future[Any]) -> int:
        """Settle `future` with the Down of `target`: what `node.monitor` does. Return the monitor's number."""
        kernel = self._kernel
        number = self._number(target)
        self._outside[number] = (target, future)
        nobody = kernel.home << 56
        kernel.runtime.signal(target, ("monitor", target, nobody, number))
        return number

    def orphans_of(self, home: int, reason: Any, epoch: int) -> None:
        """End the children of supervisors that lived in `home` in that epoch or before: whoever restarts a supervisor
        has it start its children anew."""
        self.died[home] = max(epoch, self.died.get(home, 0))
        table = self._kernel.table
        for cell in tuple(self._kernel.cells.values()):
            if cell.parent and cell.parent >> 56 == home and table.supervisor_epoch(cell.word) <= epoch:
                self.orphan(cell, reason)

    def orphan(self, cell: Cell, reason: Any) -> None:
        """End a child whose supervisor was killed: nobody will decide about it. It has ORPHAN_GRACE_S for its hook."""
        kernel = self._kernel
        if cell.phase == HELD and cell.object is None:
            cell.parent = 0
            kernel.endings.finalize(cell, reason)
        else:
            stop_child, address = kernel.endings.stop_child, cell.address
            cell.parent = 0
            kernel.submit(lambda: stop_child(address, ORPHAN_GRACE_S), Future("the end of an orphan"))

    def home_died(self, home: int, reason: Any, epoch: int) -> None:
        """All actors of `home` died at once: deliver the Downs and exits they can no longer send.

        Of those in that epoch of its process or before: we may hear of it when its successor has actors already.
        """
        self.orphans_of(home, reason, epoch)
        for cell in tuple(self.social):
            extra = cell.extra
            if extra is None or cell.phase == DEAD:
                continue
            for number, target in tuple((extra.watching or {}).items()):
                if target >> 56 == home and number >> 56 <= epoch:
                    self._down(cell, target, number, reason)
            for other, lived in tuple((extra.links or {}).items()):
                if other >> 56 == home and lived <= epoch:
                    self._exit_signal(cell, other, reason, "link")
        for number, (target, _) in tuple(self._outside.items()):
            if target >> 56 == home and number >> 56 <= epoch:
                self._down(None, target, number, reason)
