"""Watchers: `actorlab top` and `actorlab dashboard`, from arguments to a face that follows a node.

Edge (terminals, sockets); used by the command line, which says which node is meant. The faces, and what they are made
of, are imported when they are shown.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from .console import Console, is_terminal
from .errors import SpecError, StartError
from .telemetry import NodeRow

if TYPE_CHECKING:
    from .dashboard import Door
    from .observe import Observer

ACTORS_READ = 5000
"""Of a node, by top: the fullest mailboxes; of the others only what processes and classes add up."""


def follow_on_terminal(row: NodeRow, args: argparse.Namespace, console: Console) -> None:
    """Show the node on the terminal until q is pressed; one plain look where there is none, or once is enough."""
    from . import top
    from .observe import Follower, snapshot

    if args.every < 0.1:
        raise SpecError("--every", f"must be at least 0.1 s, not {args.every:g}")
    if not (args.once or args.json or not (is_terminal(sys.stdin) and is_terminal(sys.stdout))):
        find = finder(row, args.dir, actors=ACTORS_READ)
        top.watch(lambda: Follower(find), by=args.by, sort=args.sort, every_s=args.every)
    else:
        look = snapshot(row.directory, runtime_dir=args.dir, actors=ACTORS_READ, interval_s=0.5)
        top.show_once(look, console, by=args.by, sort=args.sort, limit=args.limit)


def door_of(args: argparse.Namespace) -> Door:
    """Return the door that is asked for. Raises UnsafeDoor where strangers could open it, SpecError for no address."""
    from .dashboard import Door, read_token

    token = read_token(args.token_file) if args.token_file is not None else os.environ.get("ACTORLAB_TOKEN")
    door = Door(args.host, args.port, args.allow_remote, token, tuple(args.allow_host))
    door.check()
    return door


def show_on_page(row: NodeRow, door: Door, args: argparse.Namespace, console: Console) -> None:
    """Show the node on a web page behind `door` until SIGINT or SIGTERM; say where."""
    from .dashboard import serve

    def announce(address: str) -> None:
        how = "" if door.token is None else " (add ?token= and the token, once)"
        text = f"node {row.name} is shown, until Ctrl-C, at {address}{how}"  # nothing right behind it: it is clicked on
        console.result("dashboard", {"address": address, "node": row.name, "pid": os.getpid()}, text)
        if not door.is_local:
            console.note("what is sent is not encrypted: use it behind TLS, or in a network that you trust", "warning")

    serve(finder(row, args.dir), door, announce)


def finder(row: NodeRow, runtime_dir: str | None, actors: int = 1000) -> Callable[[], Observer]:
    """Return how to find this node while it lives, and the one that comes back under its name after that."""
    from .observe import Observer, find_node

    def find() -> Observer:
        try:
            directory = find_node(os.path.basename(row.directory), runtime_dir)
        except StartError:
            directory = find_node(row.name, runtime_dir)
        return Observer(directory, actors=actors)

    return find
