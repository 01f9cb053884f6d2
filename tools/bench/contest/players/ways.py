"""What `growing.py` has each framework do, in batches: ask, tell, look up names; start, weigh, be killed.

A class each; what it cannot do it does not have. A framework, and what it needs, is imported only when it is made, for
that is part of its start.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

import crowd
import playing

WAIT_S = 120


class Way:
    """A framework that has `workers` processes beside this one."""

    def __init__(self, workers: int) -> None:
        self.workers, self.named = workers, 0
        self.refs: list[Any] = []

    @classmethod
    def prepare(cls) -> None:
        """Do what need not be done at each start."""

    def grow(self, n: int) -> None:
        """Have `n` actors in all."""
        raise NotImplementedError

    def ask(self, message: bytes, whom: Sequence[Any]) -> list[int]:
        """Ask each in turn; return what each took, in ns."""
        raise NotImplementedError

    def fan(self, message: bytes) -> float:
        """Ask all at once; return the seconds until all have answered."""
        raise NotImplementedError

    def send(self, message: bytes, whom: Sequence[Any]) -> None:
        """Tell each in turn."""
        raise NotImplementedError

    def pour(self, message: bytes, n: int) -> None:
        """Have each worker tell an actor of the next, `n` times each."""
        raise NotImplementedError

    def taken(self) -> int:
        """Return how many messages the actors of all processes have taken so far."""
        raise NotImplementedError

    def tell(self, message: bytes, whom: Sequence[Any]) -> float:
        """Tell each in turn; return the seconds until all is handled."""
        return self._until_taken(lambda: self.send(message, whom), len(whom))

    def ring(self, message: bytes, n: int) -> float:
        """Pour; return the seconds until all is handled."""
        return self._until_taken(lambda: self.pour(message, n), n * self.workers)

    def _until_taken(self, work: Callable[[], None], n: int) -> float:
        before, started = self.taken(), time.perf_counter()
        work()
        playing.until(lambda: self.taken() >= before + n, WAIT_S)
        return time.perf_counter() - started

    def name(self, n: int) -> None:
        """Have the names `agent-0` and so on, `n` in all."""
        raise NotImplementedError

    def look_up(self, names: Sequence[str]) -> list[int]:
        """Look up each in turn; return what each took, in ns."""
        raise NotImplementedError

    def bring_back(self, n: int) -> float:
        """Have `n` actors, SIGKILL the process they are in; return the seconds until all answer again."""
        raise NotImplementedError

    def memory(self) -> float:
        """Return the PSS of everything, in bytes."""
        return playing.memory("pss")

    def end(self) -> None:
        """Leave nothing behind."""


def timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def each(operation: Callable[[Any], Any], items: Sequence[Any]) -> list[int]:
    now, times = time.perf_counter_ns, []
    for item in items:
        started = now()
        operation(item)
        times.append(now() - started)
    return times


class Ours(Way):
    def __init__(self, workers: int) -> None:
        import actorlab as al

        class Grown(crowd.Member, al.Actor):
            def pour(self, other: Any, message: bytes, n: int) -> None:
                take = other.cast.take
                for _ in range(n):
                    take(message)

        super().__init__(workers)
        self.al, self.cls, self.node = al, Grown, al.Node(workers=workers)
        self.there = [self.node.spawn(Grown, placement=i + 1) for i in range(workers)]
        self.pouring = [self.node.spawn(Grown, placement=i + 1) for i in range(workers)]

    def grow(self, n: int) -> None:
        self.refs += self.node.spawn_many(self.cls, n - len(self.refs))

    def ask(self, message: bytes, whom: Sequence[Any]) -> list[int]:
        return each(lambda ref: ref.call.size(message), whom)

    def fan(self, message: bytes) -> float:
        return timed(lambda: self.al.gather(*(ref.request.size(message) for ref in self.refs)).get(timeout=WAIT_S))

    def send(self, message: bytes, whom: Sequence[Any]) -> None:
        for ref in whom:
            ref.cast.take(message)

    def bring_back(self, n: int) -> float:
        al, jobs = self.al, self.node.start(self.al.DynamicSupervisor(name="jobs", max_restarts=100))
        child = al.child(self.cls, placement=2)
        for first in range(0, n, 1000):
            jobs.within(WAIT_S).call.start_children([child] * min(1000, n - first))
        refs = [one.ref for one in jobs.within(WAIT_S).call.which_children()]

        def kill() -> None:
            os.kill(pid, signal.SIGKILL)
            left = refs
            while left:  # who died, was asked for nothing
                asked = [(ref, ref.request.pid()) for ref in left]
                left = [ref for ref, answer in asked if self._failed(answer)]

        pid = refs[0].call.pid()
        return timed(kill)

    def _failed(self, answer: Any) -> bool:
        try:
            answer.get(timeout=WAIT_S)
        except self.al.CallError:
            return True
        return False

    def pour(self, message: bytes, n: int) -> None:
        if self.workers == 1:
            self.send(message, self.there * n)
            return
        others = self.there[1:] + self.there[:1]
        poured = [one.request.pour(other, message, n) for one, other in zip(self.pouring, others, strict=True)]
        for one in poured:
            one.get(timeout=WAIT_S)

    def taken(self) -> int:
        return sum(one.within(WAIT_S).call.taken() for one in self.there)

    def name(self, n: int) -> None:
        for i in range(self.named, n):
            self.node.register(f"agent-{i}", self.there[0])
        self.named = n

    def look_up(self, names: Sequence[str]) -> list[int]:
        return each(self.node.whereis, names)

    def end(self) -> None:
        self.node.stop()


class Ray(Way):
    """Each actor is a process, so the workers are the actors."""

    def __init__(self, workers: int) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        import ray

        class Grown(crowd.Member):
            def pour(self, other: Any, message: bytes, n: int) -> None:
                for _ in range(n):
                    other.take.remote(message)

        super().__init__(workers)
        ray.init(num_cpus=200, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        self.ray, self.cls = ray, ray.remote(num_cpus=0)(Grown)
        self.lasting = self.cls.options(max_restarts=-1, max_task_retries=-1)

    def grow(self, n: int) -> None:
        self.refs += [self.cls.remote() for _ in range(n - len(self.refs))]
        self.taken()

    def ask(self, message: bytes, whom: Sequence[Any]) -> list[int]:
        return each(lambda ref: self.ray.get(ref.size.remote(message)), whom)

    def fan(self, message: bytes) -> float:
        return timed(lambda: self.ray.get([ref.size.remote(message) for ref in self.refs]))

    def bring_back(self, n: int) -> float:
        def kill() -> None:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            back: list[int] = pids
            while set(back) & set(pids):
                back = self.ray.get([ref.pid.remote() for ref in refs])

        refs = [self.lasting.remote() for _ in range(n)]
        pids = self.ray.get([ref.pid.remote() for ref in refs])
        return timed(kill)

    def send(self, message: bytes, whom: Sequence[Any]) -> None:
        for ref in whom:
            ref.take.remote(message)

    def pour(self, message: bytes, n: int) -> None:
        if self.workers == 1:
            self.send(message, self.refs * n)
            return
        others = self.refs[1:] + self.refs[:1]
        self.ray.get([one.pour.remote(other, message, n) for one, other in zip(self.refs, others, strict=True)])

    def taken(self) -> int:
        return sum(self.ray.get([one.taken.remote() for one in self.refs]))

    def name(self, n: int) -> None:
        self.refs += [self.cls.options(name=f"agent-{i}").remote() for i in range(self.named, n)]
        self.named = n
        self.taken()

    def look_up(self, names: Sequence[str]) -> list[int]:
        return each(self.ray.get_actor, names)

    def end(self) -> None:
        self.refs.clear()
        self.ray.shutdown()


class Xoscar(Way):
    """Its main process asks; every other process of the pool is a worker."""

    def __init__(self, workers: int) -> None:
        import asyncio

        import xoscar as xo
        from xoscar.backends.allocate_strategy import ProcessIndex

        super().__init__(workers)
        self.xo, self.place, self.asyncio, self.loop = xo, ProcessIndex, asyncio, asyncio.new_event_loop()
        self.address = f"127.0.0.1:{12700 + workers}"
        how = {"auto_recover": "actor", "subprocess_start_method": "spawn"}
        self.pool = self._do(xo.create_actor_pool(self.address, n_process=workers, **how))
        self._do(self.pool.start())
        self.there = [self._do(self._create(i)) for i in range(workers)]

    def _do(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    def _create(self, i: int, **options: Any) -> Any:
        from ways_xoscar import Grown

        place = self.place(1 + i % self.workers)
        return self.xo.create_actor(Grown, address=self.address, allocate_strategy=place, **options)

    def grow(self, n: int) -> None:
        async def create() -> None:
            for i in range(len(self.refs), n):
                self.refs.append(await self._create(i))

        self._do(create())

    def ask(self, message: bytes, whom: Sequence[Any]) -> list[int]:
        async def ask() -> list[int]:
            now, times = time.perf_counter_ns, []
            for ref in whom:
                started = now()
                await ref.size(message)
                times.append(now() - started)
            return times

        return self._do(ask())

    def fan(self, message: bytes) -> float:
        async def ask() -> None:
            await self.asyncio.gather(*(ref.size(message) for ref in self.refs))

        return timed(lambda: self._do(ask()))

    def bring_back(self, n: int) -> float:
        async def create() -> list[Any]:
            return [await self._create(1) for _ in range(n)]

        async def until_all_answer() -> None:
            left = refs
            while left:
                asked = (self.asyncio.wait_for(ref.pid(), 10) for ref in left)
                answers = await self.asyncio.gather(*asked, return_exceptions=True)
                said = zip(left, answers, strict=True)
                left = [ref for ref, answer in said if answer == pid or not isinstance(answer, int)]
                await self.asyncio.sleep(0.002)

        def kill() -> None:
            os.kill(pid, signal.SIGKILL)
            self._do(until_all_answer())

        refs = self._do(create())
        pid = self._do(refs[0].pid())
        return timed(kill)

    def send(self, message: bytes, whom: Sequence[Any]) -> None:
        async def send() -> None:
            for ref in whom:
                await ref.take.tell(message)

        self._do(send())

    def pour(self, message: bytes, n: int) -> None:
        async def pour() -> None:
            others = self.there[1:] + self.there[:1]
            pairs = zip(self.there, others, strict=True)
            await self.asyncio.gather(*(one.pour(other, message, n) for one, other in pairs))

        if self.workers == 1:
            self.send(message, self.there * n)
        else:
            self._do(pour())

    def taken(self) -> int:
        async def taken() -> int:
            return sum([await one.taken() for one in self.there])

        return self._do(taken())

    def name(self, n: int) -> None:
        async def create() -> None:
            for i in range(self.named, n):
                await self._create(i, uid=f"agent-{i}")

        self._do(create())
        self.named = n

    def look_up(self, names: Sequence[str]) -> list[int]:
        async def look_up() -> list[int]:
            now, times = time.perf_counter_ns, []
            for name in names:
                started = now()
                await self.xo.actor_ref(self.address, name)
                times.append(now() - started)
            return times

        return self._do(look_up())

    def end(self) -> None:
        self._do(self.pool.stop())
        self.loop.close()


class Pykka(Way):
    """Threads of this process, whatever the number of workers."""

    def __init__(self, workers: int) -> None:
        import pykka

        class Grown(crowd.Member, pykka.ThreadingActor):
            use_daemon_thread = True

            def on_receive(self, message: Any) -> Any:
                name, *args = message
                return getattr(self, name)(*args)

        super().__init__(workers)
        self.pykka, self.cls = pykka, Grown

    def grow(self, n: int) -> None:
        self.refs += [self.cls.start() for _ in range(n - len(self.refs))]

    def ask(self, message: bytes, whom: Sequence[Any]) -> list[int]:
        return each(lambda ref: ref.ask(("size", message)), whom)

    def fan(self, message: bytes) -> float:
        asked = (ref.ask(("size", message), block=False) for ref in self.refs)
        return timed(lambda: self.pykka.get_all(list(asked), timeout=WAIT_S))

    def send(self, message: bytes, whom: Sequence[Any]) -> None:
        for ref in whom:
            ref.tell(("take", message))

    def taken(self) -> int:
        return crowd.Member().taken()

    def name(self, n: int) -> None:
        self.grow(n)

    def look_up(self, names: Sequence[str]) -> list[int]:
        urns = [self.refs[int(name.partition("-")[2])].actor_urn for name in names]
        return each(self.pykka.ActorRegistry.get_by_urn, urns)

    def end(self) -> None:
        self.pykka.ActorRegistry.stop_all(block=False)


class Processes(Way):
    """Bare: a process and a pipe for each that is asked; a dictionary in a manager's process for names."""

    def __init__(self, workers: int) -> None:
        import multiprocessing

        super().__init__(workers)
        self.context, self.manager = multiprocessing.get_context("spawn"), None

    def grow(self, n: int) -> None:
        self.refs += [self._start()[1] for _ in range(n - len(self.refs))]
        self.taken()

    def _start(self) -> tuple[Any, Any]:
        ours, theirs = self.context.Pipe()
        process = self.context.Process(target=crowd.serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        return process, ours

    def bring_back(self, n: int) -> float:
        def kill() -> None:
            for process, _ in started:
                process.kill()
            for process, _ in started:
                process.join()
            self.grow(n)

        started = [self._start() for _ in range(n)]
        return timed(kill)

    def ask(self, message: bytes, whom: Sequence[Any]) -> list[int]:
        def ask(end: Any) -> None:
            end.send(("size", message))
            end.recv()

        return each(ask, whom)

    def fan(self, message: bytes) -> float:
        def ask() -> None:
            for end in self.refs:
                end.send(("size", message))
            for end in self.refs:
                end.recv()

        return timed(ask)

    def send(self, message: bytes, whom: Sequence[Any]) -> None:
        for end in whom:
            end.send(("take", message))

    def taken(self) -> int:
        for end in self.refs:
            end.send(("taken",))
        return sum(end.recv() for end in self.refs)

    def name(self, n: int) -> None:
        if self.manager is None:
            self.manager = self.context.Manager()
            self.names = self.manager.dict()
        self.names.update({f"agent-{i}": i for i in range(self.named, n)})
        self.named = n

    def look_up(self, names: Sequence[str]) -> list[int]:
        return each(self.names.get, names)

    def end(self) -> None:
        for end in self.refs:
            end.send(None)
        if self.manager is not None:
            self.manager.shutdown()


class Beam(Way):
    """Two virtual machines: the processes are in one, the other asks."""

    folder: Any = None

    @classmethod
    def prepare(cls) -> None:
        import tempfile

        from beam_player import compiled

        cls.folder = tempfile.TemporaryDirectory()
        compiled(cls.folder.name)

    def __init__(self, workers: int) -> None:
        from beam_player import Pair

        super().__init__(workers)
        self.pair = Pair(self.folder.name)

    def grow(self, n: int) -> None:
        self.pair.drives.does("grow", n)
        self.refs = list(range(n))

    def ask(self, message: bytes, whom: Sequence[Any]) -> list[int]:
        return self.pair.drives.does("ask_each", len(whom), len(message))

    def fan(self, message: bytes) -> float:
        return self.pair.drives.does("ask_all", len(message))[0] / 1e9

    def memory(self) -> float:
        return self.pair.memory("pss")

    def tell(self, message: bytes, whom: Sequence[Any]) -> float:
        return self.pair.drives.does("tell_each", len(whom), len(message))[0] / 1e9

    def name(self, n: int) -> None:
        self.pair.drives.does("name", self.named, n)
        self.named = n

    def look_up(self, names: Sequence[str]) -> list[int]:
        return self.pair.drives.does("look_up", len(names), self.named)

    def end(self) -> None:
        self.pair.end()
