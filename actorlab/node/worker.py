"""Worker: one worker process of a node, from its assignment to its end.

Edge (a process). Entered by a launched process that has imported everything; runs one kernel in the main thread until
the controller says stop, or dies. A replacement takes over its slot as it finds it: tables, lanes, husks (see
`take_over`), then says READY. Exit is `os._exit`: nothing of the user's runs after the ordered stop.
"""

from __future__ import annotations

import gc
import io
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
from ..errors import SharedMemoryError
from ..message import WorkerDied
from ..registry import Names, SharedReader
from ..transport import Board, Outlet, Spill
from .books import Books
from .carrier import NameCarrier
from .control import operations
from .directory import NodeDirectory
from .inlet import Inlet
from .letters import LetterCarrier
from .logs import forward_logs
from .options import NodeOptions
from .runtime import ProcessRuntime
from .takeover import sweep_large_messages, take_over
from .watchdog import Interrupts, LoopWatch, dump_stacks_to, stacks_path

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
    # A service manager sends it to the whole group: the order in which to stop is the controller's. No SIG_IGN, which
    # programs that an actor starts would inherit.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # what was printed before a SIGKILL is seen
    status = 1
    try:
        status = _serve(who, control)
    except BaseException as error:
        logging.getLogger("actorlab").exception("worker %d fails", who.slot)
        try:
            control.send_bytes(pickle.dumps(("failed", error if isinstance(error, SharedMemoryError) else repr(error))))
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
    runtime.epoch = epoch
    runtime.sending.number_from(epoch)
    runtime.own_table(who.slot, books)
    runtime.operations.update(operations())
    runtime.sending.go_by(Outlet(directory, who.slot, board, who.options.lane_blocks))
    runtime.spill = Spill(directory, who.slot, epoch, who.options.max_message_bytes * 8)
    runtime.names = Names(SharedReader.open(directory / "names"), NameCarrier(runtime))
    inlet = runtime.inlet = Inlet(runtime, directory, who.slot, board)
    kernel = Kernel(runtime, who.slot, inlet)
    inlet.attach(kernel)
    runtime.kernels[who.slot] = kernel
    forward_logs(runtime, who.options.log_level)
    LetterCarrier(runtime, kernel)
    watch = LoopWatch(kernel, board, who.slot, who.options.hold_warning_s)
    signal.signal(signal.SIGUSR1, Interrupts(kernel, watch).on_signal)
    dump_stacks_to(stacks_path(directory, who.slot))
    kernel.post(_begin, kernel, inlet, board, directory, who.predecessor, control)
    threading.Thread(target=_beat, args=(watch, who.options, tree), name="actorlab heart", daemon=True).start()
    kernel.run()
    if runtime.outlet is not None:
        runtime.outlet.flush()
    tree.close()
    return 0


def _begin(
    kernel: Kernel, inlet: Inlet, board: Board, directory: Path, predecessor: WorkerDied | None, control: Any
) -> None:
    """Settle what a predecessor left, then say READY. A takeover that fails must not: the next process tries again."""
    try:
        take_over(kernel, inlet, board, directory, predecessor)
    except BaseException as error:
        log.exception("worker %d cannot take over", kernel.home)
        control.send_bytes(pickle.dumps(("failed", f"it cannot take over: {error!r}")))
        os._exit(1)
    control.send_bytes(pickle.dumps(("ready", os.getpid())))
    runtime = kernel.runtime
    if isinstance(runtime, ProcessRuntime) and runtime.epoch > 1:
        sweep_large_messages(runtime.spill, directory, kernel.home)


def _beat(watch: LoopWatch, options: NodeOptions, tree: NodeDirectory) -> None:
    """Let the heart of a worker beat. Ends with the controller."""
    pause_s = min(options.heartbeat_s, options.hold_warning_s / 2)
    while True:
        watch.beat()
        time.sleep(pause_s)
        if not tree.controller_alive():
            tree.leave()
            os._exit(0)
