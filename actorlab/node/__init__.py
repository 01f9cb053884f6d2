"""Nodes: the operating-system processes of a node, and how they are launched, watched, replaced and stopped."""

from .books import ActorStatistics
from .control import Quiet
from .directory import base_directory
from .doctor import doctor
from .embedded import embedded_runtime, install
from .facade import NodeFacade
from .node import Node, Worker
from .options import LogLevel, NodeOptions, RegistryBackend, RegistryOptions, usable_cpus
from .view import open_view, running_nodes

__all__ = [
    "ActorStatistics",
    "LogLevel",
    "Node",
    "NodeFacade",
    "NodeOptions",
    "Quiet",
    "RegistryBackend",
    "RegistryOptions",
    "Worker",
    "base_directory",
    "doctor",
    "embedded_runtime",
    "install",
    "open_view",
    "running_nodes",
    "usable_cpus",
]
