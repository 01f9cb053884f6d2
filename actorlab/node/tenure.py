"""Tenure: how long an actor has its name.

Edge (reads shared memory); what the registry asks before it gives a name to somebody else. An actor that ends is dead
to whoever sends to it, and still has its name until its last hook is done: what that hook gives back (a port, a file)
is not to be taken by the next owner while it does (P8).
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from ..actor import DEAD, Future
from ..errors import CallTimeout, NameTaken
from ..ids import home_of

if TYPE_CHECKING:
    from .runtime import ProcessRuntime

LEAVING_S = 5.0
"""How long a name is waited for whose owner is about to end: as long as a child has for that, unless it is told."""


def take_name(runtime: ProcessRuntime, name: Any, address: int, metadata: Any, patience_s: float = 0.0) -> None:
    """Register a name; parks or blocks. Raises NameTaken, after `patience_s` if its owner stays.

    One that nobody finds by it any more, because he is in his last hook, is waited for: whoever looked and found nobody
    may start somebody.
    """
    began = monotonic()
    while True:
        try:
            runtime.names.register(name, address, metadata)
            return
        except NameTaken:
            owner = runtime.names.whereis(name)
            leaves = owner is None or not runtime.is_alive(owner)
            if monotonic() - began >= max(patience_s, LEAVING_S if leaves else 0.0):
                raise
        try:
            Future("a name that becomes free").get(timeout=0.01)
        except CallTimeout:
            pass


def holds_its_name(runtime: ProcessRuntime, address: int) -> bool:
    """Whether the actor at `address` is still in its place, be it only to end."""
    kernel = runtime.kernels.get(address >> 56)
    if kernel is not None:
        cell = kernel.cells.get(address)
        return cell is not None and cell.phase != DEAD
    try:
        return runtime.table(address >> 56).has_place(address)
    except OSError:
        return False


def free_names_of_the_dead(runtime: ProcessRuntime, home: int) -> None:
    """Free the names of those whom nobody will restart, before anybody hears that their worker is gone."""
    try:
        table = runtime.table(home)
    except OSError:
        return  # it died before it had one

    def is_gone(address: int) -> bool:
        view = table.read(address)
        return view is None or view.supervisor == 0 or home_of(view.supervisor) == home

    runtime.backend.release_home(home, is_gone)
