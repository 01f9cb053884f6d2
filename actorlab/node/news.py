"""News: events and log records on their way to the user's own code, in a thread of its own.

Edge (a thread); used by the controller. What the user does with an event or a record (a handler that writes to a
terminal somebody has stopped, say) must not hold up the thread that looks after the workers. Guarantees: in order,
each once, whole; at most LIMIT wait, then the newest are counted and their number is logged. A listener that raises is
logged and heard again next time.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from ..telemetry import Event, Level
from .chronicle import Chronicle

log = logging.getLogger("actorlab")

LIMIT = 100_000

LEVELS: dict[str, Level] = {
    "worker_died": "warning",
    "worker_hung": "error",
    "worker_not_launched": "warning",
    "worker_replaced": "good",
    "actor_crashed": "error",
    "actor_restarted": "good",
    "restart_failed": "warning",
    "supervisor_gave_up": "error",
}
"""How an event reads unless it says otherwise; any other kind is `info`."""


class News:
    """The way from a node's threads to whoever listens. `on_event` may be None: then only records go this way."""

    def __init__(self, on_event: Callable[[Event], object] | None) -> None:
        self._on_event = on_event
        self._queue: queue.SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._lost = 0
        self.waiting = 0
        self.chronicle: Chronicle | None = None

    def tell(self, kind: str, text: str, fields: dict[str, Any] | None = None, level: Level | None = None) -> None:
        """Tell the listener, and the journal, that something happened just now. From any thread; never waits."""
        if self.chronicle is not None:
            self.chronicle.happened(kind, text, fields)
        if self._on_event is not None:
            event = Event(time.time(), kind, text, level or LEVELS.get(kind, "info"), fields or {})
            self.hand(self._on_event, event)

    def hand(self, function: Callable[..., object], *args: Any) -> None:
        """Have `function(*args)` called in our thread, after all that was handed in before. Never waits."""
        with self._lock:
            if self._closed:
                return
            if self.waiting >= LIMIT:
                self._lost += 1
                return
            self.waiting += 1
            self._queue.put((function, args))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="actorlab news", daemon=True)
                self._thread.start()

    def count_letters(self) -> None:
        """Have the journal say how many dead letters there were."""
        if self.chronicle is not None:
            self.chronicle.count()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            function, args = item
            try:
                function(*args)
            except Exception:
                log.exception("%r cannot take the news", function)
            with self._lock:
                self.waiting -= 1
                lost, self._lost = (self._lost, 0) if not self.waiting else (0, self._lost)
            if lost:
                log.warning("%d events and log records were lost: their listener is slower than they come", lost)

    def close(self, timeout_s: float = 10.0) -> None:
        """Take nothing more, and wait for what was handed in to be heard, at most `timeout_s`."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            self._queue.put(None)
            thread.join(timeout_s)
        if self.chronicle is not None:
            self.chronicle.close()
