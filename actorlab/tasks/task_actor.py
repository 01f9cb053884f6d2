"""TaskActor: the actor that a task is, and the one that does a stream's tasks one after another.

Actors; started by `TaskSupervisor` only. A task ends with its function; an exception of the function is the caller's,
and ends a linked task's actor by itself, so that it travels along the link.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from ..actor import Actor, ActorRef, tie_to


class Tied(Actor):
    """What ends with its owner, if it has one."""

    def tie(self, owner: ActorRef[Any]) -> None:
        """End at once when `owner` ends other than normally."""
        tie_to(owner)


class TaskActor(Tied):
    """Calls one function, answers with what it returns, and ends."""

    async def run(self, function: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call an async function."""
        try:
            result = await function(*args, **kwargs)
        except self.reply_errors:
            self.stop()
            raise
        self.stop()
        return result

    def run_plain(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a plain function: in a greenlet, where it may call actors and wait."""
        try:
            result = function(*args, **kwargs)
        except self.reply_errors:
            self.stop()
            raise
        self.stop()
        return result


class QuietTaskActor(TaskActor):
    """The same, whose exceptions are answers and nothing else: of tasks that are not linked."""

    reply_errors = (Exception,)


class StreamTaskActor(Tied):
    """Calls a function for one item after another."""

    reply_errors = (Exception,)

    async def run(self, function: Callable[..., Any], item: Any) -> Any:
        """Call an async function with one item."""
        return await function(item)

    def run_plain(self, function: Callable[..., Any], item: Any) -> Any:
        """Call a plain function with one item."""
        return function(item)


def is_async(function: Any) -> bool:
    """Whether calling a function gives a coroutine, as far as one can see."""
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
