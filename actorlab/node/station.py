"""Station: all that a worker's slot has in a process: runtime, lanes, table, kernel, heart; as long as it is there.

Edge (memory, threads). A worker process mans one in its main thread; a process that took a drained worker's actors in
mans another one for them, in a thread of its own: a *guest*. The two share the interpreter and nothing else: they send
to each other by the lanes between their slots, as ever, so every order that held still holds.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..actor import Kernel
from ..errors import SharedMemoryError, WorkerStartError
from ..ids import CONTROLLER_HOME
from ..lean_dataclass import dataclass
from ..message import WorkerDied
from ..registry import MembershipReader, Names, open_reader
from ..transport import Board, Outlet
from .books import Books
from .carrier import NameCarrier
from .control import operations
from .directory import NodeDirectory
from .handover import no_collections, read_handover
from .inlet import Inlet
from .large_messages import open_spill, sweep_large_messages
from .letters import LetterCarrier
from .logs import forward_logs
from .options import NodeOptions
from .preload import flush_streams
from .resuming import resume
from .runtime import ProcessRuntime
from .signs import Signs
from .takeover import take_over
from .watchdog import Interrupts, LoopWatch, dump_stacks_to, stacks_path

log = logging.getLogger("actorlab")

NUMBERS_A_TRY = 1 << 20

Tell = Callable[[str, Any], None]
"""Tell the controller: ("ready", pid), or ("failed", why)."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who a worker is: pickled by the controller, handed over by the launcher."""

    node_id: str
    slot: int
    directory: str
    options: NodeOptions
    path: tuple[str, ...] = ()
    predecessor: WorkerDied | None = None
    resumes: int = 0
    """How often, this time included, it was tried to go on where the predecessor left off; 0: it left nothing."""


class Station:
    """One slot's place in this process. A guest leaves signals, logging and the garbage collector to its host."""

    def __init__(self, who: Assignment, tell: Tell, *, guest: bool = False) -> None:
        directory, slot, options = Path(who.directory), who.slot, who.options
        self._directory = directory
        self._who = who
        self._tell = tell
        self._guest = guest
        self._over = threading.Event()
        self._tree = NodeDirectory.join(directory, slot)
        self._board = board = Board.open(directory / "board")
        with no_collections():
            self._handover = read_handover(directory, slot) if who.resumes else None
        epoch = board.occupy(slot, os.getpid(), goes_on=self._handover is not None, guest=guest)
        self.runtime = runtime = ProcessRuntime(who.node_id, slot, options, directory)
        books = Books.create(directory, options.max_actors, slot)
        runtime.epoch = epoch
        runtime.board = board
        runtime.sending.number_from(epoch)
        runtime.own_table(slot, books)
        signs = runtime.signs = Signs(directory, slot, epoch, books, "never" if guest else options.gc_freeze)
        runtime.operations.update(operations())
        runtime.operations["host"] = host
        runtime.operations["vanish"] = self._vanish
        runtime.sending.go_by(Outlet(directory, slot, board, options.lane_blocks))
        runtime.spill = open_spill(directory, slot, options, board)
        if self._handover is not None:
            # one that was tried before may have asked something already
            runtime.sending.go_on_from(self._handover.question + (who.resumes - 1) * NUMBERS_A_TRY)
        names = directory / "names"
        runtime.names = Names(open_reader(names), NameCarrier(runtime), MembershipReader(names))
        self._inlet = inlet = runtime.inlet = Inlet(runtime, directory, slot, board)
        self.kernel = kernel = Kernel(runtime, slot, inlet)
        inlet.attach(kernel)
        runtime.kernels[slot] = kernel
        if not guest:
            forward_logs(runtime, options.log_level)
        runtime.letters = LetterCarrier(runtime, kernel)
        self._pause_s = min(options.heartbeat_s, options.hold_warning_s / 2)
        self._watch = LoopWatch(kernel, board, slot, options.hold_warning_s, self._pause_s, signs)
        if not guest:
            signal.signal(signal.SIGUSR1, Interrupts(kernel, self._watch).on_signal)
            dump_stacks_to(stacks_path(directory, slot))

    def run(self) -> None:
        """Serve in the calling thread until told to end."""
        self.kernel.post(self._begin)
        heart = threading.Thread(target=self._beat, name="actorlab heart", daemon=True)
        heart.start()
        try:
            self.kernel.run()
        finally:
            self._over.set()
            heart.join()  # else it finds our locks given up, takes the controller for dead, and ends the whole process
        if self.runtime.outlet is not None and self.kernel.inlet is not None:
            self.runtime.outlet.flush()
        self._tree.close()

    def close(self) -> None:
        """A guest goes: let go of its memory and its threads; nothing is stored any more."""
        for cell in tuple(self.kernel.cells.values()):
            if cell.extra is not None and cell.extra.thread is not None:
                cell.extra.thread.finish()
        self.kernel.cells.clear()
        self.runtime.spill.leave()  # its host may look at messages yet
        self.runtime.close()

    def _vanish(self, kernel: Kernel) -> None:
        """All is handed over: end this place here without touching anything of it again."""
        if self._guest:
            kernel.inlet = None  # or its loop's last turns would take messages that are the successor's now
            kernel.stop()
            return
        flush_streams()
        os._exit(0)

    def _begin(self) -> None:
        """Settle what a predecessor left, then say READY. One that fails must not: the next process tries again."""
        kernel, who = self.kernel, self._who
        try:
            if self._handover is not None:
                with no_collections():  # as many objects come at once as would set off several, in vain
                    resume(kernel, self._inlet, self._directory, self._handover)
                self._handover = None
            else:
                take_over(kernel, self._inlet, self._board, self._directory, who.predecessor)
        except BaseException as error:
            log.exception("worker %d cannot take over", who.slot)
            self._tell("failed", f"it cannot take over: {error!r}")
            if self._guest:
                self._vanish(kernel)
                return
            os._exit(1)
        self._tell("ready", os.getpid())
        sweep_large_messages(self.runtime.spill, self._directory, who.slot)

    def _beat(self) -> None:
        """Let the heart beat. Ends with the controller, or with this place."""
        while not self._over.is_set():
            self._watch.beat()
            self._over.wait(self._pause_s)
            if self._over.is_set():
                return
            self.runtime.spill.rest(time.monotonic())
            if not self._tree.controller_alive():
                self._tree.leave()
                os._exit(0)


def host(kernel: Kernel, pid: int, assignment: bytes) -> None:
    """Take a drained worker's slot in, as a guest of this process. In the host kernel's thread; does not wait.

    Not if another process was meant, which died before it did: with its end the slot was given to somebody else.
    """
    if pid != os.getpid():
        return
    who: Assignment = pickle.loads(assignment)
    runtime: Any = kernel.runtime

    def tell(kind: str, value: Any) -> None:
        kernel.post(runtime.tell_kernel, CONTROLLER_HOME, "guest_word", who.slot, kind, value)

    def man() -> None:
        kind, why = "left", ""
        try:
            station = Station(who, tell, guest=True)
            station.run()
            station.close()
        except BaseException as error:
            log.exception("worker %d cannot be taken in", who.slot)
            kind, why = "failed", told(error)
        tell(kind, why)

    threading.Thread(target=man, name=f"actorlab worker {who.slot}", daemon=True).start()


def told(error: BaseException) -> Any:
    """Return how an error that kept a worker from its place is told to the controller."""
    if isinstance(error, WorkerStartError):
        return error.args[1]
    return error if isinstance(error, SharedMemoryError) else repr(error)
