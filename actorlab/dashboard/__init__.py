"""The dashboard: a read-only web page that shows a running node, from a process of its own.

Importing this is light; HTTP comes with the extra `dashboard`, and only when `serve` is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import MissingExtra
from .door import Door, read_token

if TYPE_CHECKING:
    from ..observe import Looker

__all__ = ["Door", "read_token", "serve"]

LIBRARIES = ("starlette", "uvicorn", "h11")


def serve(find: Callable[[], Looker], door: Door, announce: Callable[[str], object]) -> None:
    """Show a node until SIGINT or SIGTERM; see server.serve. Raises MissingExtra without the extra `dashboard`."""
    try:
        from .server import serve as run
    except ModuleNotFoundError as error:
        library = str(error.name).partition(".")[0]
        if library not in LIBRARIES:
            raise
        raise MissingExtra("actorlab dashboard", library, "dashboard") from None
    run(find, door, announce)
