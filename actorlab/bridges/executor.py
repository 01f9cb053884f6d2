"""ActorExecutor: the standard library's `Executor` on a supervised pool of actors.

Edge (a thread, actors); for code that knows `concurrent.futures` and nothing of us. Where `ProcessPoolExecutor` is
broken for good when one of its processes dies, here the one task that was in hand fails (or is tried again), its actor
is restarted, and the others go on. The queue is in the caller's process, so a task that has not begun can be cancelled.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ..actor import ActorRef, ProcessActor
from ..errors import ActorDied, CallError, SpecError
from ..lean_dataclass import dataclass
from ..supervision import PartitionSupervisor

if TYPE_CHECKING:
    from ..node import Node

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE_S = 3.0
"""How long a task waits for an actor that is being restarted."""


class Runner(ProcessActor):
    """Runs one function after another, in a thread of its own: what it runs may block, and may raise."""

    blocking = True

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what the function returns."""
        return function(*args, **kwargs)


@dataclass(slots=True, eq=False)
class _Task:
    future: Future[Any]
    call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
    tries: int


class ActorExecutor(Executor):
    """Runs calls in the worker processes of a node; a context manager like every executor.

    Functions, arguments and results travel by pickle (functions of `__main__` and lambdas by value). Any thread may
    submit.
    """

    def __init__(self, node: Node, max_workers: int | None = None, *, retries: int = 0, name: str = "executor") -> None:
        """Start `max_workers` actors (by default one a worker process) under a supervisor called `name`.

        `retries`: how often a task is begun again whose process died under it; it may then have run twice. Raises
        SpecError, StartError.
        """
        count = max_workers if max_workers is not None else max(1, len(node.workers))
        if count < 1:
            raise SpecError("max_workers", f"must be at least 1, not {count}")
        if retries < 0:
            raise SpecError("retries", f"must be at least 0, not {retries}")
        pool = PartitionSupervisor(Runner, partitions=count, name=name, max_restarts=1_000_000)
        self._root = node.start(pool)
        self._retries = retries
        call = self._root.call
        runners = (call.where_child(str(number)) for number in range(count))
        self._idle: deque[ActorRef[Runner]] = deque(runner for runner in runners if runner is not None)
        self._tasks: deque[_Task] = deque()
        self._in_hand = 0
        self._closed = False
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._answers: queue.SimpleQueue[tuple[_Task, ActorRef[Runner], Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._settle_all, name=f"actorlab {name}", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have `fn(*args, **kwargs)` run in a worker; return its future at once. RuntimeError after `shutdown`."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._tasks.append(_Task(future, (fn, args, kwargs), 0))
        self._dispatch()
        return future

    def map(
        self, fn: Callable[..., T], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[T]:
        """Yield the results in the order of the arguments, `chunksize` of them in each message."""
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout)
        rows = zip(*iterables, strict=False)
        chunks = iter(lambda: list(islice(rows, chunksize)), [])
        return (one for many in super().map(partial(_run_chunk, fn), chunks, timeout=timeout) for one in many)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks, let those that are queued run (or cancel them), then stop the actors. Idempotent."""
        with self._lock:
            self._closed = True
            if cancel_futures:
                for task in self._tasks:
                    task.future.cancel()
        self._dispatch()
        if wait and threading.current_thread() is not self._thread:
            self._over.wait()
            self._thread.join()

    # -- tasks: at most one at each actor, the others in line here ---------------------------------------------------

    def _dispatch(self) -> None:
        while True:
            with self._lock:
                while self._tasks and self._tasks[0].future.cancelled():
                    self._tasks.popleft().future.set_running_or_notify_cancel()
                if not self._tasks or not self._idle:
                    if self._closed and not self._tasks and not self._in_hand:
                        self._answers.put(None)
                    return
                task, runner = self._tasks.popleft(), self._idle.popleft()
                self._in_hand += 1
            if not task.tries and not task.future.set_running_or_notify_cancel():
                self._free(runner)
                continue
            self._send(task, runner)

    def _send(self, task: _Task, runner: ActorRef[Runner]) -> None:
        task.tries += 1
        try:
            answer = runner.request.run(*task.call)
        except CallError as error:
            self._answers.put((task, runner, error))
        else:
            answer.on_settled(lambda: self._answers.put((task, runner, answer)))

    def _free(self, runner: ActorRef[Runner]) -> None:
        with self._lock:
            self._idle.append(runner)
            self._in_hand -= 1

    def _settle_all(self) -> None:
        """Settle what is answered, in a thread of its own: what users hang on a future must not hold up the node."""
        while (done := self._answers.get()) is not None:
            task, runner, answer = done
            try:
                value = answer.get(timeout=0) if not isinstance(answer, CallError) else _raise(answer)
            except ActorDied as error:
                # never: it was down when we sent; else the worker or the task itself ended it
                again = task.tries <= self._retries + (error.delivery == "never")
                if again:
                    # in line before its actor is free: with neither a task nor one in hand a shutdown would end it all
                    with self._lock:
                        self._tasks.appendleft(task)
                    self._wait_for(runner)
                self._free(runner)
                if not again:
                    task.future.set_exception(error)
            except BaseException as error:
                self._free(runner)
                task.future.set_exception(error)
            else:
                self._free(runner)
                task.future.set_result(value)
            self._dispatch()
        self._root.stop()
        self._over.set()

    def _wait_for(self, runner: ActorRef[Runner]) -> None:
        """Wait until an actor has been restarted, so that its next task does not find it down."""
        waited, pause = 0.0, threading.Event()
        while not runner.is_alive() and waited < PATIENCE_S:
            pause.wait(0.01)
            waited += 0.01


def _raise(error: BaseException) -> Any:
    raise error


def _run_chunk(function: Callable[..., T], rows: list[tuple[Any, ...]]) -> list[T]:
    return [function(*row) for row in rows]
