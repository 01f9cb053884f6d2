"""Nodes: the operating-system processes of a node, and how they are launched, watched, replaced and stopped.

What is taken from here is imported when it is: a worker has no need of what launches workers, nor who looks at a node
from outside of what runs one.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .books import ActorStatistics
    from .checkup import doctor
    from .control import Quiet
    from .directory import base_directory, has_controller, node_directories
    from .embedded import embedded_runtime, install
    from .facade import NodeFacade
    from .freezing import Freeze
    from .groups import Group
    from .identity import WORKER_MARK, Identity, node_identity, sentry_of, write_whole
    from .limits import MemoryLimits, OnSoft
    from .node import Node
    from .options import LogLevel, NodeOptions, RegistryOptions, StartMethod, usable_cpus
    from .recycle_options import OnStuck, RecycleOptions
    from .surroundings import Cpus, WorkerOptions
    from .view import open_view, running_nodes
    from .wishes import wish
    from .worker_row import Worker

_HOME = {
    "WORKER_MARK": "identity",
    "ActorStatistics": "books",
    "Cpus": "surroundings",
    "Freeze": "freezing",
    "Group": "groups",
    "Identity": "identity",
    "LogLevel": "options",
    "MemoryLimits": "limits",
    "Node": "node",
    "NodeFacade": "facade",
    "NodeOptions": "options",
    "OnSoft": "limits",
    "OnStuck": "recycle_options",
    "Quiet": "control",
    "RecycleOptions": "recycle_options",
    "RegistryOptions": "options",
    "StartMethod": "options",
    "Worker": "worker_row",
    "WorkerOptions": "surroundings",
    "base_directory": "directory",
    "doctor": "checkup",
    "embedded_runtime": "embedded",
    "has_controller": "directory",
    "install": "embedded",
    "node_directories": "directory",
    "node_identity": "identity",
    "open_view": "view",
    "running_nodes": "view",
    "sentry_of": "identity",
    "usable_cpus": "options",
    "wish": "wishes",
    "write_whole": "identity",
}
"""Which module a name is in. None of them is called as one of the names: importing it would hide the name."""

__all__ = [
    "WORKER_MARK",
    "ActorStatistics",
    "Cpus",
    "Freeze",
    "Group",
    "Identity",
    "LogLevel",
    "MemoryLimits",
    "Node",
    "NodeFacade",
    "NodeOptions",
    "OnSoft",
    "OnStuck",
    "Quiet",
    "RecycleOptions",
    "RegistryOptions",
    "StartMethod",
    "Worker",
    "WorkerOptions",
    "base_directory",
    "doctor",
    "embedded_runtime",
    "has_controller",
    "install",
    "node_directories",
    "node_identity",
    "open_view",
    "running_nodes",
    "sentry_of",
    "usable_cpus",
    "wish",
    "write_whole",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'actorlab.node' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"actorlab.node.{home}"), name)
    globals()[name] = value
    return value
