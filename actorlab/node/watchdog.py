"""Watchdog: handlers that hold a worker's thread; who they are, how they are interrupted, what is left to see of them.

Edge (signals, a thread, a file); in the worker, but for `culprit_in`, by which the controller reads what a worker that
had to be killed has left. Costs a message nothing: the helper thread asks the loop for a sign of life, and looks at who
has the thread when none comes.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import re
import signal
import sys
import time
from math import ceil
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Literal

from ..actor import Cell, Interrupted, Kernel
from ..ids import generation_of, show
from ..transport import BEAT, BEAT2, BUSY_FROM, CURRENT, ROW_U64, Board
from .signs import Signs

log = logging.getLogger("actorlab")

HELD_NS = 20_000_000
"""A handler that has had the thread for less is not interrupted: it is not the one that is meant."""

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STDLIB = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+) in (?P<function>.*)')


class LoopWatch:
    """Sees, in a thread of its own, that the loop turns; names the handler that keeps it from doing so.

    On the board: `beat` counts the loop's turns, `beat2` this thread's; `current` is who holds the loop since
    `busy_from`, while somebody does. `beat` is called every `pause_s`.
    """

    def __init__(
        self, kernel: Kernel, board: Board, slot: int, warning_s: float, pause_s: float, signs: Signs
    ) -> None:
        self._kernel = kernel
        self._signs = signs
        self._words = board.u64
        self._row = slot * ROW_U64
        self._warning_ns = int(warning_s * 1e9)
        self._patience = ceil(warning_s / pause_s)
        self._owed = 0
        self._asked_ns = 0
        self._answered = True
        self._warned = False

    def beat(self) -> None:
        """Count, ask the loop for a sign of life, and warn if the last question is unanswered for too long."""
        words, row = self._words, self._row
        # no crash point: that it changes is what is looked at, and the slot's next process begins at 0
        words[row + BEAT2] += 1
        self._signs.beat()
        if self._answered:
            if self._warned:
                self._warned = False
                # crash: held.over
                words[row + CURRENT] = 0  # first, so that who is seen is seen with the time since then
                # crash: held.nobody
                words[row + BUSY_FROM] = 0
                # crash: held.never
            self._answered = False
            self._owed = 0
            self._asked_ns = time.monotonic_ns()
            self._kernel.post(self._answer)
            return
        # Counted in beats as well: when the whole process had no processor, time has passed and nobody held anything.
        self._owed += 1
        if not self._warned and self._owed >= self._patience and self.held_ns() > self._warning_ns:
            self._warned = True
            try:
                self._warn()
            except Exception:
                log.exception("nobody can say who holds worker %d", self._kernel.home)

    def _answer(self) -> None:
        self._answered = True
        # no crash point: that it changes is what is looked at, and the slot's next process begins at 0
        self._words[self._row + BEAT] += 1
        self._signs.turned()
        self._kernel.admission.publish_depths()

    def held_ns(self) -> int:
        """Return for how long the loop has owed a sign of life."""
        return 0 if self._answered else time.monotonic_ns() - self._asked_ns

    def _warn(self) -> None:
        kernel = self._kernel
        cell = kernel.current or self._cell_of_task()
        where = place_of(sys._current_frames().get(kernel.ident))
        seconds = self.held_ns() / 1e9
        actor, address = (cell.name, cell.address) if cell is not None and generation_of(cell.address) else ("", 0)
        # crash: held.since
        self._words[self._row + BUSY_FROM] = self._asked_ns
        # crash: held.by
        self._words[self._row + CURRENT] = address
        # crash: held.said
        named = f"{actor} <{show(address)}>" if address else "something"
        text = (
            f"{named} holds worker {kernel.home} for {seconds:.1f} s{where}: nobody else there gets on. "
            "Await or park instead of blocking, or say blocking = True"
        )
        fields = {"actor": actor, "address": show(address), "worker": kernel.home, "seconds": seconds, "where": where}
        kernel.runtime.report(logging.WARNING, "handler_holds_loop", text, fields)

    def _cell_of_task(self) -> Cell | None:
        try:
            task = asyncio.current_task(self._kernel.hub.loop)
        except RuntimeError:
            return None
        if task is None:
            return None
        cells = tuple(self._kernel.cells.values())
        return next((cell for cell in cells if cell.extra is not None and cell.extra.task is task), None)


class Interrupts:
    """SIGUSR1 raises Interrupted in the handler that holds the thread: in the user's code, and nowhere else."""

    def __init__(self, kernel: Kernel, watch: LoopWatch) -> None:
        self._kernel = kernel
        self._watch = watch

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Raise if a user's code holds the thread on behalf of an actor; else do nothing: ours is never cut short."""
        kernel = self._kernel
        cell = kernel.running_cell()
        if cell is None or not _is_users(frame):
            return
        if kernel.current is not None:
            held = time.perf_counter_ns() - kernel.slice_end
        else:
            held = self._watch.held_ns()
        if held < HELD_NS:
            return
        raise Interrupted


def place_of(frame: FrameType | None) -> str:
    """Say where a user's code is: ", in Class.method at file:line"; empty if it is not."""
    inner: tuple[CodeType, int] | None = None
    outer: CodeType | None = None
    while frame is not None:
        code = frame.f_code
        whose = _whose(code.co_filename)
        if whose == "user":
            inner = inner or (code, frame.f_lineno)
            outer = code
        elif whose == "ours" and outer is not None:
            break
        frame = frame.f_back
    if inner is None or outer is None:
        return ""
    code, line = inner
    return f", in {outer.co_qualname} at {code.co_filename}:{line}"


def _is_users(frame: FrameType | None) -> bool:
    """Whether the code that runs is a user's, or the standard library's on a user's behalf."""
    while frame is not None:
        whose = _whose(frame.f_code.co_filename)
        if whose != "stdlib":
            return whose == "user"
        frame = frame.f_back
    return False


def _whose(file: str) -> Literal["ours", "stdlib", "user"]:
    if file.startswith(_OURS):
        return "ours"
    if file.startswith("<frozen") or (file.startswith(_STDLIB) and "site-packages" not in file):
        return "stdlib"
    return "user"


# -- what a worker that was killed leaves ------------------------------------------------------------------------


def stacks_path(directory: Path, slot: int) -> Path:
    """Return the file that a worker dumps its stacks to."""
    return directory / f"stacks.{slot}"


def dump_stacks_to(path: Path) -> None:
    """Write all stacks to `path` on SIGUSR2, even while a C call holds the interpreter. Empties the file."""
    file = open(path, "w", buffering=1)  # noqa: SIM115 - faulthandler keeps it for the process's life
    _open_files.append(file)
    faulthandler.register(signal.SIGUSR2, file=file, all_threads=True)


_open_files: list[Any] = []


def culprit_in(dump: str) -> str:
    """Return where a user's code was in the thread that runs the actors, as a dump of all stacks says; else empty.

    A blocking actor's own thread is looked at only if there was none in that one: it may wait, and harm nobody.

    >>> culprit_in("Thread 0x7f (most recent call first):\\n"
    ...            '  File "/app/agents.py", line 7 in crunch\\n'
    ...            f'  File "{_OURS}actor/handling.py", line 99 in handle\\n')
    'crunch at /app/agents.py:7'
    """
    actors = _OURS + "actor" + os.sep
    found: dict[bool, str] = {}
    for thread in dump.split("\n\n"):
        frames = [match for match in map(_FRAME.match, thread.splitlines()) if match is not None]
        if not any(match["file"].startswith(actors) for match in frames):
            continue
        first = frames[0]
        if not first["file"].startswith(_OURS):
            own = any(match["file"] == f"{actors}threads.py" for match in frames)
            found.setdefault(own, f"{first['function']} at {first['file']}:{first['line']}")
    return found.get(False) or found.get(True, "")
