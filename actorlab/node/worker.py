"""Worker: one worker process of a node, from its assignment to its end.

Edge (a process). Entered by a launched process that has imported everything; runs one kernel in the main thread until
the controller says stop, or dies. A replacement takes over its slot as it finds it: tables, lanes, husks (see
`take_over`), then says READY. Exit is `os._exit`: nothing of the user's runs after the ordered stop.
"""

from __future__ import annotations

import gc
import logging
import os
import pickle
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..actor import Kernel
from ..message import WorkerDied
from ..registry import Names, SharedReader
from ..transport import BEAT, BEAT2, ROW_U64, Board, Outlet, Spill
from .books import Books
from .carrier import NameCarrier
from .control import operations
from .directory import NodeDirectory
from .inlet import Inlet
from .logs import forward_logs
from .options import NodeOptions
from .runtime import ProcessRuntime
from .takeover import take_over
from .watchdog import Interrupts

log = logging.getLogger("actorlab")


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who a worker is: pickled by the controller, handed over by the launcher."""

    node_id: str
    slot: int
    directory: str
    options: NodeOptions
    path: tuple[str, ...] = ()
    predecessor: WorkerDied | None = None


def main(assignment: bytes, control: Any) -> None:
    """Be a worker until told otherwise. Called by the launcher in the new process."""
    who: Assignment = pickle.loads(assignment)
    for entry in who.path:
        if entry not in sys.path:
            sys.path.append(entry)
    gc.set_threshold(*who.options.gc_thresholds)
    status = 1
    try:
        status = _serve(who, control)
    except BaseException:
        logging.getLogger("actorlab").exception("worker %d fails", who.slot)
        try:
            control.send_bytes(pickle.dumps(("failed", repr(sys.exc_info()[1]))))
        except OSError:
            pass
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                pass
        os._exit(status)


def _serve(who: Assignment, control: Any) -> int:
    directory = Path(who.directory)
    tree = NodeDirectory.join(directory, who.slot)
    board = Board.open(directory / "board")
    epoch = board.occupy(who.slot, os.getpid())
    runtime = ProcessRuntime(who.node_id, who.slot, who.options, directory)
    books = Books.create(directory, who.options.max_actors, who.slot)
    runtime.sending.number_from(epoch)
    runtime.own_table(who.slot, books)
    runtime.operations.update(operations())
    runtime.outlet = Outlet(directory, who.slot, board, who.options.lane_blocks)
    runtime.spill = Spill(directory, who.slot, epoch, who.options.max_message_bytes * 8)
    runtime.names = Names(SharedReader.open(directory / "names"), NameCarrier(runtime))
    inlet = runtime.inlet = Inlet(runtime, directory, who.slot, board)
    kernel = Kernel(runtime, who.slot, inlet)
    inlet.attach(kernel.hub)
    runtime.kernels[who.slot] = kernel
    forward_logs(runtime, who.options.log_level)
    interrupts = Interrupts(kernel)
    signal.signal(signal.SIGUSR1, interrupts.on_signal)
    kernel.post(take_over, kernel, inlet, directory, who.predecessor)
    kernel.post(lambda: control.send_bytes(pickle.dumps(("ready", os.getpid()))))
    threading.Thread(target=_beat, args=(kernel, board, who, tree), name="actorlab heart", daemon=True).start()
    kernel.run()
    runtime.outlet.flush()
    tree.close()
    return 0


def _beat(kernel: Kernel, board: Board, who: Assignment, tree: NodeDirectory) -> None:
    """Count turns of this thread, and of the loop by a post; standing still means hung. Ends with the controller."""
    beats = board.u64
    row = who.slot * ROW_U64

    def loop_beat() -> None:
        beats[row + BEAT] += 1

    while True:
        beats[row + BEAT2] += 1
        kernel.post(loop_beat)
        time.sleep(who.options.heartbeat_s)
        if not tree.controller_alive():
            tree.leave()
            os._exit(0)
