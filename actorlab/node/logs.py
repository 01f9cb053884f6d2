"""Logs: what a worker logs reaches the user's own logging, whole and in order; what it prints, the user's terminal.

Edge (logging); the worker's side forwards records as plain values, the controller's side hands them to the logger of
the same name. Exceptions travel as text. Standard output and error are the node's own: a worker inherits them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..ids import CONTROLLER_HOME

if TYPE_CHECKING:
    from ..actor import Kernel
    from .runtime import ProcessRuntime

_TAKEN = ("name", "levelno", "levelname", "pathname", "filename", "module", "lineno", "funcName", "created", "msecs",
          "relativeCreated", "thread", "threadName", "process", "processName", "exc_text", "stack_info")  # fmt: skip
_formatter = logging.Formatter()


class Forwarder(logging.Handler):
    """Sends every record to the controller."""

    def __init__(self, runtime: ProcessRuntime) -> None:
        super().__init__()
        self._runtime = runtime

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; never raises into the code that logs."""
        try:
            fields: dict[str, Any] = {name: getattr(record, name, None) for name in _TAKEN}
            fields["msg"] = record.getMessage()
            fields["args"] = None
            if record.exc_info and not record.exc_text:
                fields["exc_text"] = _formatter.formatException(record.exc_info)
            fields["worker"] = self._runtime.process
            self._runtime.tell_kernel(CONTROLLER_HOME, "log", fields)
        except Exception:
            self.handleError(record)


def forward_logs(runtime: ProcessRuntime, level: str) -> None:
    """Have the root logger of this worker forward to the controller."""
    root = logging.getLogger()
    for handler in tuple(root.handlers):
        root.removeHandler(handler)
    root.addHandler(Forwarder(runtime))
    root.setLevel(level)


def take_log(kernel: Kernel, fields: dict[str, Any]) -> None:
    """Hand a worker's record to the logger of its name in this process."""
    logger = logging.getLogger(fields["name"])
    if logger.isEnabledFor(fields["levelno"]):
        logger.handle(logging.makeLogRecord(fields))
