"""Chronicle: keeps a node's journal: what happened, and what became of messages that nobody handled.

Edge (shared memory); in the controller's process. It hears of every event and every dead letter of the node as its user
does, and writes them where anybody may read them later, also when this process hangs. A flood costs little: within any
second the first FULL dead letters are written down whole, the others count only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..actor import DeadLetter, DeadLetters
from ..ids import home_of, process_of
from ..transport import EVENTS, LETTERS, Journal, JournalEntry
from .forks import let_go_in_children

FULL = 100
SECOND = 1.0
_NOT_KEPT = ("log", "dead_letter")


class Chronicle:
    """The journal of a node, kept up to date."""

    def __init__(self, directory: Path, letters: DeadLetters) -> None:
        """Begin it; `letters` are the node's. Raises SharedMemoryFull."""
        self._journal = Journal.create(directory / "journal")
        self._letters = letters
        self._lock = threading.Lock()
        self._second = self._told = 0
        self._counted: dict[str, int] = {}
        self._forked = False
        self._end = letters.subscribe(self._dead)
        let_go_in_children(self)

    def happened(self, kind: str, text: str, fields: Mapping[str, Any] | None) -> None:
        """Write an event down. From any thread."""
        if self._forked or kind in _NOT_KEPT:
            return
        fields = fields or {}
        worker, address = fields.get("worker"), fields.get("address", 0)
        who = fields.get("actor") or fields.get("supervisor", "")
        self._journal.write(
            EVENTS,
            JournalEntry(
                time.time(), kind, text, str(who), address if type(address) is int else _address_in(address),
                worker if type(worker) is int and 0 <= worker < 256 else None,
            ),
        )  # fmt: skip

    def _dead(self, letter: DeadLetter) -> None:
        if self._forked:
            return
        now = int(time.monotonic() / SECOND)
        with self._lock:
            if now != self._second:
                self._second, self._told = now, 0
            self._told += 1
            if self._told > FULL:
                return
        worker = process_of(home_of(letter.address))
        entry = JournalEntry(time.time(), letter.reason, letter.message, letter.actor, letter.address, worker)
        self._journal.write(LETTERS, entry)

    def count(self) -> None:
        """Write down how many dead letters there were; called when the controller's heart beats."""
        counts = dict(self._letters.counts)
        if counts != self._counted and not self._forked:
            self._counted = counts
            self._journal.count(counts)

    def close_in_child(self) -> None:
        """In a forked child: the journal is our parent's."""
        self._forked = True

    def close(self) -> None:
        """Write no more. Idempotent."""
        self._end()
        self._journal.close()


def _address_in(text: object) -> int:
    """Return the address that `show` made such a text of; 0 if it is none.

    >>> hex(_address_in("1.17.3")), _address_in("nobody")
    ('0x100001100000003', 0)
    """
    parts = str(text).replace("local", "255").split(".")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        return 0
    home, index, generation = map(int, parts)
    return home << 56 | index << 32 | generation
