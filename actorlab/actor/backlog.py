"""Backlog: roughly how many bytes wait in a kernel's mailboxes by reference, of which nobody outside could know.

Edge (one kernel's thread); its heartbeat. Messages from other processes lie in lanes, where anybody can count them;
those from within the process are objects on its heap. About once a second a few of each class are looked at and the
rest taken to be like them. Nothing is pickled and no code of the user's runs: containers are walked a little, arrays
say their own size. A message pays nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from .envelope import CALL, LAST_KIND

if TYPE_CHECKING:
    from .cell import Cell
    from .scheduler import Kernel

EVERY = 4
"""Beats of the heart from one look to the next."""
CELLS, MESSAGES, ITEMS, DEPTH = 16, 4, 16, 3
"""Of a class's mailboxes, of a mailbox's messages, of a container's items, of containers in containers: so many."""


class Backlog:
    """Says in the node's books what waits by reference in one kernel's mailboxes."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._beats = 0
        self._said: set[str] = set()

    def publish(self) -> None:
        """A beat: at every fourth, look and say. 0.1 µs a mailbox, and at most 64 messages a class are measured."""
        self._beats += 1
        if self._beats % EVERY:
            return
        full: dict[str, list[Cell]] = {}
        for cell in self._kernel.warm:
            if cell.mailbox:
                full.setdefault(cell.behaviour.path, []).append(cell)
        table = self._kernel.table
        for path in self._said - full.keys():
            table.say_local(path, 0, 0)
        for path, cells in full.items():
            table.say_local(path, *_estimate(cells))
        self._said = set(full)


def _estimate(cells: list[Cell]) -> tuple[int, int]:
    """Return (messages, bytes) of what waits by reference at these actors."""
    seen = local = size = 0
    for cell in cells[:CELLS]:
        for place in range(MESSAGES):
            try:
                envelope = cell.mailbox[place]
            except IndexError:
                break  # no more, or a blocking actor's thread took it
            seen += 1
            if envelope[0] <= LAST_KIND:
                local += 1
                if envelope[0] <= CALL:
                    size += rough_size(envelope[1:])
    if not local:
        return 0, 0
    waiting = sum(len(cell.mailbox) for cell in cells)
    return waiting * local // seen, waiting * size // seen


def rough_size(value: Any, depth: int = DEPTH) -> int:
    """Return roughly how many bytes an object takes: what Python says, arrays' data and some of containers' items.

    >>> rough_size(b"x" * 10_000) // 1000, rough_size(["y" * 1000] * 100) // 10_000
    (10, 10)
    """
    kind: Any = type(value)
    if kind not in _PLAIN:
        if kind.__module__.partition(".")[0] in _ARRAYS and hasattr(kind, "nbytes"):
            return _OBJECT_BYTES + int(value.nbytes)
        if depth and kind.__getattribute__ is object.__getattribute__ and type(inside := vars_of(value)) is dict:
            return _OBJECT_BYTES + rough_size(inside, depth - 1)
        return _OBJECT_BYTES
    size = sys.getsizeof(value)
    if not depth or kind not in _CONTAINERS:
        return size
    try:
        size += _items(value, len(value), depth)
        return size + _items(value.values(), len(value), depth) if kind is dict else size
    except RuntimeError:
        return size  # changed by somebody while we looked


def vars_of(value: object) -> object:
    """Return an object's `__dict__`, None if it has none."""
    return getattr(value, "__dict__", None)


def _items(items: Iterable[Any], number: int, depth: int) -> int:
    """Return the size of `number` items, as some of them show."""
    some = tuple(islice(items, ITEMS))
    return sum(rough_size(item, depth - 1) for item in some) * number // len(some) if some else 0


_OBJECT_BYTES = 64
_CONTAINERS = frozenset((list, tuple, set, frozenset, dict))
_PLAIN = _CONTAINERS | {bytes, bytearray, str, int, float, bool, type(None)}
_ARRAYS = ("numpy", "pyarrow")
