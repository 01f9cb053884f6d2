"""actorlab: supervised actors on shared memory; thousands of agents, a few processes, one machine.

Re-exports, loaded when first used; nothing inside imports this module. Where it cannot run it says so at once.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if sys.platform == "win32" or os.name != "posix":
    raise ImportError(
        f"actorlab runs on Linux and macOS, not on {sys.platform!r}: it stands on named pipes, locks on files and "
        "signals to processes, which that system lacks. On Windows install and run it in WSL 2 (wsl --install)"
    )

if TYPE_CHECKING:
    from .actor import (
        Actor,
        ActorRef,
        Appended,
        DeadLetter,
        Future,
        Lazy,
        Mailbox,
        ProcessActor,
        Snapshots,
        Stream,
        Timer,
        beside,
        by_hash,
        gather,
        lazy,
        select,
    )
    from .bridges import ActorExecutor
    from .errors import (
        ActorDied,
        ActorlabError,
        BadCall,
        BlockingCall,
        CallCancelled,
        CallError,
        CallTimeout,
        ConfigError,
        DeadlockDetected,
        InitTimeout,
        MailboxFull,
        MessageTooLarge,
        NameTaken,
        NodeGone,
        NoSuchChild,
        NothingFound,
        NotMovable,
        NotSendable,
        PoolFull,
        RemoteError,
        SegmentCorrupt,
        SegmentGone,
        SharedMemoryFull,
        SnapshotUnreadable,
        SpecError,
        StartError,
        StashFull,
        StreamBusy,
        StreamEnded,
        StreamGap,
        WorkerShedding,
        WorkerStartError,
        WorkerStays,
    )
    from .memory import AppendStream, ContextPool, DatasetSettings, Handle, NewVersion, PoolSettings
    from .message import (
        Crashed,
        Down,
        Exit,
        Ignore,
        Joined,
        Left,
        Published,
        Registered,
        Timeout,
        Traced,
        Unregistered,
        WorkerDied,
    )
    from .node import MemoryLimits, Node, NodeOptions, RecycleOptions, WorkerOptions
    from .observe import Snapshot, snapshot
    from .registry import via
    from .routing import Router, Team, WorkQueue
    from .supervision import Backoff, DynamicSupervisor, PartitionSupervisor, Supervisor, child
    from .tasks import TaskSupervisor

_HOME = {
    "Snapshots": "actor",
    "SnapshotUnreadable": "errors",
    "Traced": "message",
    "TaskSupervisor": "tasks",
    "WorkQueue": "routing",
    "Team": "routing",
    "Router": "routing",
    "Actor": "actor",
    "ActorDied": "errors",
    "ActorExecutor": "bridges",
    "ActorRef": "actor",
    "ActorlabError": "errors",
    "AppendStream": "memory",
    "Appended": "actor",
    "Backoff": "supervision",
    "BadCall": "errors",
    "BlockingCall": "errors",
    "CallCancelled": "errors",
    "CallError": "errors",
    "CallTimeout": "errors",
    "ConfigError": "errors",
    "ContextPool": "memory",
    "Crashed": "message",
    "DatasetSettings": "memory",
    "DeadLetter": "actor",
    "DeadlockDetected": "errors",
    "Down": "message",
    "DynamicSupervisor": "supervision",
    "Exit": "message",
    "Future": "actor",
    "Handle": "memory",
    "Ignore": "message",
    "InitTimeout": "errors",
    "Joined": "message",
    "Lazy": "actor",
    "Left": "message",
    "Mailbox": "actor",
    "MailboxFull": "errors",
    "MemoryLimits": "node",
    "MessageTooLarge": "errors",
    "NameTaken": "errors",
    "NewVersion": "memory",
    "NoSuchChild": "errors",
    "Node": "node",
    "NodeGone": "errors",
    "NodeOptions": "node",
    "NotMovable": "errors",
    "NotSendable": "errors",
    "NothingFound": "errors",
    "PartitionSupervisor": "supervision",
    "PoolFull": "errors",
    "PoolSettings": "memory",
    "ProcessActor": "actor",
    "Published": "message",
    "RecycleOptions": "node",
    "Registered": "message",
    "RemoteError": "errors",
    "SegmentCorrupt": "errors",
    "SegmentGone": "errors",
    "SharedMemoryFull": "errors",
    "Snapshot": "observe",
    "SpecError": "errors",
    "StartError": "errors",
    "StashFull": "errors",
    "Stream": "actor",
    "StreamBusy": "errors",
    "StreamEnded": "errors",
    "StreamGap": "errors",
    "Supervisor": "supervision",
    "Timeout": "message",
    "Timer": "actor",
    "Unregistered": "message",
    "WorkerDied": "message",
    "WorkerOptions": "node",
    "WorkerShedding": "errors",
    "WorkerStartError": "errors",
    "WorkerStays": "errors",
    "beside": "actor",
    "by_hash": "actor",
    "child": "supervision",
    "gather": "actor",
    "lazy": "actor",
    "select": "actor",
    "snapshot": "observe",
    "via": "registry",
}
"""Which package each name comes from."""

__all__ = [
    "Actor",
    "ActorDied",
    "ActorExecutor",
    "ActorRef",
    "ActorlabError",
    "AppendStream",
    "Appended",
    "Backoff",
    "BadCall",
    "BlockingCall",
    "CallCancelled",
    "CallError",
    "CallTimeout",
    "ConfigError",
    "ContextPool",
    "Crashed",
    "DatasetSettings",
    "DeadLetter",
    "DeadlockDetected",
    "Down",
    "DynamicSupervisor",
    "Exit",
    "Future",
    "Handle",
    "Ignore",
    "InitTimeout",
    "Joined",
    "Lazy",
    "Left",
    "Mailbox",
    "MailboxFull",
    "MemoryLimits",
    "MessageTooLarge",
    "NameTaken",
    "NewVersion",
    "NoSuchChild",
    "Node",
    "NodeGone",
    "NodeOptions",
    "NotMovable",
    "NotSendable",
    "NothingFound",
    "PartitionSupervisor",
    "PoolFull",
    "PoolSettings",
    "ProcessActor",
    "Published",
    "RecycleOptions",
    "Registered",
    "RemoteError",
    "Router",
    "SegmentCorrupt",
    "SegmentGone",
    "SharedMemoryFull",
    "Snapshot",
    "SnapshotUnreadable",
    "Snapshots",
    "SpecError",
    "StartError",
    "StashFull",
    "Stream",
    "StreamBusy",
    "StreamEnded",
    "StreamGap",
    "Supervisor",
    "TaskSupervisor",
    "Team",
    "Timeout",
    "Timer",
    "Traced",
    "Unregistered",
    "WorkQueue",
    "WorkerDied",
    "WorkerOptions",
    "WorkerShedding",
    "WorkerStartError",
    "WorkerStays",
    "beside",
    "by_hash",
    "child",
    "gather",
    "lazy",
    "select",
    "snapshot",
    "via",
]


def __getattr__(name: str) -> Any:
    package = _HOME.get(name)
    if package is None:
        raise AttributeError(f"module 'actorlab' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"actorlab.{package}"), name)
    if name in ("Actor", "ProcessActor"):
        importlib.import_module("actorlab.node").install()
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
