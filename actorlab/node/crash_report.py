"""Crash reports: what the user is told when a handler raised, in the log and as an event.

Pure; used by the runtime. Never raises, whatever the error's own `str()` does.
"""

from __future__ import annotations

import traceback
from typing import Any

from ..actor import Cell
from ..ids import show

MAX_TRACEBACK = 4000
"""Letters of a traceback that an event carries: its end. The log record has all of it."""
MAX_TEXT = 500


def crash_report(cell: Cell, what: str, error: BaseException, process: int) -> tuple[str, dict[str, Any]]:
    """Return the sentence and the event's fields for an `error` that `cell` raised handling `what`."""
    kind, address = type(error).__name__, show(cell.address)
    try:
        why = f"{kind}: {error}"
    except Exception:
        why = f"{kind}, whose str() fails"
    fields = {
        "actor": cell.name,
        "address": address,
        "worker": process,
        "handling": what,
        "error": kind,
        "traceback": "".join(traceback.format_exception(error))[-MAX_TRACEBACK:],
    }
    return f"{cell.name} <{address}> crashed handling {what}: {why[:MAX_TEXT]}", fields
