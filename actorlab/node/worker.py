"""Worker: one worker process of a node, from its assignment to its end.

Edge (a process). Entered by a launched process that has imported everything; mans its slot's station in the main thread
until the controller says stop, or it dies. A replacement takes over its slot as it finds it (see `take_over`, and
`resume` where its predecessor handed over), then says READY. Exit is `os._exit`: nothing of the user's runs after the
ordered stop.
"""

from __future__ import annotations

import gc
import io
import logging
import os
import pickle
import signal
import sys
from functools import partial
from typing import Any

from ..memory import has
from .preload import flush_streams
from .station import Assignment, Station, told
from .surroundings import settle_in

OOM_SCORE_ADJ = 200
"""Thousandths of the machine's memory that a worker is counted above its own when the kernel looks whom to kill."""


def main(assignment: bytes, control: Any) -> None:
    """Be a worker until told otherwise. Called by the launcher in the new process."""
    who: Assignment = pickle.loads(assignment)
    for entry in who.path:
        if entry not in sys.path:
            sys.path.append(entry)
    gc.set_threshold(*who.options.gc_thresholds)
    if who.options.gc_freeze == "never":
        gc.unfreeze()
    # A service manager sends it to the whole group: the order in which to stop is the controller's. No SIG_IGN, which
    # programs that an actor starts would inherit.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    _offer_to_oom_killer()
    status = 1
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # what was printed before a SIGKILL is seen
    try:
        settle_in(who.options.worker, who.slot)
        Station(who, partial(_tell, control)).run()
        status = 0
    except BaseException as error:
        logging.getLogger("actorlab").exception("worker %d fails", who.slot)
        try:
            _tell(control, "failed", told(error))
        except OSError:
            pass
    finally:
        flush_streams()
        os._exit(status)


def _tell(control: Any, kind: str, value: Any) -> None:
    control.send_bytes(pickle.dumps((kind, value)))


def _offer_to_oom_killer() -> None:
    """Where memory runs out, a worker is to go, which is replaced, and not its controller. Linux can be told so."""
    if not has("proc"):
        return
    try:
        with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
            mine = int(file.read())
            file.seek(0)
            file.write(str(min(1000, mine + OOM_SCORE_ADJ)))
    except (OSError, ValueError):
        pass  # there is no such thing here
