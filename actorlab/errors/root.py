"""What every error of actorlab descends from, and what a failed call says of its handler.

Pure; a room of `errors`, whose docstring draws the whole tree.
"""

from __future__ import annotations

from typing import Literal

Delivery = Literal["never", "unknown", "handled"]
"""Whether a call's handler may have run: `never` (a retry is safe), `unknown`, or `handled` (it ran)."""


class ActorlabError(Exception):
    """Root of all errors of actorlab."""
