"""What runs in the forkserver, and in a worker process until it is told what it is.

Edge (processes, signals); `launch` starts both by name. The forkserver imports what the workers need, freezes it
out of the garbage collector's sight, then forks on request (multiprocess's own server). It runs no other code, so it
is the last one standing when the controller is killed: it sees to it that no worker and no file is left.

Guarantees: with the controller's end, a worker ends at once, by the kernel's hand: the read end of its lifeline (a
pipe whose only writer is the controller) raises SIGKILL when it hangs up, whether the worker sleeps, computes, or holds
the GIL in C code. Unlike the parent-death signal that does not depend on the thread that forked it, and
a killed *forkserver* harms no worker. Where a pipe raises no signal, a thread reads it and does the same: a worker that
holds the GIL in C code then lives on until it lets go of it, or the sentry kills it.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import json
import os
import select
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import multiprocess
import multiprocess.forkserver

from ..memory import has
from .code_pages import give_back_code
from .directory import remove_orphaned
from .forks import let_go_in_children

SINGLE_THREADED = {"JE_ARROW_MALLOC_CONF": "background_thread:false", "OPENBLAS_NUM_THREADS": "1"}
"""Read by pyarrow and numpy when they load: without them both start threads, and forking with threads is unsound."""

FRUGAL = {"MIMALLOC_ARENA_EAGER_COMMIT": "0"}
"""Read by Arrow's allocator when it loads: else it begins with huge pages, 4 MB in each process that allocates a byte.
Whatever the user has set instead, is left as it is."""

_CONTROLLER_END_S = 5.0
_LEAVING_S = 0.2

Target = Callable[[bytes, Any], None]

_failures: list[tuple[str, str]] = []  # what the forkserver could not import; its children inherit the list
_forkserver_only: list[int] = []  # descriptors that a forked worker closes; empty where we were spawned


def serve(
    listener: int, alive: int, modules: list[str], directory: str, welcome: list[str], command: list[str]
) -> None:
    """Be the forkserver: import `modules`, then fork a process a request until the controller is gone.

    `listener` and `alive` are inherited descriptors: a listening Unix socket, and the read end of the pipe that only
    the controller holds open. Whatever an import raises is kept for the workers to report. The modules in `welcome`
    are not needed: what one of them raises, the worker that needs it will say; if one starts threads, this process
    begins anew without them, by `command`, which ends with their names. Returns when the controller is gone and all
    that it left has been cleaned up.
    """
    controller = os.pidfd_open(os.getppid())
    _forkserver_only.append(controller)
    refuse_interrupts()
    die_when_closed(alive)  # an import may take long, or for ever
    name_process("al-forkserver")
    with _environment(SINGLE_THREADED | {key: os.environ.get(key, value) for key, value in FRUGAL.items()}):
        _failures.extend(import_all(modules))
        threads = count_threads()
        if threads > 1:
            _failures.append((", ".join(modules), f"started {threads - 1} threads, with which forking is unsafe"))
        elif welcome:
            import_all(welcome)
            if count_threads() > 1:
                for descriptor in (listener, alive):
                    os.set_inheritable(descriptor, True)
                os.execv(sys.executable, command[: -len(welcome)])
    gc.collect()
    gc.freeze()  # pages that the collector never touches stay shared with the workers
    give_back_code()
    fcntl.fcntl(alive, fcntl.F_SETFL, fcntl.fcntl(alive, fcntl.F_GETFL) & ~os.O_ASYNC)
    try:
        multiprocess.forkserver.main(listener, alive, None)
    except SystemExit:
        # The controller ended without stopping us (an ordered stop kills the forkserver). Any other exception, say a
        # fork that the system refused, ends the forkserver but must not touch the workers: the next launch replaces it.
        _end_children()
        select.select([controller], [], [], _CONTROLLER_END_S)  # it closes our pipe before it closes its locks
        remove_orphaned(Path(directory))


def count_threads() -> int:
    """Return how many threads this process has, Python's and others.

    One that has been joined may be a moment on its way out of the kernel: it is waited for, not counted.
    """
    end = time.monotonic() + _LEAVING_S
    while True:
        number = len(os.listdir("/proc/self/task"))
        if number <= threading.active_count() or time.monotonic() > end:
            return number
        time.sleep(0.001)


def _end_children() -> None:
    try:
        with open("/proc/thread-self/children", encoding="ascii") as file:
            children = [int(pid) for pid in file.read().split()]
    except OSError:
        children = []  # a kernel without that file: their lifelines do it alone
    for pid in children:
        os.kill(pid, signal.SIGKILL)  # ours and not yet waited for, so the pid is nobody else's
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        pass


class Mark:
    """The end of a pipe that this process keeps open as long as it lives, and no child of its."""

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        self.fd = fd
        let_go_in_children(self)

    def close_in_child(self) -> None:
        """In a forked child: our end is not its."""
        os.close(self.fd)


_marks: list[Mark] = []


def begin(control: Any, target: str, modules: list[str], mark: int = -1) -> None:
    """Be a worker process: get ready, say so on `control`, wait for the assignment, and call `target` with it.

    `mark` is a descriptor by whose closing our end is seen, where there are no pidfds.
    `target` is "module:function", called as `function(assignment, control)`. A process that cannot get ready says
    why and exits with 1; one whose control is closed before it had an assignment exits with 0.
    """
    refuse_interrupts()
    if mark >= 0:
        _marks.append(Mark(mark))
    die_when_closed(multiprocess.parent_process().sentinel)
    name_process("al-worker")
    sys.modules["__main__"] = types.ModuleType("__main__")  # neither the user's nor the launcher's
    failures = list(_failures) if _forkserver_only else import_all(modules)
    while _forkserver_only:
        os.close(_forkserver_only.pop())
    call: Target | None = None
    if not failures:
        try:
            call = resolve(target)
        except Exception as error:
            failures = [(target, describe(error))]
    gc.freeze()
    control.send_bytes(json.dumps({"pid": os.getpid(), "failures": failures}).encode())
    try:
        # Also with failures: were we gone before the launcher has our pidfd, it could not ask us why.
        assignment = control.recv_bytes()
    except EOFError:
        return
    if call is None:
        raise SystemExit(1)
    call(assignment, control)


def resolve(target: str) -> Target:
    """Return the function that "module:function" names."""
    module, _, name = target.partition(":")
    found = getattr(importlib.import_module(module), name)
    if not callable(found):
        raise TypeError(f"{target} is not callable")
    return found  # type: ignore[no-any-return]


def import_all(modules: Iterable[str]) -> list[tuple[str, str]]:
    """Import each module; return (module, why) for those that failed, in whatever way."""
    failures = []
    for module in modules:
        try:
            importlib.import_module(module)
        except BaseException as error:  # an import that exits must not take the forkserver with it
            failures.append((module, describe(error)))
    return failures


def describe(error: BaseException) -> str:
    """Return the error as one line."""
    return f"{type(error).__name__}: {error}"


def refuse_interrupts() -> None:
    """Ignore SIGINT for good: Ctrl-C reaches every process of the terminal, but only the controller decides.

    The launcher started us with it blocked, so that none slipped in before.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def die_when_closed(lifeline: int) -> None:
    """Have the kernel SIGKILL this process as soon as the last writer of the pipe `lifeline` closes it, or has."""
    if not has("close_signal"):
        threading.Thread(target=_die_at_the_end_of, args=(lifeline,), name="actorlab lifeline", daemon=True).start()
        return
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    # It may have been closed before we were listening.
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    if poll.poll(0):
        os.kill(os.getpid(), signal.SIGKILL)


def _die_at_the_end_of(lifeline: int) -> None:
    while True:
        try:
            if not os.read(lifeline, 1):
                break
        except OSError:
            break  # whoever closed it here has cut us off
    os.kill(os.getpid(), signal.SIGKILL)


def flush_streams() -> None:
    """Write out what was printed: for whoever forks, or ends without the interpreter's own end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # closed, or none


def name_process(name: str) -> None:
    """Set what `ps` and `top` call this process; 15 characters. Not where there is no /proc."""
    if not has("proc"):
        return
    try:
        with open("/proc/self/comm", "w", encoding="ascii") as file:
            file.write(name)
    except OSError:
        pass


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Set variables for a while, and give the user's own values back to the workers and their children."""
    before = {key: os.environ.get(key) for key in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value
