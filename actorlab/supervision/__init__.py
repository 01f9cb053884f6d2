"""Supervision: what users say about children, and the rules that keep them alive.

Pure but for the supervisor itself, which carries out what `plan` decides.
"""

from .action import (
    Action,
    Dropped,
    Exit,
    Halt,
    Launch,
    Ready,
    Refusal,
    Refuse,
    Reply,
    Retired,
    RetryAfter,
    Start,
    Stop,
)
from .backoff import Backoff
from .child_spec import ChildSpec, Restart, Shutdown, child, snake_case
from .difference import Change, changes
from .event import (
    Begin,
    Command,
    Death,
    DeleteChild,
    Event,
    Exited,
    ReplaceSpec,
    RestartChild,
    Retry,
    ShutdownAll,
    StartChild,
    StartFailed,
    StartIgnored,
    StartOk,
    Stopped,
    TerminateChild,
)
from .news import WorkerIncident
from .plan import plan
from .state import ChildCounts, ChildInfo, State, count_children, which_children
from .supervisor import SupervisorActor
from .supervisor_spec import (
    AutoShutdown,
    DynamicSupervisor,
    PartitionSupervisor,
    Spec,
    Strategy,
    Supervises,
    Supervisor,
    modules_of,
)
from .window import RestartWindow

__all__ = [
    "Action",
    "AutoShutdown",
    "Backoff",
    "Begin",
    "Change",
    "ChildCounts",
    "ChildInfo",
    "ChildSpec",
    "Command",
    "Death",
    "DeleteChild",
    "Dropped",
    "DynamicSupervisor",
    "Event",
    "Exit",
    "Exited",
    "Halt",
    "Launch",
    "PartitionSupervisor",
    "Ready",
    "Refusal",
    "Refuse",
    "ReplaceSpec",
    "Reply",
    "Restart",
    "RestartChild",
    "RestartWindow",
    "Retired",
    "Retry",
    "RetryAfter",
    "Shutdown",
    "ShutdownAll",
    "Spec",
    "Start",
    "StartChild",
    "StartFailed",
    "StartIgnored",
    "StartOk",
    "State",
    "Stop",
    "Stopped",
    "Strategy",
    "Supervises",
    "Supervisor",
    "SupervisorActor",
    "TerminateChild",
    "WorkerIncident",
    "changes",
    "child",
    "count_children",
    "modules_of",
    "plan",
    "snake_case",
    "which_children",
]
