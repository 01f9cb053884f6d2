"""Hosting: workers that are added while the node runs, and workers whose actors another one's process takes in.

Edge (orders); the controller's, in its thread, but for the two methods that block. Draining is a recycling whose
successor is no process of its own but a guest in another's (see station): the same hand-over, the same guarantees. A
guest's death is its host's; both are replaced, each by a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..actor import VALUE, Future
from ..errors import CallTimeout, NotMovable, WorkerStartError, WorkerStays
from ..ids import CONTROLLER_HOME, MAX_WORKERS
from ..transport import bell_path, create_doorbell
from .directory import forget_worker
from .patrol import Slot

if TYPE_CHECKING:
    from .controller import Controller


class Hosting:
    """Whose process hosts which workers."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._joining: Future[int] | None = None

    def drain(self, number: int) -> None:
        """Empty a worker's process and end it: its actors go on as guests of another's. Blocks.

        Raises NotMovable (it stays as it was) or WorkerLost.
        """
        self._controller.recycler.recycle(number, "drained", drain=True)

    def add(self) -> int:
        """Give a drained worker a process of its own again, or make one more worker; return its number. Blocks.

        Raises NotMovable for a drained one that cannot move, WorkerStartError; then there is no more than before.
        """
        controller = self._controller
        for slot in tuple(controller.slots.values()):
            if slot.host:
                controller.recycler.recycle(slot.number, "added again")
                return slot.number
        added: Future[int] = Future("one more worker")
        post = controller.runtime.kernels[CONTROLLER_HOME].post
        post(self._add, added)
        limit_s = controller.options.start_timeout_s + 5.0
        try:
            return added.get(timeout=limit_s)
        except CallTimeout:
            post(self._give_up, added)
            raise WorkerStartError("one more worker", f"not ready within {limit_s:g} s") from None

    def grants(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Return what may be wished for from outside."""
        return {"add": self._grant_add, "drain": self._grant_drain}

    def _grant_add(self) -> dict[str, Any]:
        before = len(self._controller.slots)
        number = self.add()
        return {"worker": number, "pid": self._controller.slots[number].pid, "again": number <= before}

    def _grant_drain(self, worker: int) -> dict[str, Any]:
        self.drain(int(worker))
        slot = self._controller.slots[int(worker)]
        return {"worker": slot.number, "host": slot.host, "pid": slot.pid}

    def _add(self, added: Future[int]) -> None:
        controller = self._controller
        if self._joining is not None:  # one after another: the highest number says how many there are
            self._joining.on_settled(lambda: controller.kernel.post(self._add, added))
            return
        if added.state:  # given up while it waited
            return
        if controller.stopping:
            added.fail(WorkerStartError("one more worker", "the node is stopping"))
            return
        number = len(controller.slots) + 1
        if number > MAX_WORKERS or controller.directory is None:
            added.fail(WorkerStartError(f"worker {number}", f"a node has at most {MAX_WORKERS} workers"))
            return
        self._joining = added
        slot = controller.slots[number] = Slot(number)
        slot.joins = True
        try:
            create_doorbell(bell_path(controller.directory.path, number))
            assert controller.runtime.outlet is not None
            controller.runtime.outlet.open(number)
            controller.launch(slot)
        except Exception as error:
            self.did_not_join(slot, str(error))
        else:
            slot.ready.on_settled(lambda: self._joined(slot))

    def _joined(self, slot: Slot) -> None:
        """One more worker is ready: from here on others know of it. If it failed, its end is awaited."""
        if slot.ready.state != VALUE:
            return
        slot.joins = False
        added, self._joining = self._joining, None
        self._controller.board.workers = slot.number
        if added is not None:
            added.reply(slot.number)

    def did_not_join(self, slot: Slot, how: str) -> None:
        """One more worker has ended before it was ready: nobody knows of it, and it is not tried again."""
        controller = self._controller
        assert controller.directory is not None
        del controller.slots[slot.number]
        forget_worker(controller.directory.path, slot.number)
        bell_path(controller.directory.path, slot.number).unlink(missing_ok=True)
        slot.ready.fail(WorkerStartError(f"worker {slot.number}", f"it did not get ready ({how})"))
        added, self._joining = self._joining, None
        if added is not None:
            added.fail(slot.ready.outcome()[1])

    def _give_up(self, added: Future[int]) -> None:
        if added is not self._joining:
            added.fail(WorkerStartError("one more worker", "nobody waits for it any more"))
            return
        number = len(self._controller.slots)
        self._controller.kill(number, "it did not get ready in time")

    def host_for(self, number: int) -> int:
        """Return the worker whose process is to take `number` in: the one with the fewest guests; 0: there is none."""
        guests = {slot.number: 0 for slot in self._controller.slots.values() if self._can_host(slot, number)}
        for slot in self._controller.slots.values():
            if slot.host in guests:
                guests[slot.host] += 1
        return min(guests, key=lambda host: (guests[host], host), default=0)

    def _can_host(self, slot: Slot, guest: int) -> bool:
        there = slot.process is not None and bool(slot.ready.state) and not slot.host
        return there and slot.number != guest and not self._controller.recycler.is_under_way(slot.number)

    def take_in(self, slot: Slot, assignment: bytes) -> bool:
        """Have the process that a drained worker goes to take it in; False: it is not there any more."""
        host = self._controller.slots.get(slot.goes_to)
        slot.goes_to = 0
        if host is None or host.process is None or not host.ready.state:
            return False
        slot.process, slot.host = host.process, host.number
        self._controller.runtime.tell_kernel(host.number, "host", slot.pid, assignment)
        return True

    def guest_word(self, number: int, kind: str, value: Any) -> None:
        """A guest says, through its host, that it is ready, that it failed, or that it has left."""
        slot = self._controller.slots.get(number)
        if slot is None or not slot.host:
            return  # its host has died meanwhile, and that is what counts
        if kind == "ready":
            self._controller.ready(slot, value)
            return
        self._controller.patrol.vacate(slot)
        if self._controller.recycler.has_left(slot):
            self._controller.relaunch(slot)
        elif not self._controller.stopping:
            self._controller.ended(slot, 0, str(value or "its guest thread ended"))


def refuse_hosts(slots: dict[int, Slot], number: int) -> NotMovable | None:
    """Return why a worker may not be recycled just now: its process hosts others, who would die with it, or will."""
    guests = [slot.number for slot in slots.values() if slot.host == number]
    coming = [slot.number for slot in slots.values() if slot.goes_to == number]
    if guests:
        hosted = ", ".join(map(str, guests))
        why = f"its process hosts the actors of worker {hosted}: give them one of their own first (add_worker())"
    elif coming:
        why = f"its process is to host those of worker {', '.join(map(str, coming))}, which is being drained; ask again"
    else:
        return None
    return WorkerStays(f"worker {number}", why)
