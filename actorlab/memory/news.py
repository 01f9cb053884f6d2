"""News: that a stream has grown, for whoever must not sleep on its word himself.

An edge (a thread for each stream that this process listens to, as long as it does). The thread sleeps on the committed
word of the stream's newest part, in the kernel, and calls those who listen; it keeps no writer waiting. A writer that
was killed between its store and its wake-up is noticed by looking, twice a second.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from ..lean_dataclass import dataclass
from .futex import sleep_on
from .stream_layout import COMMITTED, unpack
from .stream_part import Part, part_numbers

Hear = Callable[[], object]

log = logging.getLogger("actorlab")

LOOK_S = 0.5
INTERRUPTIBLE_S = 0.25
"""How long a thread sleeps at a time: a Ctrl-C may have come to another thread, and then this one must look up."""


def sleep_until_changed(part: Part, read: int, timeout_s: float | None) -> None:
    """Block the thread until the part has more than `read` batches, or is closed; a little while at most."""
    import pyarrow as pa

    word = part.word()
    _, batches, closed = unpack(word)
    if batches > read or closed:
        return
    address = pa.py_buffer(part.segment.mmap).address + COMMITTED
    nap = INTERRUPTIBLE_S if timeout_s is None else min(INTERRUPTIBLE_S, timeout_s)
    sleep_on(address, word & 0xFFFFFFFF, nap)


@dataclass(slots=True)
class _Listener:
    part: int
    read: int
    hear: Hear

    def has_news(self, number: int, batches: int, closed: bool) -> bool:
        return self.part < number or (self.part == number and (self.read < batches or closed))


class _Ears:
    """Who listens to one stream here, and the thread that hears for them."""

    def __init__(self) -> None:
        self.listeners: dict[int, _Listener] = {}

    def tell(self, number: int, batches: int, closed: bool) -> None:
        """Call those for whom that is news, each once: whoever takes a listener out calls it."""
        for key, listener in list(self.listeners.items()):
            if listener.has_news(number, batches, closed):
                self._call(key)

    def tell_all(self) -> None:
        """Call everybody: the stream is gone, and who looks will find out."""
        for key in list(self.listeners):
            self._call(key)

    def _call(self, key: int) -> None:
        listener = self.listeners.pop(key, None)
        if listener is not None:
            try:
                listener.hear()
            except Exception:  # nobody else must go without his news for that
                log.exception("who listens to a stream failed when it was told")


class News:
    """Who in this process listens to which stream."""

    def __init__(self) -> None:
        self._watches_forks = False
        self.forked()

    def forked(self) -> None:
        """In a forked child: the threads are the parent's, and one of them may have had the lock."""
        self._lock = threading.Lock()
        self._ears: dict[str, _Ears] = {}

    def listen(self, folder: str, part: int, read: int, hear: Hear) -> Callable[[], bool]:
        """Call `hear` once, from a thread, when the stream in `folder` has more than `read` batches of `part`.

        Return how to take it back; that returns whether it had not been called. What had come before is not noticed:
        listen, then look.
        """
        listener = _Listener(part, read, hear)
        if not self._watches_forks:  # before anybody has the lock; two at once do no harm
            os.register_at_fork(after_in_child=self.forked)
            self._watches_forks = True
        with self._lock:
            ears = self._ears.get(folder)
            if ears is None:
                ears = _Ears()
                name = f"actorlab {os.path.basename(folder)}"
                threading.Thread(target=self._run, args=(folder, ears), name=name, daemon=True).start()
                self._ears[folder] = ears  # not before: where no thread can begin, the next one must try again
            ears.listeners[id(listener)] = listener
        heard_by = ears
        return lambda: heard_by.listeners.pop(id(listener), None) is not None

    def _run(self, folder: str, ears: _Ears) -> None:
        part: Part | None = None
        try:
            while True:
                if part is None or unpack(part.word()).closed:
                    part = _newest(folder, part)
                if part is not None:
                    # one look for both: what is appended after it ends the sleep below
                    _, batches, closed = unpack(part.word())
                    if not closed and not part.is_there():  # the stream was removed, and there may be another
                        part.close()
                        part = None
                if part is None:
                    ears.tell_all()
                else:
                    ears.tell(part.number, batches, closed)
                with self._lock:
                    if not ears.listeners:
                        # Whoever listens from here on finds nobody, and begins another thread.
                        if self._ears.get(folder) is ears:
                            del self._ears[folder]
                        return
                if part is None:
                    continue
                if closed and _newest_number(folder) == part.number:
                    threading.Event().wait(LOOK_S)  # finished: whoever has read it all waits for nothing
                elif not closed:
                    sleep_until_changed(part, batches, LOOK_S)
        except Exception:
            # Nobody must wait for a thread that has ended: they look for themselves, and begin another one if need be.
            log.exception("the thread that listens to %s ended", folder)
            threading.Event().wait(LOOK_S)
            with self._lock:
                if self._ears.get(folder) is ears:
                    del self._ears[folder]
            ears.tell_all()
        finally:
            if part is not None:
                part.close()


def _newest_number(folder: str) -> int:
    try:
        return part_numbers(folder)[-1]
    except (FileNotFoundError, IndexError):
        return 0


def _newest(folder: str, before: Part | None) -> Part | None:
    """Return the part that is to change next, `before` itself if that is it; None if the stream is gone."""
    while True:
        number = _newest_number(folder)
        if before is not None and before.number == number:
            return before
        if not number:
            break
        try:
            part = Part.open(folder, number)
        except FileNotFoundError:
            continue
        if before is not None:
            before.close()
        return part if part.commit().batches else _not_closed(folder, number - 1, part)
    if before is not None:
        before.close()
    return None


def _not_closed(folder: str, number: int, after: Part) -> Part:
    """Return the part before the empty one `after`, if it is not closed yet: its readers wait for that."""
    try:
        part = Part.open(folder, number)
    except FileNotFoundError:
        return after
    kept, other = (after, part) if part.commit().closed else (part, after)
    other.close()
    return kept


here = News()
"""This process's."""
