"""Weight: how many bytes a message takes, and the mailbox that is bounded by them.

Edge (pickles what came by reference, to measure it); used by admission, for actors whose `Mailbox` has `max_bytes`, and
by nobody else. A message weighs what its pickle does, buffers out of band included, wherever it comes from: what it
takes in a lane, or in the file of a large one. Signals (Down, Exit, stops, timers) weigh nothing.
"""

from __future__ import annotations

import pickle
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from .envelope import ASK, CALL, CAST, TELL

Weigh = Callable[[Any], int]


class _Counter:
    """A file that only counts what is written to it."""

    __slots__ = ("size_bytes",)

    def __init__(self) -> None:
        self.size_bytes = 0

    def write(self, data: Any) -> int:
        size = len(data) if isinstance(data, (bytes, bytearray)) else memoryview(data).nbytes
        self.size_bytes += size
        return size

    def add(self, buffer: pickle.PickleBuffer) -> None:
        """Count a buffer that is not copied into the pickle (a falsy answer keeps it out)."""
        with buffer.raw() as view:
            self.size_bytes += view.nbytes


def weigh_object(body: Any) -> int:
    """Return the bytes of an object's pickle without keeping it; what cannot be pickled weighs as Python says.

    >>> weigh_object(b"x" * 1000) == len(pickle.dumps(b"x" * 1000, 5))
    True
    """
    counter: Final = _Counter()
    try:
        pickle.Pickler(counter, 5, buffer_callback=counter.add).dump(body)
    except Exception:
        return sys.getsizeof(body)
    return counter.size_bytes


def weigh_local(envelope: Any) -> int:
    """Return the weight of an envelope that came by reference: of its body, as another process would send it."""
    kind = envelope[0]
    if kind == TELL:
        return weigh_object(envelope[1])
    if kind == ASK:
        return weigh_object((envelope[1], ()))
    if kind == CAST:
        return weigh_object(envelope[1:4])
    if kind == CALL:
        return weigh_object((*envelope[1:4], ()))
    return 0


class WeighedMailbox(deque[Any]):
    """A mailbox that knows how many bytes wait in it. Every way in and out that a kernel uses keeps the sum.

    A lock, because a blocking actor's thread takes messages out while the kernel's puts others in.
    """

    def __init__(self, max_bytes: int, weigh: Weigh) -> None:
        super().__init__()
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self._weigh = weigh
        self._weights: deque[int] = deque()
        self._lock = threading.Lock()
        self._weighed: tuple[Any, int] = (None, 0)  # the one that was asked about last comes in next

    def weight(self, envelope: Any) -> int:
        """Return what an envelope weighs."""
        known, weight = self._weighed
        if known is not envelope:
            weight = self._weigh(envelope)
            self._weighed = envelope, weight
        return weight

    def fits(self, envelope: Any) -> bool:
        """Whether there is room for one more."""
        return self.size_bytes + self.weight(envelope) <= self.max_bytes

    def append(self, envelope: Any) -> None:
        weight = self.weight(envelope)
        self._weighed = (None, 0)
        with self._lock:
            super().append(envelope)
            self._weights.append(weight)
            self.size_bytes += weight

    def appendleft(self, envelope: Any) -> None:
        weight = self.weight(envelope)
        self._weighed = (None, 0)
        with self._lock:
            super().appendleft(envelope)
            self._weights.appendleft(weight)
            self.size_bytes += weight

    def popleft(self) -> Any:
        with self._lock:
            envelope = super().popleft()
            self.size_bytes -= self._weights.popleft()
        return envelope

    def __delitem__(self, at: Any) -> None:
        with self._lock:
            super().__delitem__(at)
            self.size_bytes -= self._weights[at]
            del self._weights[at]

    def extend(self, envelopes: Iterable[Any]) -> None:
        for envelope in envelopes:
            self.append(envelope)

    def extendleft(self, envelopes: Iterable[Any]) -> None:
        for envelope in envelopes:
            self.appendleft(envelope)

    def clear(self) -> None:
        with self._lock:
            super().clear()
            self._weights.clear()
            self.size_bytes = 0

    def copy(self) -> WeighedMailbox:
        other = WeighedMailbox(self.max_bytes, self._weigh)
        other.extend(tuple(self))
        return other
