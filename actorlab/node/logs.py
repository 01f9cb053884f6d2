"""Logs: what a worker logs reaches the user's own logging, whole and in order; what it prints, the user's terminal.

Edge (logging); the worker's side forwards records as plain values, the controller's side hands them to the logger of
the same name. Exceptions travel as text, and so does whatever `extra` holds that is not plain. Standard output and
error are the node's own: a worker inherits them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..ids import CONTROLLER_HOME

if TYPE_CHECKING:
    from .runtime import ProcessRuntime

_PLAIN = (str, int, float, bool, type(None))
_formatter = logging.Formatter()


class Forwarder(logging.Handler):
    """Sends every record to the controller. In order: a handler's lock is held while it emits."""

    def __init__(self, runtime: ProcessRuntime) -> None:
        super().__init__()
        self._runtime = runtime

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; never raises into the code that logs."""
        try:
            self._runtime.tell_kernel(CONTROLLER_HOME, "log", plain_fields(record, self._runtime.process))
        except Exception:
            self.handleError(record)


def plain_fields(record: logging.LogRecord, worker: int) -> dict[str, Any]:
    """Return a record's fields as plain values, its message formatted; `worker` says where it comes from."""
    fields = dict(record.__dict__)
    fields["msg"] = record.getMessage()
    fields["args"] = None
    if record.exc_info and not record.exc_text:
        fields["exc_text"] = _formatter.formatException(record.exc_info)
    fields["exc_info"] = None
    fields["worker"] = worker
    return {name: value if type(value) in _PLAIN else _shown(value) for name, value in fields.items()}


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__}, whose str() fails: {type(error).__name__}>"


def forward_logs(runtime: ProcessRuntime, level: str) -> None:
    """Have the root logger of this worker forward to the controller."""
    root = logging.getLogger()
    for handler in tuple(root.handlers):
        root.removeHandler(handler)
    root.addHandler(Forwarder(runtime))
    root.setLevel(level)


def take_log(fields: dict[str, Any]) -> None:
    """Hand a worker's record to the logger of its name in this process."""
    logger = logging.getLogger(fields["name"])
    if logger.isEnabledFor(fields["levelno"]):
        logger.handle(logging.makeLogRecord(fields))
