"""Where xoscar plays the Savina suite: an actor that makes the others beside itself, and waits for the result."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import savina
import xoscar as xo

_over: list[asyncio.Future[Any]] = []  # of the benchmark that is on: a future cannot be an argument


class Shell(xo.Actor):
    """Any part, as an actor of xoscar's: what its handler sent is told when the handler is over."""

    def __init__(self, part: type[savina.Part], args: tuple[Any, ...]) -> None:
        self.inner = part(*args)
        self.out: list[tuple[Any, Any]] = []
        self.inner.send = lambda ref, message: self.out.append((ref, message))
        self.inner.done = lambda result: _over[-1].set_result(result)

    async def __post_create__(self) -> None:
        self.inner.me = self.ref()

    async def on(self, message: Any) -> None:
        self.inner.on(message)
        out, self.out = self.out, []
        for ref, sent in out:
            await ref.on.tell(sent)


class Stage(xo.Actor):
    """Plays one benchmark after another."""

    async def play(self, name: str, n: int) -> tuple[bool, int, float]:
        benchmark = getattr(savina, name)
        over = asyncio.get_running_loop().create_future()
        _over[:] = [over]

        async def spawn(part: type[savina.Part], *args: Any) -> Any:
            return await xo.create_actor(Shell, part, args, address=self.address)

        began = time.perf_counter()
        messages, good, number = await benchmark(spawn, n)
        starter = await spawn(savina.Starter)
        if benchmark is not savina.forkjoin_create:
            began = time.perf_counter()
        await starter.on.tell(messages)
        result = await asyncio.wait_for(over, 120)
        return bool(good(result)), number, time.perf_counter() - began
