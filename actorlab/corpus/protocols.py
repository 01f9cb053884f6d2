"""What the job needs of others: a running node, and somewhere to tell its news.

Pure (types only); used by job.py and session.py, fulfilled by the node and by the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ..memory import ContextPool
from ..supervision import Supervisor
from .chaos import WorkerProcess
from .ranking import Hit


class Report(Protocol):
    """Where a job's news go: a terminal in colour, plain lines, or JSON. Called from more than one thread."""

    @property
    def json(self) -> bool:
        """Whether the news are read by a program: then no prompt is shown."""

    def line(self, text: str) -> None:
        """Show a line to a person."""

    def event(self, kind: str, text: str, **fields: Any) -> None:
        """Say that something happened: a word for what, a sentence, and the same as data."""

    def answer(self, query: str, hits: Sequence[Hit]) -> None:
        """Show what a query found, best first; nothing is an answer too."""


class Node(Protocol):
    """A running node, as far as the job uses it."""

    @property
    def workers(self) -> Sequence[WorkerProcess]:
        """The worker processes there are now."""

    def pool(self, name: str, *, max_bytes: int) -> ContextPool:
        """Return the node's pool of that name."""

    def start(self, tree: Supervisor) -> Any:
        """Start a supervised tree and return its supervisor's reference."""

    def whereis(self, name: str) -> Any:
        """Return the reference of that name's owner, or None."""
