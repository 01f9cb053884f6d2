"""Tasks: a coroutine run to its end on the kernel's loop, for whoever can wait: hooks, and blocking actors' handlers.

Edge (an event loop; parks a greenlet or blocks an actor's own thread); used by the lifecycle. Async handlers of other
actors need nobody to wait for them: the scheduler starts those.
"""

from __future__ import annotations

import asyncio
from _thread import get_ident
from contextvars import Context
from typing import TYPE_CHECKING, Any

from . import current
from .chain import handler_over
from .future import Future
from .handling import TASK_OF

if TYPE_CHECKING:
    from .scheduler import Kernel


def run_to_end(kernel: Kernel, coroutine: Any) -> Any:
    """Run a coroutine on behalf of the actor that runs here, wait for it, and return or raise its outcome."""
    cell = current.cell_here()
    done: Future[Any] = Future("an async hook")

    def begin() -> None:
        context = Context()
        if cell is not None:
            context.run(TASK_OF.set, (cell, coroutine))
        task = kernel.hub.loop.create_task(coroutine, context=context)
        if cell is not None:
            cell.more().task = task  # so that `kill` cancels it
        task.add_done_callback(settle)

    def settle(task: asyncio.Task[Any]) -> None:
        if cell is not None and cell.more().task is task:
            cell.more().task = None
            handler_over(cell.more())
        if task.cancelled():
            done.fail(asyncio.CancelledError())
            return
        error = task.exception()
        if error is not None:
            done.fail(error)
        else:
            done.reply(task.result())

    if get_ident() == kernel.ident:
        begin()
    else:
        kernel.post(begin)
    return done.get()
