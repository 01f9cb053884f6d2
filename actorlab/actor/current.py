"""Current: which kernel and which actor this thread is running right now.

Edge (process-wide registers); used by references, futures and the kernel. A kernel enters its thread here when it
starts and leaves when it ends; a blocking actor's own thread enters its cell. Everything else is a foreign thread.
"""

from __future__ import annotations

import threading
import uuid
from _thread import get_ident
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cell import Cell
    from .runtime import Runtime
    from .scheduler import Kernel

kernels: dict[int, Kernel] = {}
"""Thread identity → the kernel that runs there."""

runtimes: dict[str, Runtime] = {}
"""Node id → this process's part of that node."""


class _Here(threading.local):
    cell: Cell | None = None


here = _Here()
"""What the calling thread runs, if it is a blocking actor's own."""


def kernel_here() -> Kernel | None:
    """Return the kernel of the calling thread, or None in a foreign thread."""
    return kernels.get(get_ident())


def cell_here() -> Cell | None:
    """Return the actor on whose behalf the calling code runs, or None outside handlers."""
    kernel = kernels.get(get_ident())
    if kernel is not None:
        return kernel.running_cell()
    return here.cell


def waiting_here() -> Cell | None:
    """Return the actor whose handler waits if the calling code does: not of a task that has outlived its handler."""
    kernel = kernels.get(get_ident())
    if kernel is not None:
        return kernel.handling_cell()
    return here.cell


def running_actor() -> Any:
    """Return the actor object whose handler, hook or task runs here, or None."""
    cell = cell_here()
    return None if cell is None else cell.object


def enter_blocking(cell: Cell | None) -> None:
    """Say that the calling thread now runs handlers of `cell` (None: no longer)."""
    here.cell = cell


def runtime_here() -> Any:
    """Return the runtime that code in this thread means when it names none: its kernel's, else the newest one."""
    cell = cell_here()
    if cell is not None:
        return cell.kernel.runtime
    return next(reversed(runtimes.values()), None)


def runtime_of(node_id: str) -> Any:
    """Return the part of a node that code in this thread belongs to, else this process's first; None: not of it."""
    kernel = kernels.get(get_ident())
    if kernel is None and here.cell is not None:
        kernel = here.cell.kernel
    if kernel is not None and kernel.runtime.node_id == node_id:
        return kernel.runtime
    return runtimes.get(node_id)


def new_urn() -> str:
    """Return a fresh URN, for an actor object that belongs to no kernel."""
    return uuid.uuid4().urn


embedded: list[Callable[[], Any]] = []
"""How to make an embedded runtime when an actor is started and there is no node: the node floor says."""


def make_embedded() -> Any:
    """Return the embedded runtime of this process, starting it if need be."""
    if not embedded:
        raise RuntimeError("no node is running: import actorlab, or open a node with al.Node()")
    return embedded[0]()
