"""Forked: what is left of a node in a child that was forked from one of its processes: nothing that could do harm.

Edge (a fork hook, memory). A lane has one sender and one receiver, a table one owner; a child that went on using what
it inherited would be a second one. So in the child every reference says NodeGone, what was shared is private and empty,
and a child that comes back from the handler it was forked in ends: its parent goes on with the message, not it. Data
that is only read (handles' views, large messages) stays.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..actor import Future, kernels, runtimes
from ..errors import NodeGone
from ..memory import make_private
from .forks import let_go_in_children

if TYPE_CHECKING:
    from .runtime import ProcessRuntime

EXIT_CODE = 70
_TEXT = b"actorlab: a forked child came back from the handler it was forked in; it ends here (end it with os._exit)\n"


class Inheritance:
    """What a child inherits of one process's part of a node. Kept by its facade."""

    def __init__(self, runtime: ProcessRuntime) -> None:
        self._runtime = runtime
        let_go_in_children(self)

    def close_in_child(self) -> None:
        """In the child, which has one thread: poison the references, and let go of what is shared."""
        runtime = self._runtime
        runtime.closed = True
        runtimes.pop(runtime.node_id, None)
        ours, runtime.kernels = runtime.kernels, {}
        runtime.__dict__["control"] = self._refuse
        for kernel in ours.values():
            kernels.pop(kernel.ident, None)
            kernel.inbox.clear()
            kernel.inbox.append((_leave, ()))
        if runtime.directory is None:
            return
        for kernel in ours.values():
            make_private(kernel.table.table.header)
            make_private(kernel.table.table.u8)
        lanes: list[Any] = []
        if runtime.outlet is not None:
            runtime.outlet.doors.clear()
            lanes += runtime.outlet.lanes().values()
        if runtime.inlet is not None:
            lanes += runtime.inlet.lanes().values()
        for lane in lanes:
            make_private(lane.buf)
        if runtime.board is not None:
            make_private(runtime.board.u8)

    def _refuse(self, home: int, operation: str, *_args: Any) -> Future[Any]:
        future: Future[Any] = Future(operation)
        future.fail(NodeGone(f"the kernel {home}", self._runtime.node_id))
        return future


def _leave() -> None:
    os.write(2, _TEXT)
    os._exit(EXIT_CODE)
