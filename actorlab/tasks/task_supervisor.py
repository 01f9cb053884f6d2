"""TaskSupervisor: functions that run as supervised actors: one by one, or over a stream of items.

Edge (starts actors through a supervisor); used by threads, handlers and async code. The model is Elixir's
Task.Supervisor. Tasks are temporary children of a `DynamicSupervisor`, which may be part of a tree: they end with it,
show in it, and are never restarted. A function runs in whatever worker is next, is sent by pickle, and may be async.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..actor import ERROR, Actor, ActorRef, Placement, request_with, running_actor
from ..errors import SpecError
from ..supervision import ChildSpec, DynamicSupervisor, child
from .starting import Starting
from .task import Task
from .task_actor import QuietTaskActor, TaskActor, is_async
from .task_stream import TaskStream


class TaskSupervisor:
    """Runs functions in actors of their own."""

    def __init__(self, supervisor: ActorRef[Any]) -> None:
        """Run tasks under a dynamic supervisor that runs already: `node.whereis("tasks")`."""
        self.supervisor = supervisor

    @classmethod
    def start(cls, node: Any, name: str | None = None, *, max_children: int | None = None) -> TaskSupervisor:
        """Start a dynamic supervisor of its own at the top of the node's tree, and return a TaskSupervisor of it."""
        return cls(node.start(DynamicSupervisor(name, max_children=max_children)))

    # -- one task -------------------------------------------------------------------------------------------------

    def run(
        self,
        function: Callable[..., Any],
        *args: Any,
        linked: bool = False,
        placement: Placement = "any",
        **kwargs: Any,
    ) -> Task:
        """Run `function(*args, **kwargs)` in an actor of its own; return a future of what comes of it.

        Not linked, its failure is in the future and nowhere else (Elixir's `async_nolink`). Linked, from a handler: the
        calling actor and the task end with each other, unless by `normal` (`async`). Blocks or parks until its actor
        has started; in async code write `await tasks.arun(…)`. Raises StartError, and RuntimeError to link where no
        actor runs.
        """
        owner = _owner() if linked else None
        ref = Starting(self.supervisor.request.start_child(_spec(linked, placement))).get()
        return _begin(ref, owner, function, args, kwargs)

    async def arun(
        self,
        function: Callable[..., Any],
        *args: Any,
        linked: bool = False,
        placement: Placement = "any",
        **kwargs: Any,
    ) -> Task:
        """`run` for async code."""
        owner = _owner() if linked else None
        ref = await Starting(self.supervisor.request.start_child(_spec(linked, placement)))
        return _begin(ref, owner, function, args, kwargs)

    # -- many -------------------------------------------------------------------------------------------------------

    def stream(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        max_concurrency: int = 4,
        ordered: bool = True,
        timeout_s: float | None = 5.0,
        errors: str = "raise",
        linked: bool = False,
    ) -> TaskStream:
        """Run `function(item)` for each item, at most `max_concurrency` at a time; iterate over the results.

        `for result in tasks.stream(…)`, or `async for`. `items` may be endless: they are taken as they are needed.
        Results come in the order of the items, or (`ordered=False`) as they are ready. An item has `timeout_s` from
        when it began; then its task is ended, and its answer, should it come, discarded. The first error ends the
        stream and all its tasks (`errors="raise"`), or stands where its result would (`"yield"`). `linked`: if the
        calling actor ends other than normally, so do the tasks. Leaving the loop ends what is under way.
        """
        if type(max_concurrency) is not int or max_concurrency < 1:
            raise SpecError("tasks.max_concurrency", f"must be a whole number from 1, not {max_concurrency!r}")
        if timeout_s is not None and not timeout_s > 0:
            raise SpecError("tasks.timeout_s", f"must be more than 0 s, or None, not {timeout_s!r}")
        if errors not in ("raise", "yield"):
            raise SpecError("tasks.errors", f"must be 'raise' or 'yield', not {errors!r}")
        return TaskStream(
            self.supervisor, function, iter(items), max_concurrency, ordered, timeout_s, errors == "yield",
            _owner() if linked else None,
        )  # fmt: skip

    # -- all of them --------------------------------------------------------------------------------------------------

    def count(self) -> int:
        """Return how many tasks are under way."""
        return int(self.supervisor.call.count_children().active)

    def stop(self) -> None:
        """End all tasks, and the supervisor."""
        self.supervisor.stop()


def _spec(linked: bool, placement: Placement) -> ChildSpec:
    return child(TaskActor if linked else QuietTaskActor, restart="temporary", placement=placement, shutdown=1.0)


def _owner() -> Actor:
    actor: Actor | None = running_actor()
    if actor is None:
        raise RuntimeError("linked=True ties a task to the actor that runs it: there is none here, leave it out")
    return actor


def _begin(
    ref: ActorRef[Any], owner: Actor | None, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Task:
    if owner is not None:
        owner.link(ref)
        ref.cast.tie(owner.ref)
    name = getattr(function, "__qualname__", None) or type(function).__name__
    task = Task(f"the task {name}()", ref)
    method = "run" if is_async(function) else "run_plain"
    request_with(task, ref, method, (function, args, kwargs))
    if task.state == ERROR:
        ref.exit("kill")  # it was not sent, or has failed already: nobody else would end it
    return task
