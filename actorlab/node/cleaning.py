"""Cleaning: what has to be done at a node's end, whatever comes between.

Pure. An interrupt may come at any moment; whoever calls `finish` again then goes on where it stopped. A step that was
cut off is done again from its beginning, so each must bear that.
"""

from __future__ import annotations

from collections.abc import Callable


class Cleaning:
    """Steps that are still to be done."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._left = list(steps)

    def finish(self) -> None:
        """Do what is left, in order. An Exception of a step stops none behind it; the first is raised at the end."""
        failure: Exception | None = None
        while self._left:
            try:
                self._left[0]()
            except Exception as error:
                failure = failure or error
            self._left.pop(0)
        if failure is not None:
            raise failure
