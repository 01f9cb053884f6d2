"""A clean slate: what a fork of the user's process lets go of before it is the forkserver.

Edge (this process's descriptors, signals, logging); used by forkserver, in the child, which has one thread. It keeps
the modules that are imported, and the memory they share with their parent; nothing else of the user's may go on in it,
or be kept open by it: a socket would stay bound, a pipe would never hang up, a log would be written twice.

What cannot be wiped is said in the documentation: what modules hold in memory is as it was at the fork.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import types
from collections.abc import Collection

_kept: list[object] = []  # alive for ever: what is dropped would be finalized, and is its parent's


def wipe(keep: Collection[int]) -> None:
    """Let go of everything of the parent's but its modules, the standard streams, and the descriptors in `keep`."""
    gc.freeze()  # before anything else is touched: what lies there is never collected, nor are its pages copied
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    sys.settrace(None)
    sys.setprofile(None)
    threading.settrace(None)
    threading.setprofile(None)
    sys.excepthook, sys.displayhook = sys.__excepthook__, sys.__displayhook__
    _kept.append(sys.modules.get("__main__"))
    sys.modules["__main__"] = types.ModuleType("__main__")
    _close_descriptors({0, 1, 2, *keep})
    _renew_streams()
    for logger in (logging.root, *logging.Logger.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            _kept.extend(logger.handlers)
            logger.handlers.clear()


def _close_descriptors(keep: Collection[int]) -> None:
    """Have every other descriptor mean /dev/null: an object of the parent's that closes its own closes none of ours."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor not in keep and descriptor != null:
            try:
                os.dup2(null, descriptor, inheritable=False)
            except OSError:
                pass  # the listing's own, closed since
    os.close(null)


def _renew_streams() -> None:
    """Print to the process's own descriptors, whatever the parent had put in their place (a test's capture, say)."""
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        old = getattr(sys, name)
        _kept.extend((old, getattr(sys, f"__{name}__")))
        errors = "backslashreplace" if name == "stderr" else getattr(old, "errors", None)
        try:
            fresh = os.fdopen(descriptor, mode, encoding=getattr(old, "encoding", None), errors=errors, closefd=False)
        except OSError:
            continue  # the process has none
        setattr(sys, name, fresh)
        setattr(sys, f"__{name}__", fresh)
