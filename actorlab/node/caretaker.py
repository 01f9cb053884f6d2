"""Caretaker: the thread of the controller's process in which the janitor looks after the node's pools.

Edge (a thread, files). Begins when there is a pool and ends with the node. Nobody waits for it: it frees what nobody
holds, tells subscribers what a killed publisher could not, compresses what is not read, and sees when somebody else
removes the node's files under its hands (logind does, at its user's last logout).
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from ..memory import POOLS, Janitor, look_after
from .runtime import ProcessRuntime, log

PERIOD_S = 1.0
_PATIENCE_S = 5.0


class Caretaker:
    """Looks after the pools of the node of `runtime`, and says so when something is in its way."""

    def __init__(self, runtime: ProcessRuntime) -> None:
        self._runtime = runtime
        runtime.pool_made = self.begin
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._lock = threading.Lock()

    def begin(self, directory: Path) -> None:
        """Look after the pools in `directory` from now on, if there are any and it does not yet. Costs a stat then."""
        if self._thread is not None or self._ended.is_set() or not (directory / POOLS).exists():
            return
        with self._lock:
            if self._thread is None and not self._ended.is_set():
                self._thread = threading.Thread(
                    target=self._run, args=(directory,), name="actorlab janitor", daemon=True
                )
                self._thread.start()

    def end(self) -> None:
        """End; blocks until it has let go of what it was at, for a compression about a second."""
        with self._lock:  # one that is being started is waited for, too
            self._ended.set()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_PATIENCE_S)
        for pool in self._runtime.pools.values():
            pool.close()

    def _run(self, directory: Path) -> None:
        janitors: dict[str, Janitor] = {}
        complained: list[tuple[str, str]] = []
        while True:
            try:
                failures = look_after(janitors, str(directory / POOLS))
                if not directory.exists() and not self._ended.is_set():
                    failures = [("", f"somebody removed {directory}: what is mapped stays readable, all else is gone")]
            except Exception:
                log.exception("the pools of %s cannot be looked after", directory)
                failures = []
            for failure in failures:
                if failure not in complained:
                    self._complain(*failure)
            complained = failures
            if self._ended.wait(PERIOD_S):
                break
        for janitor in janitors.values():
            janitor.close()

    def _complain(self, pool: str, text: str) -> None:
        said = f"pool {pool}: {text}" if pool else text
        self._runtime.report(logging.ERROR, "pool_trouble", said, {"pool": pool})
