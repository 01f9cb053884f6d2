"""actorlab: supervised actors on shared memory; thousands of agents, a few processes, one machine.

Re-exports, loaded when first used; nothing inside imports this module.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .actor import Actor, ActorRef, DeadLetter, Future, Mailbox, ProcessActor, Timer, beside, by_hash
    from .errors import (
        ActorDied,
        ActorlabError,
        BadCall,
        BlockingCall,
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
        NotSendable,
        PoolFull,
        RemoteError,
        SharedMemoryFull,
        SpecError,
        StartError,
        WorkerStartError,
    )
    from .memory import ContextPool, Handle
    from .message import Crashed, Down, Exit, Ignore, Timeout, WorkerDied
    from .node import Node, NodeOptions
    from .registry import via
    from .supervision import Backoff, DynamicSupervisor, PartitionSupervisor, Supervisor, child

_WHERE = {
    "actor": "Actor ActorRef DeadLetter Future Mailbox ProcessActor Timer beside by_hash",
    "errors": "ActorDied ActorlabError BadCall BlockingCall CallError CallTimeout ConfigError DeadlockDetected "
    "InitTimeout MailboxFull MessageTooLarge NameTaken NodeGone NoSuchChild NotSendable PoolFull RemoteError "
    "SharedMemoryFull SpecError StartError WorkerStartError",
    "memory": "ContextPool Handle",
    "message": "Crashed Down Exit Ignore Timeout WorkerDied",
    "node": "Node NodeOptions",
    "registry": "via",
    "supervision": "Backoff DynamicSupervisor PartitionSupervisor Supervisor child",
}
_HOME = {name: package for package, names in _WHERE.items() for name in names.split()}

__all__ = [
    "Actor",
    "ActorDied",
    "ActorRef",
    "ActorlabError",
    "Backoff",
    "BadCall",
    "BlockingCall",
    "CallError",
    "CallTimeout",
    "ConfigError",
    "ContextPool",
    "Crashed",
    "DeadLetter",
    "DeadlockDetected",
    "Down",
    "DynamicSupervisor",
    "Exit",
    "Future",
    "Handle",
    "Ignore",
    "InitTimeout",
    "Mailbox",
    "MailboxFull",
    "MessageTooLarge",
    "NameTaken",
    "NoSuchChild",
    "Node",
    "NodeGone",
    "NodeOptions",
    "NotSendable",
    "PartitionSupervisor",
    "PoolFull",
    "ProcessActor",
    "RemoteError",
    "SharedMemoryFull",
    "SpecError",
    "StartError",
    "Supervisor",
    "Timeout",
    "Timer",
    "WorkerDied",
    "WorkerStartError",
    "beside",
    "by_hash",
    "child",
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
