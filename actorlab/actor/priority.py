"""PriorityMail: a mailbox that gives the most urgent message first, and in order of arrival among equals.

Edge (a lock; it unpickles a lane's message once more, to see what it is); used by admission for classes that say
`priorities`, and by nobody else. It holds no more than any other mailbox: bounds are judged by its length. Messages of
one sender stay in order where their priority is the same, and only there (P2 within a priority).

Urgency is a number, larger first, 0 unless told: by the name of a method, or by the class of a plain message (the
nearest one in its order of resolution). A stop comes last, for it is to find the messages before it done.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .envelope import ASK, CALL, CAST, INFO, LAST_KIND, TELL, is_unbounded

Priorities = Mapping[str | type, int]
Peek = Callable[[Any], Any]
"""Return the body of a message that lies in a lane; raise if it cannot be unpickled."""


def first_out(queue: deque[Any], is_it: Callable[[Any], bool]) -> Any:
    """Take the first envelope that `is_it` out of a queue and return it, or None. The others stay where they are."""
    for at, envelope in enumerate(queue):
        if is_it(envelope):
            del queue[at]
            return envelope
    return None


def change_each(queue: deque[Any], how: Callable[[Any], Any]) -> None:
    """Put `how(envelope)` in the place of each envelope of a queue; what is left as it is, is not touched."""
    for at, envelope in enumerate(queue):
        if (changed := how(envelope)) is not envelope:
            queue[at] = changed


class PriorityMail(deque[Any]):
    """A deque in name and use; what is in it lies in one deque a priority, and in one for what comes before all."""

    def __init__(self, priorities: Priorities, peek: Peek) -> None:
        super().__init__()
        self._priorities = priorities
        self._peek = peek
        self._by_class: dict[type, int] = {}
        self._last = min(0, *priorities.values())
        self._front: deque[Any] = deque()
        self._levels: dict[int, deque[Any]] = {
            level: deque() for level in sorted({0, *priorities.values()}, reverse=True)
        }
        self._queues = (self._front, *self._levels.values())
        self._lock = threading.Lock()

    def priority(self, envelope: Any) -> int:
        """Return how urgent an envelope is."""
        kind = envelope[0]
        if kind > LAST_KIND:
            kind = envelope[2]
            if kind not in (TELL, CAST, ASK, CALL):
                return self._last
            try:
                body = self._peek(envelope)
            except Exception:
                return 0  # its turn will come, and say what is wrong with it
            if kind in (CALL, CAST):
                return self._priorities.get(body[0], 0)
            return self._of_class((body if kind == TELL else body[0]).__class__)
        if kind in (TELL, ASK, INFO):
            return self._of_class(envelope[1].__class__)
        return self._priorities.get(envelope[1], 0) if kind in (CALL, CAST) else self._last

    def _of_class(self, cls: type) -> int:
        known = self._by_class.get(cls)
        if known is None:
            found = (self._priorities[base] for base in cls.__mro__ if base in self._priorities)
            known = self._by_class[cls] = next(found, 0)
        return known

    def append(self, envelope: Any) -> None:
        level = self.priority(envelope)
        with self._lock:
            self._levels[level].append(envelope)

    def appendleft(self, envelope: Any) -> None:
        with self._lock:
            self._front.appendleft(envelope)

    def popleft(self) -> Any:
        with self._lock:
            for queue in self._queues:
                if queue:
                    return queue.popleft()
        raise IndexError("pop from an empty mailbox")

    def pop_least(self) -> Any:
        """Take out the oldest message of the least urgent ones that capacity counts: `drop_old` drops that."""
        with self._lock:
            for queue in reversed(self._queues):
                found = first_out(queue, lambda envelope: not is_unbounded(envelope))
                if found is not None:
                    return found
        raise IndexError("no message in the mailbox")

    def pick_out(self, is_it: Callable[[Any], bool]) -> Any:
        """Take the first envelope that `is_it` out and return it, or None."""
        with self._lock:
            for queue in self._queues:
                found = first_out(queue, is_it)
                if found is not None:
                    return found
        return None

    def extend(self, envelopes: Iterable[Any]) -> None:
        if isinstance(envelopes, PriorityMail):
            # what comes before all does so in another mailbox too; the rest is judged anew
            self._front.extend(envelopes._front)
            envelopes = [envelope for queue in envelopes._levels.values() for envelope in queue]
        for envelope in envelopes:
            self.append(envelope)

    def extendleft(self, envelopes: Iterable[Any]) -> None:
        for envelope in envelopes:
            self.appendleft(envelope)

    def change(self, how: Callable[[Any], Any]) -> None:
        """Put `how(envelope)` in the place of each envelope."""
        with self._lock:
            for queue in self._queues:
                change_each(queue, how)

    def clear(self) -> None:
        with self._lock:
            for queue in self._queues:
                queue.clear()

    def copy(self) -> PriorityMail:
        other = PriorityMail(self._priorities, self._peek)
        with self._lock:
            for ours, theirs in zip(self._queues, other._queues, strict=True):
                theirs.extend(ours)
        return other

    def __len__(self) -> int:
        return sum(map(len, self._queues))

    def __bool__(self) -> bool:
        return any(self._queues)

    def __iter__(self) -> Iterator[Any]:
        with self._lock:
            return iter([envelope for queue in self._queues for envelope in queue])

    def __getitem__(self, at: Any) -> Any:
        if at == 0:
            for queue in self._queues:
                if queue:
                    return queue[0]
        return list(self)[at]
