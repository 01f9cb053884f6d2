"""Instructions: how many of the interpreter's instructions a thread executes; what noise does not move.

Edge (a trace function; `sys.monitoring` from Python 3.12 on). `watch` comes before the thread, or the process, whose
work is to be counted: a trace function is handed on to both. One thread at a time is counted: that which said `begin`.
Not seen is what the interpreter does within one instruction: a pickle is one.
"""

from __future__ import annotations

import operator
import sys
import threading
from _thread import get_ident
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

_count = [0]
_counted = [0]  # the thread's identity; 0: none
TOOL = 4  # a number that no debugger, profiler or coverage tool goes by

count: Callable[[], int] = partial(operator.itemgetter(0), _count)
"""Return how many have been counted so far, without executing one."""


def begin() -> None:
    """Count from here on, from 0; of a thread that is not watched nothing is seen."""
    _count[0] = 0
    _counted[0] = get_ident()
    if sys.version_info >= (3, 12) and sys.monitoring.get_tool(TOOL) is not None:
        sys.monitoring.set_events(TOOL, sys.monitoring.events.INSTRUCTION)


def end() -> int:
    """Count no more; return how many there were."""
    _counted[0] = 0
    if sys.version_info >= (3, 12) and sys.monitoring.get_tool(TOOL) is not None:
        sys.monitoring.set_events(TOOL, 0)
    return _count[0]


def _trace(frame: FrameType, event: str, _argument: Any) -> Any:
    if _counted[0] == get_ident():
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            _count[0] += 1
    return _trace


def watch() -> None:
    """Be ready to count in this thread, and in threads and processes that are made from here on."""
    if sys.version_info >= (3, 12):

        def one(_code: Any, _offset: int) -> None:
            if _counted[0] == get_ident():
                _count[0] += 1

        if sys.monitoring.get_tool(TOOL) is None:
            sys.monitoring.use_tool_id(TOOL, "actorlab's instructions")
        sys.monitoring.register_callback(TOOL, sys.monitoring.events.INSTRUCTION, one)
    else:
        threading.settrace(_trace)
        sys.settrace(_trace)


def unwatch() -> None:
    """Leave this thread, and those to come, alone."""
    end()
    if sys.version_info >= (3, 12):
        sys.monitoring.free_tool_id(TOOL)
    else:
        threading.settrace(None)
        sys.settrace(None)
