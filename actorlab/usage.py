"""Usage: the command line's arguments, and the help that teaches them.

Pure (argparse only); used by cli. Each command's help ends with examples and its exit codes.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

Command = Callable[[argparse.Namespace, Any, Any], int]


def build_parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """Return the parser; what it parses has `command` set to one of `commands`."""
    parser = argparse.ArgumentParser(
        prog="actorlab",
        description="Run and watch supervised actors in a few processes of this machine.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_text(
            """
            start here:
              actorlab check config/example.toml   look at a file, change nothing
              actorlab run config/corpus.toml      a team of agents answers questions about real text
              actorlab status                      what runs, from another terminal
              actorlab COMMAND --help              each command, with examples

            exit codes: 0 good, 1 something failed, 2 bad input, 3 no such node runs
            """
        ),
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, summary: str, more: str) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=_text(more),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(command=commands[name])
        sub.add_argument("--json", action="store_true", help="print JSON, one object a line, for programs")
        return sub

    def node_command(name: str, summary: str, more: str) -> argparse.ArgumentParser:
        sub = command(name, summary, more)
        sub.add_argument("node", nargs="?", help="its name; not needed where only one runs")
        _add_dir(sub)
        return sub

    sub = command("check", "check a configuration file and show the tree it describes", _CHECK)
    sub.add_argument("file", nargs="?", metavar="FILE", help="a TOML file")
    sub.add_argument("--explain", action="store_true", help="print every key with its meaning, bounds and default")
    _add_allow(sub)

    sub = command("run", "run a configuration file: its tree, and its job if it has one", _RUN)
    sub.add_argument("file", metavar="FILE", help="a TOML file")
    job = sub.add_argument_group("options for the file's [job]; they come before its [job.options]")
    job.add_argument("--query", action="append", default=[], metavar="TEXT", help="a question; may be repeated")
    job.add_argument("--queries", metavar="FILE", help="a file of questions, one a line; - is standard input")
    job.add_argument("--interactive", action="store_true", help="ask for questions until end of input")
    job.add_argument("--folder", metavar="PATH", help="the text to work on")
    job.add_argument("--chaos", action="store_true", help="kill worker processes meanwhile")
    job.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any other option; may be repeated"
    )
    _add_allow(sub)

    node_command("status", "show the running nodes, or one node's workers", _STATUS)
    node_command("tree", "show a running node's supervision tree", _TREE)

    sub = node_command("ps", "list a running node's actors", _PS)
    sorts = ("name", "cls", "worker", "depth", "handled", "failed")
    sub.add_argument("--sort", choices=sorts, help="numbers largest first; unless given, by worker and slot")
    sub.add_argument("--worker", type=int, metavar="N", help="only those of worker N")
    sub.add_argument("--class", dest="cls", metavar="TEXT", help="only classes whose name holds TEXT")
    sub.add_argument("--limit", type=int, metavar="N", help="at most N lines")

    sub = node_command("stop", "stop a running node, in order, and wait for its end", _STOP)
    sub.add_argument("--brutal", action="store_true", help="kill its processes at once; nothing is handled any more")
    sub.add_argument("--timeout", type=float, default=30.0, metavar="S", help="seconds to wait (30)")

    sub = command("doctor", "look at this machine, and remove what dead nodes left behind", _DOCTOR)
    sub.add_argument("--dry-run", action="store_true", help="only look; remove nothing")
    _add_dir(sub)
    return parser


def _add_dir(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--dir", metavar="PATH", help="the nodes' runtime_dir, if it is not the default")


def _add_allow(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--allow",
        action="append",
        metavar="MODULE",
        help="let the file name only this module or package; may be repeated",
    )


def _text(text: str) -> str:
    return textwrap.dedent(text).strip()


_CHECK = """
    examples:
      actorlab check app.toml
      actorlab check app.toml --allow myapp    refuse a file that names code outside myapp
      actorlab check --explain                 every key there is

    Modules are imported to see whether the classes are there, and importing a module runs
    its code. They are looked for where Python does, and in the current directory. A file that
    others may write to is refused.

    exit codes: 0 good, 1 the file has problems (all are shown), 2 wrong usage
    """
_RUN = """
    examples:
      actorlab run app.toml                                    until Ctrl-C
      actorlab run config/corpus.toml --query "merge sorted iterables"
      actorlab run config/corpus.toml --folder ~/src --interactive
      actorlab run config/corpus.toml --chaos --set k=5
      actorlab run config/corpus.toml --json > run.jsonl

    Results go to standard output; what happens meanwhile (starts, crashes, restarts, logs) to
    standard error; with --json all goes to standard output. Ctrl-C or SIGTERM stops in order, a
    second one at once.

    exit codes: 0 done or stopped, or what the job returned; 1 a start failed or the tree gave up,
    2 bad input, 128 + n a job cut short by signal n
    """
_STATUS = """
    examples:
      actorlab status              all nodes, or the only one with its workers
      actorlab status shop         the node called shop
      actorlab status --json | jq 'select(.type == "worker") | .pss_bytes'

    Reads shared memory; asks nobody, so it answers even when a worker hangs.

    exit codes: 0 shown, 2 wrong usage, 3 no such node runs
    """
_TREE = """
    examples:
      actorlab tree
      actorlab tree shop --json

    exit codes: 0 shown, 2 wrong usage, 3 no such node runs
    """
_PS = """
    examples:
      actorlab ps --sort depth --limit 10      the fullest mailboxes
      actorlab ps --worker 2 --class Searcher
      actorlab ps --json | jq 'select(.failed > 0)'

    exit codes: 0 shown, 2 wrong usage, 3 no such node runs
    """
_STOP = """
    examples:
      actorlab stop shop
      actorlab stop shop --brutal

    exit codes: 0 stopped, 1 it still runs, 2 wrong usage, 3 no such node runs
    """
_DOCTOR = """
    examples:
      actorlab doctor --dry-run
      actorlab doctor

    A node whose controller is dead is over: its last processes are killed and its directory is
    removed. Running nodes and other users' files are left alone.

    exit codes: 0 nothing is left to do, 1 something is, 2 wrong usage
    """
