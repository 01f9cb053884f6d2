"""Functions and actors for the tests of tasks; imported by the workers."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import actorlab as al


def double(n: int) -> int:
    return 2 * n


async def adouble(n: int) -> int:
    await asyncio.sleep(0)
    return 2 * n


def pid(_: Any = None) -> int:
    return os.getpid()


def fail(n: Any = None) -> Any:
    raise LookupError(f"no {n}")


def fail_at_three(n: int) -> int:
    if n == 3:
        raise LookupError("three")
    return n


def ask(ref: Any, n: int) -> Any:
    """A task may call actors."""
    return ref.call.echo(n)


async def hold(path: str) -> str:
    Path(path + ".held").touch()
    while not os.path.exists(path):
        await asyncio.sleep(0.001)
    return path


async def slow_if(n: int) -> int:
    if n == 2:
        await asyncio.sleep(3600)
    return n


def die(_: Any = None) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def in_turn(pair: tuple[str, str]) -> str:
    """Wait for one file, then make another."""
    wait_for, make = pair
    while wait_for and not os.path.exists(wait_for):
        await asyncio.sleep(0.001)
    if make:
        Path(make).touch()
    return make


class Owner(al.Actor):
    """Has tasks."""

    def echo(self, n: Any) -> Any:
        return n

    def run_linked(self, supervisor: Any, function: Any, *args: Any) -> None:
        self.task = al.TaskSupervisor(supervisor).run(function, *args, linked=True)

    def run_at(self, supervisor: Any, place: int) -> None:
        self.task = al.TaskSupervisor(supervisor).run(double, 1, placement=place)

    def run_and_get(self, supervisor: Any, function: Any, *args: Any) -> Any:
        return al.TaskSupervisor(supervisor).run(function, *args).get(timeout=10)

    async def arun_and_get(self, supervisor: Any, function: Any, *args: Any) -> Any:
        return await (await al.TaskSupervisor(supervisor).arun(function, *args))

    def stream(self, supervisor: Any, n: int) -> list[int]:
        return list(al.TaskSupervisor(supervisor).stream(double, range(n), max_concurrency=3))

    async def astream(self, supervisor: Any, n: int) -> list[int]:
        stream = al.TaskSupervisor(supervisor).stream(adouble, range(n), max_concurrency=3)
        return [result async for result in stream]

    def boom(self) -> None:
        raise RuntimeError("boom")
