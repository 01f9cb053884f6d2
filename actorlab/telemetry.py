"""What a node tells about itself: events as they happen, and rows for whoever looks.

Pure; floor 0. The node fills these in, the console, a dashboard or a test reads them; all are plain data that
pickles and turns into JSON. Nothing here is on the path of a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from .lean_dataclass import dataclass

Level = Literal["good", "info", "warning", "error"]
"""How an event is meant to be read; decides its colour and nothing else."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: `time` in seconds since 1970, `text` for people, `kind` and `fields` for programs.

    Kinds in use: `node_started`, `node_stopping`, `node_stopped`, `worker_started`, `worker_died`, `worker_hung`,
    `worker_replaced`, `worker_not_launched`, `actor_crashed`, `actor_restarted`, `restart_failed`,
    `supervisor_gave_up`, `handler_holds_loop`, `dead_letter`, `log`. A reader must take kinds it does not know.
    """

    time: float
    kind: str
    text: str
    level: Level = "info"
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node seen from outside: `state` is `running`, `stopping` or `dead` (its directory is stale)."""

    name: str
    pid: int
    state: str
    workers: int
    actors: int
    uptime_s: float
    directory: str


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker; worker 0 is the controller. `pss_bytes` is its process's proportional share, None where unreadable.

    `host` is the worker whose process has taken a drained one's actors in, 0 for one with a process of its own. The
    pid, state and time of a drained one are its host's, the memory is the host's alone.
    """

    worker: int
    pid: int
    state: str
    actors: int
    pss_bytes: int | None
    restarts: int
    uptime_s: float
    host: int = 0


@dataclass(frozen=True, slots=True)
class ActorRow:
    """A slot of the node table. `depth` is what waits in the mailbox, `failed` the handlers that raised."""

    address: str
    name: str
    cls: str
    worker: int
    state: str
    incarnation: int
    depth: int
    handled: int
    failed: int


@dataclass(frozen=True, slots=True)
class TreeRow:
    """A line of the supervision tree, parents before their children; `depth` 0 is the root.

    `kind` is `supervisor`, `dynamic`, `partition` or the actor's class, `restart` its restart type or the
    supervisor's strategy, `status` what it does now.
    """

    depth: int
    name: str
    kind: str
    restart: str
    status: str
    restarts: int = 0
    address: str = ""
