"""What `growing.py` has Thespian and Dask do: they are asked one after the other, started, and weighed.

The actors of both must be of a module that their processes can import.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import crowd
import playing
from ways import WAIT_S, Way, each, timed


class Thespian(Way):
    """Each actor is a process, made by one that nobody asked for: the actor system's."""

    def __init__(self, workers: int) -> None:
        from thespian.actors import ActorSystem

        super().__init__(workers)
        self.system = ActorSystem("multiprocTCPBase", logDefs={"version": 1}, transientUnique=True)

    def grow(self, n: int) -> None:
        from ways_thespian import Grown

        self.refs += [self.system.createActor(Grown) for _ in range(n - len(self.refs))]

    def ask(self, message: bytes, whom: Sequence[Any]) -> list[int]:
        return each(lambda one: self.system.ask(one, ("size", message), WAIT_S), whom)

    def tell(self, message: bytes, whom: Sequence[Any]) -> float:
        return timed(lambda: self.ask(message, whom))

    def memory(self) -> float:
        import psutil

        a_member = self.system.ask(self.refs[0], ("pid",), WAIT_S)
        return playing.memory("pss", psutil.Process(a_member).ppid())

    def end(self) -> None:
        self.system.shutdown()


class Dask(Way):
    """A local cluster; each worker is a process, with a nanny in this one."""

    def __init__(self, workers: int) -> None:
        from dask.distributed import Client, LocalCluster

        super().__init__(workers)
        how = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
        self.cluster = LocalCluster(n_workers=workers, **how)
        self.client = Client(self.cluster)

    def grow(self, n: int) -> None:
        more = range(n - len(self.refs))
        self.refs += self.client.gather([self.client.submit(crowd.Member, actor=True, pure=False) for _ in more])

    def ask(self, message: bytes, whom: Sequence[Any]) -> list[int]:
        return each(lambda one: one.size(message).result(), whom)

    def fan(self, message: bytes) -> float:
        return timed(lambda: [asked.result() for asked in [one.size(message) for one in self.refs]])

    def tell(self, message: bytes, whom: Sequence[Any]) -> float:
        return timed(lambda: [told.result() for told in [one.take(message) for one in whom]])

    def end(self) -> None:
        self.client.close()
        self.cluster.close()
