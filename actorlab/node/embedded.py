"""The embedded node: a node without workers, started when an actor is started and there is no node.

Edge (threads); so that `Counter.start(5)` works in a script, a notebook or a test. It installs no signal handler, has
no directory, logs nothing, and ends with the process.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from ..actor import embedded
from .options import NodeOptions

if TYPE_CHECKING:
    from .node import Node
    from .runtime import ProcessRuntime

_lock = threading.Lock()
_node: list[tuple[int, Node]] = []


def embedded_runtime() -> ProcessRuntime:
    """Return this process's embedded runtime, starting it the first time (a fork starts its own)."""
    from .node import Node  # workers know how to find one, and never need it

    with _lock:
        if not _node or _node[0][0] != os.getpid():
            _node[:] = [(os.getpid(), Node(NodeOptions(workers=0)))]
        return _node[0][1].runtime


def install() -> None:
    """Have `Actor.start` find the embedded node."""
    if embedded_runtime not in embedded:
        embedded.append(embedded_runtime)
