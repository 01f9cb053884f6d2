"""Sampler: the one thread that looks at the node, once a second, however many pages are open.

Edge (a thread; files and /proc through its follower); owned by the server. What it found last lies ready as bytes, so
a flood of requests costs this process some copying and the node nothing at all.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import msgspec

from ..observe import Follower, Looker, Snapshot
from .page_state import Point, encode, point

EVERY_S = 1.0
POINTS = 4000
"""Of memory over time: eleven hours at one every ten seconds."""


class Sampler:
    """Looks at a node and keeps what it saw as the page wants it: the last look, and memory over time."""

    def __init__(self, find: Callable[[], Looker], every_s: float = EVERY_S) -> None:
        """Look for the first time, so that a node that is not there is the caller's to say. `find`: see Follower."""
        self._follower = Follower(find)
        self._every_s = every_s
        self._history: deque[Point] = deque(maxlen=POINTS)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dashboard sampler", daemon=True)
        self._began_s, self._cpu_s = time.monotonic(), time.process_time()
        self._kept: Snapshot | None = None
        self._encoded = b"{}"
        self._keep()

    def start(self) -> None:
        """Look every `every_s` from now on, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; blocks until the look that is under way is over."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def state(self) -> bytes:
        """Return the last look as JSON, with `age_s`, how old it is. From any thread; costs a copy."""
        age_s = max(0.0, time.time() - self._follower.last.at)
        return b'{"age_s":%.1f,' % age_s + self._encoded[1:]

    def history(self) -> bytes:
        """Return memory over time as JSON: a list of points."""
        return msgspec.json.encode(list(self._history))

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            try:
                self._follower.look()
                self._keep()
            except Exception as error:  # a bug of ours must not blind the page for good, and must be seen on it
                self._keep(f"This look failed: {type(error).__name__}: {error}")

    def _keep(self, problem: str = "") -> None:
        look = self._follower.last
        if look is self._kept and not problem:
            return  # the observer had no new look: it keeps its own pace
        self._kept = None if problem else look
        now = point(look)
        if now is not None and (not self._history or self._history[-1].at < now.at):
            self._history.append(now)
        share = (time.process_time() - self._cpu_s) / max(time.monotonic() - self._began_s, 1.0)
        self._encoded = encode(look, own_share=share, problem=problem)
