"""Patience: how a test waits for another process or thread: by the condition, never by the clock.

Edge (waits).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PATIENCE_S = 20.0


def poll(condition: Callable[[], object], within_s: float = PATIENCE_S) -> bool:
    """Wait until `condition()` is true, at most `within_s`; return whether it became true."""
    deadline, pause, step_s = time.monotonic() + within_s, threading.Event(), 0.001
    while not condition():
        if time.monotonic() >= deadline:
            return False
        pause.wait(step_s)
        step_s = min(step_s * 2, 0.05)
    return True


def eventually(condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Wait for a condition that another process or thread brings about; AssertionError if it does not.

    >>> eventually(lambda: True)
    """
    assert poll(condition, within_s), f"not within {within_s:g} s: {condition}"
