"""Forks: what a forked child of the user's program must let go of, or it would keep alive what is its parent's.

Edge (a fork hook of this process); used by the node's directory (a child's copies of its locks would keep a dead node
'alive') and the launcher (its copies of the lifelines would keep workers alive that nobody owns).
"""

from __future__ import annotations

import os
import traceback
import weakref
from typing import Protocol


class Held(Protocol):
    """Something that a child lets go of, touching no lock of its parent's."""

    def close_in_child(self) -> None: ...


_held: weakref.WeakSet[Held] = weakref.WeakSet()
_watching: list[bool] = []


def let_go_in_children(one: Held) -> None:
    """Have `one.close_in_child()` called in every child that is forked from here on, as long as `one` lives."""
    _held.add(one)
    if not _watching:
        _watching.append(True)
        os.register_at_fork(after_in_child=_close_in_child)


def _close_in_child() -> None:
    for one in list(_held):
        try:
            one.close_in_child()
        except Exception:
            traceback.print_exc()  # the others' part must not depend on it
