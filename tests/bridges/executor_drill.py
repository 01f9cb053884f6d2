"""Functions for the tests of the executor; imported by the workers."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path


def square(x: int) -> int:
    return x * x


def where() -> int:
    return os.getpid()


def fail(text: str) -> None:
    raise ValueError(text)


def wait_for(path: str) -> str:
    """Block until a file is there: a task that is in hand for as long as a test wants."""
    while not Path(path).exists():
        time.sleep(0.005)
    return threading.current_thread().name


def die_once(path: str) -> str:
    """Kill the process at the first call, return at the second."""
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"
