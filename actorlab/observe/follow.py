"""Follower: looks at a node again and again, past its end and into its successor's life.

Edge (through an observer); used by faces that stay open. A node that ended is shown as it was last seen, `dead`; one
that comes back under the name is found again.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from ..errors import ActorlabError
from .records import Snapshot

OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What keeps us from looking, and says nothing about the node."""


class Looker(Protocol):
    """Looks at one node; raises an ActorlabError once it is gone."""

    def look(self) -> Snapshot: ...


class Follower:
    """Follows a node. Not for several threads at once."""

    def __init__(self, find: Callable[[], Looker]) -> None:
        """Look for the first time. `find` opens the node that is meant; it raises an ActorlabError when none runs."""
        self._find = find
        self._looker: Looker | None = find()
        self.last = self._looker.look()

    def look(self) -> Snapshot:
        """Return what the node looks like now; its last look, `dead`, when it is gone. Raises nothing for its end."""
        try:
            if self._looker is None:
                self._looker = self._find()
            self.last = self._looker.look()
            if self.last.state == "dead":
                self._looker = None
        except (ActorlabError, OSError) as error:
            if isinstance(error, OSError) and error.errno in OURS:
                raise
            self._looker = None
            if self.last.state != "dead":
                self.last = replace(self.last, state="dead")
        return self.last
