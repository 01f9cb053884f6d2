"""Work: a step of an actor's own between two messages, and the first of them: what a handler leaves for right after.

Edge (the actor's own greenlet, task or thread); used by actors and by everything that must run in an actor's place. A
step lies in the mailbox as `(WORK, step, what, sink)`; capacity does not count it, and it ends with the incarnation.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from .envelope import WORK
from .threads import claim_hand
from .waiting import Killed

if TYPE_CHECKING:
    from .cell import Cell
    from .scheduler import Kernel

Step = Callable[["Cell", Any], bool]
"""Run in the actor's place, in the runner greenlet that is given; return whether the actor may go on."""


def ahead(cell: Cell, step: Step, what: str) -> None:
    """Have an actor do `step` before its next message. From its own place."""
    mailbox = cell.kernel.admission.open_mailbox(cell)
    cell.more().unbounded += 1
    with cell.mail_lock():
        mailbox.appendleft((WORK, step, what, None))


def behind(kernel: Kernel, cell: Cell, step: Step, what: str, sink: Any = None) -> None:
    """Have an actor do `step` when the messages before are done; `sink` is told if it never does. Kernel's thread."""
    kernel.admission.open_mailbox(cell).append((WORK, step, what, sink))
    cell.more().unbounded += 1
    kernel.ready(cell)


def do_work(kernel: Kernel, cell: Cell, envelope: Any, me: Any) -> bool:
    """Do the step that lies in an envelope; an exception is the handler's that it stands for."""
    cell.more().unbounded -= 1
    going_on: bool = envelope[1](cell, me)
    return going_on


def run_hook(cell: Cell, result: Any, what: str) -> bool:
    """Let a hook that has returned `result` end, as a task if it is a coroutine; return whether the actor may go on."""
    kernel = cell.kernel
    if result.__class__ is CoroutineType:
        if not cell.behaviour.blocking:
            kernel.handling.start_task(cell, result, None, (WORK, None, what, None))
            return False
        kernel.lifecycle.wait_if_async(result)
    if cell.behaviour.blocking and not claim_hand():
        raise Killed
    cell.handled += 1
    return True


def continue_with(cell: Cell, term: Any) -> None:
    """Have `handle_continue(term)` called after this handler and before the next message, in the order they were left.

    Each goes to the front of the mailbox, so the terms are kept apart, in order: the first step takes the first.
    """
    what = f"continue with {type(term).__name__}"
    terms = cell.more().continues
    if terms is None:
        terms = cell.more().continues = []
    terms.append(term)

    def step(cell: Cell, _me: Any) -> bool:
        left = cell.more().continues
        assert left
        return run_hook(cell, cell.object.handle_continue(left.pop(0)), what)

    ahead(cell, step, what)
