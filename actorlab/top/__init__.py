"""`actorlab top`: a running node on a terminal, from a process of its own; and once, plainly, without one.

Importing this is light; the terminal UI comes with the extra `top`, and only when `watch` is called. Textual, because
it is the kept one: it is built on rich, which is there already, speaks to any terminal over ssh, redraws only what
changed, handles resizing and puts the terminal back; and it has a pilot for tests.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import MissingExtra
from ..observe import Follower
from .plain import show_once
from .rows import By, Sort

__all__ = ["show_once", "watch"]


def watch(follow: Callable[[], Follower], *, by: By, sort: Sort, every_s: float) -> None:
    """Show a node until q is pressed; see screen.run. Raises MissingExtra without the extra `top`."""
    try:
        from .screen import run
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != "textual":
            raise
        raise MissingExtra("actorlab top", "textual", "top") from None
    run(follow, by=by, sort=sort, every_s=every_s)
