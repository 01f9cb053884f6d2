"""Inspection: looking into a running actor and holding it up: OTP's `sys`, for any actor and whatever it is doing.

Edge (one kernel's thread; the steps run in the actor's own place); asked through `ref.system`. A request waits behind
the messages before it, so it sees an actor between two messages; one that is suspended answers at once. A request is no
message of the actor's: it has no part in its books, and capacity does not bound it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ActorDied, BadCall
from ..message import NOPROC
from . import snapshot
from .cell import DEAD, PARKED, RUNNING, Cell
from .future import Future
from .special import special_of
from .tracing import trace
from .work import behind

if TYPE_CHECKING:
    from .scheduler import Kernel

HIDDEN = ("_actorlab_cell", "on_receive")
"""What of an object's attributes is not its state: its tie to the kernel, and the hook that a trace puts there."""


def inspect(kernel: Kernel, address: int, operation: str, args: tuple[Any, ...]) -> Any:
    """Do `operation` with an actor of this kernel and return what comes of it. In a kernel job (parks)."""
    cell = kernel.cells.get(address)
    if cell is None or cell.phase == DEAD:
        raise ActorDied(kernel.runtime.ref(address).label, NOPROC, "never")
    perform = OPERATIONS.get(operation)
    if perform is None:
        raise BadCall(cell.name, f"no system request {operation!r}")
    if is_suspended(cell):
        return perform(cell, *args)
    done: Future[Any] = Future(f"{operation} of {cell.name}")

    def step(cell: Cell, _me: Any) -> bool:
        try:
            result = perform(cell, *args)
        except Exception as error:
            done.fail(error)
        else:
            done.reply(result)
        return not is_suspended(cell)

    behind(kernel, cell, step, f"the system's {operation}", done)
    return done.get()


def is_suspended(cell: Cell) -> bool:
    """Whether an actor is held up."""
    special = cell.extra.special if cell.extra is not None else None
    return special is not None and special.suspended


def state_of_object(actor: Any) -> dict[str, Any]:
    """Return an actor's attributes, those in slots too. A copy of the mapping, not of what is in it."""
    state = {
        name: getattr(actor, name)
        for cls in type(actor).__mro__
        for name in getattr(cls, "__slots__", ())
        if isinstance(name, str) and not name.startswith("__") and hasattr(actor, name)
    }
    state.update(vars(actor))
    return {name: value for name, value in state.items() if name not in HIDDEN}


def _get_state(cell: Cell) -> dict[str, Any]:
    return state_of_object(cell.object)


def _replace_state(cell: Cell, new: Any) -> None:
    """Give an actor other attributes: a mapping, or what a function makes of those it has. All or nothing."""
    actor = cell.object
    old = state_of_object(actor)
    if callable(new):
        new = new(dict(old))
    if not isinstance(new, Mapping) or not all(isinstance(name, str) for name in new):
        raise TypeError(f"a state is a mapping of attributes by name, not {type(new).__name__}: the old one stays")
    taken = [name for name in new if name in HIDDEN]
    if taken:
        raise TypeError(f"{', '.join(taken)} is the actor's tie to its kernel and no state: the old one stays")
    for name in old:
        if name not in new:
            delattr(actor, name)
    for name, value in new.items():
        setattr(actor, name, value)


def _suspend(cell: Cell) -> None:
    special_of(cell).suspended = True
    if not cell.behaviour.blocking:
        cell.phase = PARKED


def _resume(cell: Cell) -> None:
    if is_suspended(cell):
        wake(cell)


def wake(cell: Cell) -> None:
    """An actor that is held up goes on. In the kernel's thread."""
    special_of(cell).suspended = False
    thread = cell.more().thread
    if thread is not None and not thread.wake():
        return
    if cell.phase == PARKED and cell.object is not None:
        cell.phase = RUNNING
        cell.kernel.settle_phase(cell)


def _trace(cell: Cell, on: bool, to: Any) -> None:
    trace(cell, on, to)


def _snapshot(cell: Cell) -> Any:
    if not snapshot.keeps_state(type(cell.object)):
        raise BadCall(cell.name, "it has no snapshot() and restore(state)")
    return snapshot.take(cell.object, cell.kernel.lifecycle.wait_if_async).value


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "get_state": _get_state,
    "replace_state": _replace_state,
    "suspend": _suspend,
    "resume": _resume,
    "trace": _trace,
    "snapshot": _snapshot,
}
