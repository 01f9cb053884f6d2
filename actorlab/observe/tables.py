"""The node tables, copied: every actor's books in columns, without mapping the files.

Edge (files, read-only); used by the observer. A column is a strided view of the copy, so that sums over 100,000 actors
run at C speed; a row object is made only for the few that are shown.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from pathlib import Path

from ..ids import generation_of, index_of, pack
from ..lean_dataclass import dataclass
from ..memory import HEADER_BYTES
from ..transport import (
    CLASS_ID,
    CLASS_NAMES_AT,
    DEAD_LETTERED,
    DEPTH,
    FAILED,
    GENERATION,
    HANDLED_SHIFT,
    INCARNATION,
    SLOT_BYTES,
    SLOT_U32,
    SLOT_WORDS,
    SLOTS_AT,
    STATE,
    SlotView,
    view_slot,
)
from .board import read_at

_U64 = struct.Struct("<Q")
_LENGTH = struct.Struct("<H")


@dataclass(slots=True)
class ClassSums:
    """What the living actors of one class add up to."""

    actors: int = 0
    depth: int = 0
    handled: int = 0
    failed: int = 0
    dead_lettered: int = 0
    restarts: int = 0


class TableImage:
    """A copy of one home's table as it was at one moment."""

    def __init__(self, directory: Path, home: int) -> None:
        """Copy it. Raises OSError if there is none."""
        self.home = home
        path = directory / f"table.{home}"
        (grown,) = _U64.unpack(read_at(path, HEADER_BYTES, 8))
        self.raw = read_at(path, SLOTS_AT, grown * SLOT_BYTES)
        view = memoryview(self.raw)
        self._u32, self._words = view.cast("I"), view.cast("Q")
        states = self.raw[STATE::SLOT_BYTES]
        self.live = list(compress(range(len(states)), states))
        self._states = states

    def sums(self, into: dict[int, ClassSums]) -> None:
        """Add every actor to the sums of its class, by class number. 0.2 µs an actor, less where there is one class."""
        states = self._states
        classes = list(compress(self._u32[CLASS_ID::SLOT_U32], states))
        for class_id, actors in Counter(classes).items():
            into.setdefault(class_id, ClassSums()).actors += actors
        handled = [word >> HANDLED_SHIFT for word in compress(self._words[::SLOT_WORDS], states)]
        for class_id, count in _by_class(classes, handled):
            into[class_id].handled += count
        for class_id, count in _by_class(classes, self._column(DEPTH)):
            into[class_id].depth += count
        for class_id, count in _by_class(classes, self._column(FAILED)):
            into[class_id].failed += count
        for class_id, count in _by_class(classes, self._column(DEAD_LETTERED)):
            into[class_id].dead_lettered += count
        for class_id, count in _by_class(classes, self._column(INCARNATION)):
            into[class_id].restarts += count

    def _column(self, field: int) -> list[int]:
        return list(compress(self._u32[field::SLOT_U32], self._states))

    def waiting(self) -> list[tuple[int, int]]:
        """Return (depth, index) of every actor for whom something waits."""
        depths = list(compress(self._u32[DEPTH::SLOT_U32], self._states))
        return list(zip(filter(None, depths), compress(self.live, depths), strict=True))

    def address(self, index: int) -> int:
        """Return the address of a slot's tenant."""
        return pack(self.home, index, self._u32[index * SLOT_U32 + GENERATION])

    def view(self, index: int) -> SlotView:
        """Return all that a slot says."""
        return view_slot(self.raw[index * SLOT_BYTES : (index + 1) * SLOT_BYTES])

    def tenant(self, address: int) -> SlotView | None:
        """Return what the slot of an address says; None if it is another's, or there is none yet."""
        index = index_of(address)
        if index * SLOT_U32 >= len(self._u32) or self._u32[index * SLOT_U32 + GENERATION] != generation_of(address):
            return None
        return self.view(index)

    def handled(self, index: int, generation: int) -> int | None:
        """Return how many messages that tenant had handled then; None if the slot was another's, or not there yet."""
        if index * SLOT_U32 >= len(self._u32) or self._u32[index * SLOT_U32 + GENERATION] != generation:
            return None
        return self._words[index * SLOT_WORDS] >> HANDLED_SHIFT


def _by_class(classes: Sequence[int], column: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Return what is to be added up for each class: pairs, of one class several."""
    total = sum(column)
    if not total:
        return ()
    if classes.count(classes[0]) == len(classes):
        return ((classes[0], total),)
    return zip(compress(classes, column), filter(None, column), strict=True)


def read_class_names(directory: Path, home: int) -> Mapping[int, str]:
    """Return what the class numbers of a home mean; {} if it has none yet."""
    path = directory / f"classes.{home}"
    try:
        (committed,) = _U64.unpack(read_at(path, HEADER_BYTES, 8))
        text = read_at(path, CLASS_NAMES_AT, committed)
    except OSError:
        return {}
    names: dict[int, str] = {}
    at = 0
    while at < len(text):
        (length,) = _LENGTH.unpack_from(text, at)
        names[len(names) + 1] = text[at + 2 : at + 2 + length].decode("utf-8", "replace")
        at += 2 + length
    return names
