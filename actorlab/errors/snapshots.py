"""States that were kept and cannot be given back.

Pure; a room of `errors`, whose docstring draws the whole tree.
"""

from __future__ import annotations

from .root import ActorlabError


class SnapshotUnreadable(ActorlabError):
    """What was kept of an actor cannot be read: nothing was started with it."""

    def __init__(self, key: str, path: str, why: str) -> None:
        super().__init__(key, path, why)
        self.key, self.path, self.why = key, path, why

    def __str__(self) -> str:
        key, path, why = self.args
        remedy = "move it away to start anew, or repair what reads it"
        return f"the snapshot of {key} in {path} cannot be read ({why}): {remedy}"
