"""Crash points: the places between two stores where the tests kill a process, or switch to another one.

An edge; used by tests and the fault-injection kit. A crash point is a comment, `# crash: label`, so it costs nothing:
`arm_crashpoints(module)` compiles the module's source once more with calls in the comments' places, and puts the new
code into the functions and methods that exist. Without it nothing is changed.

    ACTORLAB_CRASHPOINT=send.tail:3      SIGKILL at the third pass of `send.tail`, in a process that armed its module
    ACTORLAB_CRASH_LOG=path              before each such SIGKILL its label is appended to that file
"""

from __future__ import annotations

import inspect
import os
import re
import signal
import types
from collections.abc import Callable, Mapping

ENVIRONMENT = "ACTORLAB_CRASHPOINT"
LOG = "ACTORLAB_CRASH_LOG"

_LINE = re.compile(r"^([ \t]*)# crash: ([a-z_.]+)[ \t]*$", re.MULTILINE)
_NAME = "__crashpoint__"


def crashpoint_labels(module: types.ModuleType) -> list[str]:
    """Return the labels of a module's crash points, in the order of its source."""
    return [label for _indent, label in _LINE.findall(inspect.getsource(module))]


def kill_at(label: str, n: int) -> Callable[[str], None]:
    """Return a hook that kills this process with SIGKILL at the `n`-th pass (from 1) of `label`."""
    left = n

    def hook(passed: str) -> None:
        nonlocal left
        if passed == label:
            left -= 1
            if left == 0:
                die_at(label)

    return hook


def die_at(label: str) -> None:
    """Kill this process with SIGKILL, after having written down where."""
    log = os.environ.get(LOG)
    if log:
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.write(descriptor, f"{label}\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)


def arm_crashpoints(module: types.ModuleType, hook: Callable[[str], object] | None = None) -> Callable[[], None]:
    """Let every crash point of `module` call `hook(label)` from now on, in this process; return what undoes it.

    Without a hook, ACTORLAB_CRASHPOINT says where to die: if it is not set, or names no crash point of this module,
    nothing is changed. Functions that closures were made of before (a `LaneWriter` made before) keep their old code.
    """
    if hook is None:
        label, _, n = os.environ.get(ENVIRONMENT, "").partition(":")
        if label not in crashpoint_labels(module):
            return lambda: None
        hook = kill_at(label, int(n or 1))
    source = _LINE.sub(rf'\1{_NAME}("\2")', inspect.getsource(module))
    code = compile(source, str(module.__file__), "exec", dont_inherit=True)
    module.__dict__[_NAME] = hook
    before = _replace(code, module.__dict__, module.__name__)

    def undo() -> None:
        for function, old in before:
            function.__code__ = old

    return undo


def _replace(
    code: types.CodeType, where: Mapping[str, object], module: str
) -> list[tuple[types.FunctionType, types.CodeType]]:
    """Put the code of each function and class body in `code` into its namesake in `where`; return the code it had."""
    before = []
    for inner in code.co_consts:
        if not isinstance(inner, types.CodeType):
            continue
        thing = where.get(inner.co_name)
        if isinstance(thing, property):  # of its getter and its setter, which have one name, the one on this line
            parts = (inspect.unwrap(one) for one in (thing.fget, thing.fset, thing.fdel) if one is not None)
            thing = next((one for one in parts if one.__code__.co_firstlineno == inner.co_firstlineno), None)
        thing = getattr(thing, "__func__", thing)
        thing = inspect.unwrap(thing) if callable(thing) else thing  # what a decorator stands before
        if isinstance(thing, types.FunctionType) and thing.__module__ == module:
            before.append((thing, thing.__code__))
            thing.__code__ = inner
        elif isinstance(thing, type) and thing.__module__ == module:
            before += _replace(inner, vars(thing), module)
    return before
