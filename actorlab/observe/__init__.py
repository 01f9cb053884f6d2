"""The account of a running node: what it does and what it costs, read from outside, in nobody's way.

Floor 8. `observer` looks, `account` puts together what was seen, `records` say what that is.
"""

from __future__ import annotations

from .exporter import serve_metrics
from .exposition import name_of, to_prometheus
from .follow import Follower, Looker
from .observer import Observer, find_node, snapshot
from .plain import to_json, to_plain
from .records import (
    ActorAccount,
    ClassAccount,
    DeadLetterRow,
    GcAccount,
    LaneAccount,
    Marginal,
    Memory,
    ObserverCost,
    ProcessAccount,
    RestartRow,
    Role,
    Sharing,
    Snapshot,
    Totals,
)

__all__ = [
    "ActorAccount",
    "ClassAccount",
    "DeadLetterRow",
    "Follower",
    "GcAccount",
    "LaneAccount",
    "Looker",
    "Marginal",
    "Memory",
    "Observer",
    "ObserverCost",
    "ProcessAccount",
    "RestartRow",
    "Role",
    "Sharing",
    "Snapshot",
    "Totals",
    "find_node",
    "name_of",
    "serve_metrics",
    "snapshot",
    "to_json",
    "to_plain",
    "to_prometheus",
]
