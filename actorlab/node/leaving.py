"""Leaving: how a worker process hands its actors over to its successor and ends.

Edge (a kernel job, a file); in the worker, on the controller's order. It comes to rest (see the actor floor's closing),
packs everybody, writes the hand-over and is gone. Whoever cannot be packed and is supervised is shut down in order, its
queue kept, and restarted by its supervisor where it was; if it is not supervised the worker stays, and says who it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..actor import HELD, IDLE, READY, Cell, Closing, Kernel, PackedActor, pack
from ..errors import NotMovable, WorkerStays
from ..ids import CONTROLLER_HOME
from ..message import RECYCLED, WorkerDied
from .handover import Handover, no_collections, write_handover

if TYPE_CHECKING:
    from .runtime import ProcessRuntime

ATTEMPTS = 5
NAMED = 5
"""How many of those who cannot move are named, beside the first."""


def leave(kernel: Kernel, pid: int, timeout_s: float, restart_stuck: bool, stop_s: float) -> None:
    """Hand over and end this process; told as it is, or why not (`stays`), to the controller. In the kernel's thread.

    Not if another process was meant, which died before it did: whoever asked knows that it did not leave.
    `timeout_s`: how long handlers that are under way may take. `restart_stuck`: those that take longer are killed, if
    they are supervised, and restarted. `stop_s`: what those who cannot move have for their `on_stop`.
    """
    if pid != os.getpid():
        return
    runtime: Any = kernel.runtime
    kernel.submit(lambda: _Leave(kernel, runtime, restart_stuck, stop_s).go(timeout_s), _Report(runtime, kernel.home))


class _Report:
    """Tells the controller that the worker stays: if it leaves, its end says so."""

    def __init__(self, runtime: ProcessRuntime, home: int) -> None:
        self._runtime = runtime
        self._home = home
        self.chain = ()

    def reply(self, value: object) -> None:
        """It has left, as a guest: not a word more, for its lanes are its successor's."""

    def fail(self, error: BaseException) -> None:
        if not isinstance(error, NotMovable):
            error = WorkerStays(f"worker {self._home}", f"{type(error).__name__}: {error}")
        self._runtime.tell_kernel(CONTROLLER_HOME, "stays", self._home, *error.args)


class _Leave:
    def __init__(self, kernel: Kernel, runtime: ProcessRuntime, restart_stuck: bool, stop_s: float) -> None:
        self._kernel = kernel
        self._runtime = runtime
        self._restart_stuck = restart_stuck
        self._stop_s = stop_s
        self._restart: dict[int, int] = {}  # who was shut down for it: address → its supervisor

    def go(self, timeout_s: float) -> None:
        closing = Closing(self._kernel)
        try:
            actors = self._pack_all(closing, timeout_s)
            with no_collections():
                self._hand_over(actors)
        except BaseException:
            closing.thaw()
            tell_supervisors(self._runtime, self._kernel.home, self._restart)
            raise
        self._runtime.operations["vanish"](self._kernel)

    def _pack_all(self, closing: Closing, timeout_s: float) -> list[PackedActor]:
        """Return everybody as data; on return the kernel stands still."""
        kernel = self._kernel
        for _ in range(ATTEMPTS):
            try:
                closing.wait_still(timeout_s)
            except NotMovable:
                stuck = [cell for cell in closing.busy if cell.parent]
                if not self._restart_stuck or len(stuck) < len(closing.busy) or not stuck:
                    raise
                self._shut_down(stuck, "brutal_kill")
                continue
            actors: list[PackedActor] = []
            cannot: list[tuple[Cell, NotMovable]] = []
            classes: dict[str, bytes] = {}
            with no_collections():
                for cell in tuple(kernel.cells.values()):
                    try:
                        actors.append(pack(cell, classes, closing.states.get(cell.address)))
                    except NotMovable as refusal:
                        cannot.append((cell, refusal))
            if not cannot:
                if not self._is_all_sent():
                    continue
                return actors
            if stay := [why for cell, why in cannot if not cell.parent or cell.phase == HELD]:
                raise all_of(stay)
            self._shut_down([cell for cell, _ in cannot], self._stop_s)
        raise WorkerStays(f"worker {kernel.home}", "there is always something new that cannot be moved")

    def _is_all_sent(self) -> bool:
        """Whether everything that was to be sent is in its lane; else some of it goes now."""
        outlet = self._runtime.outlet
        letters = self._runtime.letters
        if letters is not None:
            letters.tell_numbers()
        if outlet is not None:
            outlet.flush()
        return outlet is None or not outlet.waiting

    def _shut_down(self, cells: list[Cell], grace: float | str) -> None:
        """End those who cannot move, keeping their places and queues. Parks."""
        orders = []
        for cell in cells:
            self._restart[cell.address] = cell.parent
            if cell.phase == READY:
                cell.phase = IDLE  # it stands still, and is to run its last hook
            orders.append((cell.address, grace))
        stop_child = self._kernel.endings.stop_child
        for address, how in orders:
            stop_child(address, how, "shutdown", True)

    def _hand_over(self, actors: list[PackedActor]) -> None:
        runtime, kernel = self._runtime, self._kernel
        assert runtime.directory is not None and runtime.inlet is not None
        runtime.inlet.ring_wanted()
        handover = Handover(
            runtime.epoch, runtime.sending.number(), kernel.signals.next_number(),
            dict(kernel.signals.died), actors, list(self._restart),
        )  # fmt: skip
        write_handover(runtime.directory, kernel.home, handover)


def all_of(refusals: Sequence[NotMovable]) -> NotMovable:
    """Return several refusals as one: why the first, and who else.

    >>> str(all_of([NotMovable("a", "it holds a lock"), NotMovable("b", "it, too")])).partition(";")[0]
    'a cannot be moved: it holds a lock, and neither can b'
    """
    (what, why), *others = (refusal.args for refusal in refusals)
    if not others:
        return refusals[0]
    more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    return NotMovable(what, f"{why}, and neither can {', '.join(who for who, _ in others[:NAMED])}{more}")


def tell_supervisors(runtime: ProcessRuntime, home: int, restart: dict[int, int]) -> None:
    """Have supervisors restart those who could not be moved: one incident for each, which does not count."""
    if not restart:
        return
    from ..supervision import WorkerIncident  # most processes have no supervisors, and have not imported what makes one

    reason = WorkerDied(home, RECYCLED)
    for parent in sorted(set(restart.values())):
        children = tuple(address for address, its in restart.items() if its == parent)
        runtime.signal(parent, ("inform", parent, WorkerIncident(home, reason, 0, children)))
