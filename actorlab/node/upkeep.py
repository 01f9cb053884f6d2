"""Upkeep: what a node's user does to its worker processes while their actors live.

Edge (blocks on the controller's work); a part of `Node`'s face, apart for its size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .controller import Controller


class Upkeep:
    """Worker processes exchanged, added and drained; nothing is lost by any of it."""

    _controller: Controller

    def recycle_worker(self, number: int) -> int:
        """Give a worker's place to a fresh process, which goes on with all its actors and their queues; return its pid.

        Blocks until it is ready. Nothing is lost, no reference changes, nobody is told. Raises NotMovable naming the
        actor that cannot go along (then the worker is as it was), WorkerLost if it died meanwhile.
        """
        return self._controller.recycler.recycle(number)

    def add_worker(self) -> int:
        """Give a drained worker a process of its own again, or make one more worker; return its number. Blocks."""
        return self._controller.hosting.add()

    def drain_worker(self, number: int) -> None:
        """Empty a worker's process and end it: another one's takes its actors in, as `recycle_worker` would. Blocks.

        Its number stays a place: references stay good, and who is placed there by number finds it with its host.
        """
        self._controller.hosting.drain(number)

    def rolling_restart(self) -> list[int]:
        """Recycle every worker, one after another, into processes that have imported everything anew; return the pids.

        So new code serves with nothing lost: actors, queues and names go along. Of a class that has changed, the new
        one's `__setstate__`, or `restore`, is given the old one's state. Raises what `recycle_worker` does; then the
        workers before run the new code and the others the old, and it can be called again.
        """
        return self._controller.recycler.restart_all()
