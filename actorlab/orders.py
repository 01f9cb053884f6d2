"""Orders: what the command line has a running node do with its workers: add, drain, recycle, restart all.

Edge (files of the node, see its wishes); used by the command line, which says which node is meant. Each waits for the
node's answer, prints it, and raises what the node could not do.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from .console import Console
from .telemetry import NodeRow


def add(row: NodeRow, args: argparse.Namespace, console: Console) -> None:
    """Give a drained worker a process of its own again, or make one more."""
    from .node import wish

    answer = wish(Path(row.directory), "add", {}, args.timeout)
    what = "has a process of its own again" if answer["again"] else "added"
    text = f"node {row.name}: worker {answer['worker']} {what}, pid {answer['pid']}"
    console.result("added", {"name": row.name, **answer}, text)


def drain(row: NodeRow, args: argparse.Namespace, console: Console) -> None:
    """Empty a worker's process and end it."""
    from .node import wish

    answer = wish(Path(row.directory), "drain", {"worker": args.worker}, args.timeout)
    text = f"node {row.name}: worker {args.worker} drained; its actors are guests of worker {answer['host']}"
    console.result("drained", {"name": row.name, **answer}, f"{text}, pid {answer['pid']}")


def recycle(row: NodeRow, args: argparse.Namespace, console: Console) -> None:
    """Give one worker's place, or all workers' (`args.worker` None), to fresh processes."""
    from .node import wish

    kind, fields = ("restart", {}) if args.worker is None else ("recycle", {"worker": args.worker})
    answer = wish(Path(row.directory), kind, fields, args.timeout)
    pids = ", ".join(map(str, answer["pids"]))
    what = "all workers" if args.worker is None else f"worker {args.worker}"
    console.result("recycled", {"name": row.name, **answer}, f"node {row.name}: {what} recycled, now pid {pids}")


ORDERS: dict[str, Callable[[NodeRow, argparse.Namespace, Console], None]] = {
    "add": add,
    "drain": drain,
    "recycle": recycle,
    "restart": recycle,
}
