"""Worker: a worker process as the user sees it, at one moment.

Pure data; what `node.workers` returns.
"""

from __future__ import annotations


class Worker:
    """A worker process as the user sees it."""

    __slots__ = ("number", "pid", "recycles", "restarts")

    def __init__(self, number: int, pid: int, restarts: int, recycles: int = 0) -> None:
        self.number = number
        self.pid = pid
        self.restarts = restarts
        self.recycles = recycles

    def __repr__(self) -> str:
        return f"<worker {self.number}: pid {self.pid}, {self.restarts} restarts, {self.recycles} times recycled>"
