"""Ways to look at a node that cannot be had, or must not be had like this.

Pure; a room of `errors`, whose docstring draws the whole tree.
"""

from __future__ import annotations

from .root import ActorlabError


class MissingExtra(ActorlabError):
    """A command needs a library that only an extra of the installation brings. Nothing was started."""

    def __init__(self, command: str, library: str, extra: str) -> None:
        super().__init__(command, library, extra)
        self.command, self.library, self.extra = command, library, extra

    def __str__(self) -> str:
        return f"{self.command} needs {self.library}, which is not installed: pip install 'actorlab[{self.extra}]'"


class UnsafeDoor(ActorlabError, ValueError):
    """An address where others could look at a node, without what would keep strangers out. Nothing was opened."""

    def __init__(self, address: str, why: str, remedy: str) -> None:
        super().__init__(address, why, remedy)
        self.address, self.why, self.remedy = address, why, remedy

    def __str__(self) -> str:
        return f"{self.address}: {self.why}; nothing was opened: {self.remedy}"
