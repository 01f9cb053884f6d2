"""The command line: check, run, reload, look at nodes (status, tree, ps, …), have them do something, stop.

Edge. Parses, calls, prints; what it calls is imported only by the command that needs it, so that `--help` is
instant. A user's mistake is one message on stderr and exit code 2, never a traceback.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

from .console import Column, Console, show_time
from .errors import ActorlabError, ConfigError, SpecError
from .runner import NodeFactory, read_queries, read_settings, run
from .telemetry import ActorRow, NodeRow, TreeRow, WorkerRow
from .usage import Command, build_parser

GOOD, FAILED, BAD_INPUT, NOT_RUNNING = 0, 1, 2, 3


class NodeView(Protocol):
    """A running node read from outside, through its files; never in anybody's way."""

    def workers(self) -> Sequence[WorkerRow]: ...
    def actors(self) -> Sequence[ActorRow]: ...
    def tree(self) -> Sequence[TreeRow]: ...
    def stop(self, *, brutal: bool, timeout_s: float) -> bool:
        """Ask its controller to stop and wait for the end; whether it came in time."""


class Diagnosis(Protocol):
    """What the doctor found: `checks` have name, ok and text; `findings` a path, whether removed, and a sentence."""

    @property
    def checks(self) -> Sequence[Any]: ...
    @property
    def findings(self) -> Sequence[Any]: ...
    @property
    def ok(self) -> bool: ...


class Nodes(Protocol):
    """What the command line needs of the node package."""

    @property
    def Node(self) -> NodeFactory: ...
    def running_nodes(self, runtime_dir: str | None = None) -> Sequence[NodeRow]: ...
    def open_view(self, directory: str) -> AbstractContextManager[NodeView]: ...
    def base_directory(self, runtime_dir: str | None = None) -> Path: ...
    def doctor(self, base: Path | None = None, *, clean: bool = False) -> Diagnosis: ...


def main(argv: Sequence[str] | None = None, *, nodes: Nodes | None = None) -> int:
    """Run one command and return its exit code. `nodes` stands in for the node package in tests."""
    args = build_parser(COMMANDS).parse_args(argv)
    console = Console(style="json" if args.json else None)
    try:
        return cast(int, args.command(args, console, nodes or _NodePackage()))
    except ActorlabError as error:
        console.fail(str(error))
        return BAD_INPUT if isinstance(error, ValueError) else FAILED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `actorlab ps | head`: nobody reads on; the interpreter must not try to flush either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


class _NodePackage:
    """Imports the node package when the first thing is asked of it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("actorlab.node"), name)


def check(args: argparse.Namespace, console: Console, nodes: Nodes) -> int:
    from . import config

    if args.explain:
        console.result("schema", {"text": config.explain()}, config.explain())
        return GOOD
    if args.json_schema:
        schema = config.json_schema()
        console.result("json_schema", schema, json.dumps(schema, indent=2, ensure_ascii=False))
        return GOOD
    if not args.files:
        console.fail("check: name a file, or say --explain or --json-schema")
        return BAD_INPUT
    _search_here()
    try:
        loaded = config.load(*args.files, allowed_modules=args.allow)
    except ConfigError as error:
        if console.json:
            for path, text in error.problems:
                console.result("problem", {"path": path, "text": text})
        else:
            console.fail(str(error))
        return FAILED
    node = loaded.node
    text = f"{loaded.file}: good\n{node.workers} workers, {node.spares} spare; names kept {node.registry.backend}"
    text += f" in {node.registry.partitions} partitions; mailboxes {node.mailbox.capacity:,}, {node.mailbox.overflow}"
    if loaded.job:
        text += f"\njob {loaded.job.target}"
    job = loaded.job and {"run": loaded.job.target, "options": loaded.job.options}
    console.result("config", {"file": loaded.file, "node": asdict(node), "job": job}, text)
    if loaded.tree is not None:
        rows = list(config.outline(loaded.tree, "root"))
        columns = (
            Column("name", lambda row: row.name),
            Column("kind", lambda row: row.kind),
            Column("restart", lambda row: row.restart),
            Column("shutdown", lambda row: row.shutdown),
            Column("placement", lambda row: row.placement),
            Column("mailbox", lambda row: row.mailbox),
            *([Column("snapshots", lambda row: row.snapshots)] if any(row.snapshots for row in rows) else ()),
        )
        console.table("child", columns, rows, tree=True)
    return GOOD


def run_file(args: argparse.Namespace, console: Console, nodes: Nodes) -> int:
    from . import config

    _search_here()
    options = read_settings(args.set)
    queries = args.query + (read_queries(args.queries) if args.queries else [])
    if queries:
        options["queries"] = queries
    if args.folder is not None:
        options["folder"] = args.folder
    options.update({name: True for name in ("interactive", "chaos") if getattr(args, name)})
    loaded = config.load(*args.files, allowed_modules=args.allow)
    if loaded.job is None and options:
        raise ConfigError(loaded.file, (("job", f"there is no [job] that could take {', '.join(sorted(options))}"),))
    if loaded.job is None and loaded.tree is None:
        raise ConfigError(loaded.file, (("", "has neither [supervisor] nor [job], so there is nothing to run"),))
    return run(loaded, options, nodes.Node, console, partial(config.load, allowed_modules=args.allow))


def reload(args: argparse.Namespace, console: Console, nodes: Nodes) -> int:
    from .reload import ask_reload

    if (row := _choose(nodes.running_nodes(args.dir), args.node, console)) is None:
        return NOT_RUNNING
    answer = ask_reload(row.directory, row.pid, args.file, dry_run=args.dry_run, timeout_s=args.timeout)
    if answer.error is not None:
        console.fail(f"node {row.name}: {answer.error}")
        return FAILED
    tense = "would" if answer.dry_run else "did"
    for line in answer.done:
        console.result("change", {"text": line, "done": not answer.dry_run}, f"{tense} {line}")
    for line in answer.later:
        console.result("later", {"text": line}, f"needs a new start: {line}")
    if not answer.done and not answer.later:
        console.result("change", {"text": None, "done": False}, "nothing has changed")
    return GOOD


def unit(args: argparse.Namespace, console: Console, nodes: Nodes) -> int:
    from . import config
    from .service import unit as unit_of

    _search_here()
    loaded = config.load(*args.files, allowed_modules=args.allow)
    name = args.name or loaded.node.name
    if name is None:
        text = "has no name to reload and stop it by: give it one, or say --name"
        raise ConfigError(loaded.file, (("node.name", text),))
    text = unit_of(
        args.files,
        name=name,
        user=args.user,
        memory_max=args.memory_max,
        stop_timeout_s=loaded.node.stop_timeout_s,
        environment=loaded.environment,
    )
    console.result("unit", {"name": name, "text": text}, text.rstrip())
    return GOOD


def status(args: argparse.Namespace, console: Console, nodes: Nodes) -> int:
    rows = nodes.running_nodes(args.dir)
    if args.node is None and len(rows) > 1:
        console.nodes(rows)
        return GOOD
    if (row := _choose(rows, args.node, console)) is None:
        return NOT_RUNNING
    with nodes.open_view(row.directory) as view:
        text = f"node {row.name} (pid {row.pid}): {row.state}, {row.actors:,} actors, up {show_time(row.uptime_s)}"
        console.result("node", asdict(row), f"{text}\n{row.directory}")
        console.workers(view.workers())
    return GOOD


def tree(args: argparse.Namespace, console: Console, nodes: Nodes) -> int:
    if (row := _choose(nodes.running_nodes(args.dir), args.node, console)) is None:
        return NOT_RUNNING
    with nodes.open_view(row.directory) as view:
        console.tree(view.tree())
    return GOOD


def ps(args: argparse.Namespace, console: Console, nodes: Nodes) -> int:
    if (row := _choose(nodes.running_nodes(args.dir), args.node, console)) is None:
        return NOT_RUNNING
    with nodes.open_view(row.directory) as view:
        actors = [
            actor
            for actor in view.actors()
            if args.worker in (None, actor.worker) and (args.cls is None or args.cls.casefold() in actor.cls.casefold())
        ]
    if args.sort is not None:
        numbers = args.sort in ("depth", "handled", "failed")
        actors.sort(key=lambda actor: cast(Any, getattr(actor, args.sort)), reverse=numbers)
    console.actors(actors[: args.limit])
    if args.limit is not None and len(actors) > args.limit and not console.json:
        console.note(f"{len(actors) - args.limit:,} more; raise --limit to see them")
    return GOOD


def mem(args: argparse.Namespace, console: Console, nodes: Nodes) -> int:
    from .observe import snapshot
    from .statement import print_statement

    if (row := _choose(nodes.running_nodes(args.dir), args.node, console)) is None:
        return NOT_RUNNING
    print_statement(snapshot(Path(row.directory), interval_s=args.interval), console)
    return GOOD


def metrics(args: argparse.Namespace, console: Console, nodes: Nodes) -> int:
    from .observe import Observer, serve_metrics, to_prometheus

    if (row := _choose(nodes.running_nodes(args.dir), args.node, console)) is None:
        return NOT_RUNNING
    observer = Observer(row.directory)
    if args.listen is None:
        text = to_prometheus(observer)
        console.result("metrics", {"text": text}, text.rstrip())
        return GOOD
    host, _, port = args.listen.rpartition(":")
    if not port.isdecimal():
        raise SpecError("--listen", f"must be a port, or an address of this machine and a port, not {args.listen!r}")

    def announce(address: str) -> None:
        text = f"metrics of node {row.name} at {address}; Ctrl-C ends it"
        console.result("exporter", {"address": address, "node": row.name, "pid": os.getpid()}, text)

    serve_metrics(observer, host.strip("[]") or "127.0.0.1", int(port), announce)
    return GOOD


def top(args: argparse.Namespace, console: Console, nodes: Nodes) -> int:
    from .watchers import follow_on_terminal

    if (row := _choose(nodes.running_nodes(args.dir), args.node, console)) is None:
        return NOT_RUNNING
    follow_on_terminal(row, args, console)
    return GOOD


def dashboard(args: argparse.Namespace, console: Console, nodes: Nodes) -> int:
    from .watchers import door_of, show_on_page

    door = door_of(args)  # before a node is looked for: an unsafe one is to be said whether one runs or not
    if (row := _choose(nodes.running_nodes(args.dir), args.node, console)) is None:
        return NOT_RUNNING
    show_on_page(row, door, args, console)
    return GOOD


def workers(args: argparse.Namespace, console: Console, nodes: Nodes) -> int:
    if (row := _choose(nodes.running_nodes(args.dir), args.node, console)) is None:
        return NOT_RUNNING
    with nodes.open_view(row.directory) as view:
        console.workers([worker for worker in view.workers() if worker.worker])
    return GOOD


def order(args: argparse.Namespace, console: Console, nodes: Nodes) -> int:
    from .orders import ORDERS

    if (row := _choose(nodes.running_nodes(args.dir), args.node, console)) is None:
        return NOT_RUNNING
    ORDERS[args.order](row, args, console)
    return GOOD


def stop(args: argparse.Namespace, console: Console, nodes: Nodes) -> int:
    if (row := _choose(nodes.running_nodes(args.dir), args.node, console)) is None:
        return NOT_RUNNING
    with nodes.open_view(row.directory) as view:
        stopped = view.stop(brutal=args.brutal, timeout_s=args.timeout)
    if not stopped:
        console.fail(
            f"node {row.name} (pid {row.pid}) still runs after {args.timeout:g} s; actorlab stop --brutal ends it"
        )
        return FAILED
    console.result("stopped", {"name": row.name, "pid": row.pid}, f"node {row.name} (pid {row.pid}) has stopped")
    return GOOD


def doctor(args: argparse.Namespace, console: Console, nodes: Nodes) -> int:
    found = nodes.doctor(nodes.base_directory(args.dir), clean=not args.dry_run)
    columns = (
        Column("", lambda row: "ok" if row.ok else "problem", level=lambda row: "good" if row.ok else "error"),
        Column("looked at", lambda row: row.name),
        Column("found", lambda row: row.text),
    )
    console.table("check", columns, found.checks)
    for finding in found.findings:
        console.result("finding", asdict(finding), str(finding))
    return GOOD if found.ok else FAILED


COMMANDS: dict[str, Command] = {
    "check": check,
    "run": run_file,
    "reload": reload,
    "status": status,
    "tree": tree,
    "ps": ps,
    "mem": mem,
    "metrics": metrics,
    "top": top,
    "dashboard": dashboard,
    "workers": workers,
    "add": order,
    "drain": order,
    "recycle": order,
    "restart": order,
    "stop": stop,
    "unit": unit,
    "doctor": doctor,
}


def _choose(rows: Sequence[NodeRow], name: str | None, console: Console) -> NodeRow | None:
    """Return the node that is meant: the one called so, or the only one; else None, and said why."""
    named = [row for row in rows if name in (None, row.name, os.path.basename(row.directory))]
    if len(named) == 1:
        return named[0]
    handles = ", ".join(os.path.basename(row.directory) for row in (named or rows))
    if named:
        console.fail(f"several nodes run; say which: {handles}")
    elif rows:
        console.fail(f"no node {name!r} runs; there is {handles}")
    else:
        console.fail("no node runs here; start one with: actorlab run FILE")
    return None


def _search_here() -> None:
    """Let modules be found in the directory we were started in, as `python -m` does; console scripts do not."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
