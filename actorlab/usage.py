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

    def order_command(name: str, summary: str, more: str, timeout_s: float = 60.0) -> argparse.ArgumentParser:
        sub = node_command(name, summary, more)
        wait = f"seconds to wait for the answer ({timeout_s:g})"
        sub.add_argument("--timeout", type=float, default=timeout_s, metavar="S", help=wait)
        sub.set_defaults(order=name)
        return sub

    sub = command("check", "check a configuration file and show the tree it describes", _CHECK)
    sub.add_argument("files", nargs="*", metavar="FILE", help="a TOML file; each is laid over those before it")
    sub.add_argument("--explain", action="store_true", help="print every key with its meaning, bounds and default")
    sub.add_argument("--json-schema", action="store_true", help="print the JSON Schema that editors complete by")
    _add_allow(sub)

    sub = command("run", "run a configuration file: its tree, and its job if it has one", _RUN)
    sub.add_argument("files", nargs="+", metavar="FILE", help="a TOML file; each is laid over those before it")
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

    sub = node_command("reload", "have a running node read its files again and change what differs", _RELOAD)
    sub.add_argument("--dry-run", action="store_true", help="only say what would be done")
    sub.add_argument("--file", action="append", default=[], metavar="FILE", help="read this instead; may be repeated")
    sub.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds to wait for the answer (60)")

    sub = command("unit", "print a systemd unit that runs a configuration", _UNIT)
    sub.add_argument("files", nargs="+", metavar="FILE", help="a TOML file; each is laid over those before it")
    sub.add_argument("--name", metavar="NAME", help="the node's name, if the file gives none")
    sub.add_argument("--user", action="store_true", help="a unit for systemctl --user")
    sub.add_argument("--memory-max", metavar="SIZE", help="the most memory that all its processes may use, as 4G")
    _add_allow(sub)

    node_command("status", "show the running nodes, or one node's workers", _STATUS)
    node_command("tree", "show a running node's supervision tree", _TREE)

    sub = node_command("ps", "list a running node's actors", _PS)
    sorts = ("name", "cls", "worker", "depth", "handled", "failed")
    sub.add_argument("--sort", choices=sorts, help="numbers largest first; unless given, by worker and slot")
    sub.add_argument("--worker", type=int, metavar="N", help="only those of worker N")
    sub.add_argument("--class", dest="cls", metavar="TEXT", help="only classes whose name holds TEXT")
    sub.add_argument("--limit", type=int, metavar="N", help="at most N lines")

    sub = node_command("mem", "show what a running node's memory is made of, and what sharing saves", _MEM)
    sub.add_argument("--interval", type=float, default=0.0, metavar="S", help="look twice, so far apart, for rates (0)")

    sub = node_command("metrics", "print a running node's metrics for Prometheus, or serve them", _METRICS)
    sub.add_argument("--listen", metavar="[HOST:]PORT", help="serve them on loopback, as 9464; 0 is any free port")

    sub = node_command("top", "watch a running node on the terminal: memory, mailboxes, rates, restarts", _TOP)
    sub.add_argument("--once", action="store_true", help="print one look and end; without a terminal it always does")
    sub.add_argument("--by", choices=("supervisor", "worker"), default="supervisor", help="how the tree grows")
    keys = ("start", "memory", "mailbox", "rate", "restarts")
    sub.add_argument("--sort", choices=keys, default="start", help="siblings by this, largest first (start order)")
    sub.add_argument("--every", type=float, default=1.0, metavar="S", help="seconds between two looks (1)")
    sub.add_argument("--limit", type=int, metavar="N", help="with --once: at most N lines")

    sub = node_command("dashboard", "show a running node on a web page, live and read-only", _DASHBOARD)
    sub.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (127.0.0.1)")
    sub.add_argument("--port", type=int, default=8787, metavar="N", help="which port (8787); 0 is any that is free")
    sub.add_argument("--allow-remote", action="store_true", help="let other machines in; needs a token")
    sub.add_argument("--token-file", metavar="PATH", help="a file whose first line is the token; else $ACTORLAB_TOKEN")
    sub.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a name clients may call it by, as a proxy's"
    )

    node_command("workers", "list a running node's workers: process, state, actors, memory, age", _WORKERS)

    sub = order_command("add", "add a worker to a running node, or give a drained one its process back", _ADD)

    sub = order_command("drain", "empty a worker's process and end it; its actors go on in another's", _DRAIN)
    sub.add_argument("worker", type=int, metavar="N", help="which worker")

    sub = order_command("recycle", "give a worker's place to a fresh process, which goes on with its actors", _RECYCLE)
    sub.add_argument("--worker", type=int, metavar="N", required=True, help="which worker")

    sub = order_command(
        "restart", "put new code under a running node, worker by worker, nothing lost", _RESTART, 600.0
    )
    sub.add_argument("--rolling", action="store_true", required=True, help="one worker after another")
    sub.set_defaults(worker=None)

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
      actorlab check base.toml prod.toml       the second over the first
      actorlab check --explain                 every key there is
      actorlab check --json-schema > actorlab.schema.json

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
_RELOAD = """
    examples:
      actorlab reload --dry-run              what would change; nothing does
      actorlab reload shop
      actorlab reload shop --file base.toml --file prod.toml

    Children that are equal run on with their state; new ones start, others stop, changed ones are
    restarted in their place. Keys of [node] and [job] wait for a new start, and are listed. If a
    file has a problem, or a child does not start, everything is left, or put back, as it was.
    Code that is loaded stays loaded.

    exit codes: 0 done, 1 refused or failed (nothing has changed), 2 wrong usage, 3 no such node runs
    """
_UNIT = """
    examples:
      actorlab unit app.toml > /etc/systemd/system/shop.service
      actorlab unit --user app.toml --memory-max 4G > ~/.config/systemd/user/shop.service

    Type=notify: it counts as started when the tree runs; a watchdog restarts it when its
    controller no longer answers; systemctl reload is actorlab reload.

    exit codes: 0 printed, 2 the file has problems or no name
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
_MEM = """
    examples:
      actorlab mem                   80 columns: the sum and its parts, processes, classes, pools
      actorlab mem shop --json | jq '.totals.memory.pss_bytes'
      actorlab mem --json | jq '.classes[] | {cls, marginal}'

    private is USS: what ending the process gives back. PSS adds its share of what it shares, so
    the sum over processes counts no page twice; RSS would. "one more" is the measured private
    cost of another actor of the class, ~ where it is not to be built on; "average" is what there
    is now, over the actors. What each figure means and how it is measured: docs/memory.md

    Reads shared memory and /proc; asks nobody, so it answers even when the node hangs.

    exit codes: 0 shown, 2 wrong usage, 3 no such node runs
    """
_METRICS = """
    examples:
      actorlab metrics                         once, to standard output
      actorlab metrics shop --listen 9464      http://127.0.0.1:9464/metrics, this machine only

    Labels are classes and processes, never single actors. Counters outlive actors and workers.

    exit codes: 0 shown or ended, 1 the port is taken or the extra is missing, 2 wrong usage,
    3 no such node runs
    Needs: pip install 'actorlab[metrics]'
    """
_TOP = """
    examples:
      actorlab top
      actorlab top shop --by worker --sort mailbox
      actorlab top --once --sort memory --limit 20
      actorlab top --json | jq 'select(.mailbox > 100)'

    Keys: arrows move; enter opens a line, esc goes back; space, left and right fold; m, b, r, s sort
    by memory, mailbox, rate, restarts, o by start order; v turns between supervisors and workers;
    q ends. A parent's figures are those of all below it. A worker's memory is measured (PSS); an
    actor's (~) is what one more of its class was measured to take, and its mailbox.

    Reads shared memory and /proc; asks nobody, so a node that hangs is shown too.
    Needs: pip install 'actorlab[top]' (not for --once and --json)

    exit codes: 0 ended, 1 the extra is missing, 2 wrong usage, 3 no such node runs
    """
_DASHBOARD = """
    examples:
      actorlab dashboard                       http://127.0.0.1:8787/, this machine only
      actorlab dashboard shop --port 0         any free port; it is printed
      ssh -L 8787:127.0.0.1:8787 HOST          then open it from another machine, the safe way
      actorlab dashboard --host 0.0.0.0 --allow-remote --token-file ~/.actorlab-token

    A process of its own that reads shared memory and /proc: a node that hangs is still shown, and
    nothing that happens to the dashboard reaches the node. It only answers GET, to its own names
    (Host and Origin are checked). Anything but loopback needs --allow-remote and a token of 16
    characters or more: open the page once with ?token=, or send Authorization: Bearer. It speaks
    plain HTTP: put TLS before it, or stay with ssh.

    Needs: pip install 'actorlab[dashboard]'

    exit codes: 0 ended by Ctrl-C or SIGTERM, 1 the address cannot be had or the extra is missing,
    2 wrong usage or an unsafe address, 3 no such node runs
    """
_WORKERS = """
    examples:
      actorlab workers
      actorlab workers shop --json | jq 'select(.host == 0) | .pid'

    up is the age of its process, restarts how often one died. A drained worker has no process of its
    own: its actors are guests of another worker's, and pid, state and age are that one's.

    exit codes: 0 shown, 2 wrong usage, 3 no such node runs
    """
_ADD = """
    examples:
      actorlab add shop
      actorlab add --json | jq .worker

    A drained worker gets a process of its own back, with the actors that went; if none is drained, there
    is one more, and new actors are placed there too. It lasts as long as the node does: a new start
    begins with what the file says (node.workers).

    exit codes: 0 added, 1 refused, failed, or no answer, 2 wrong usage, 3 no such node runs
    """
_DRAIN = """
    examples:
      actorlab drain 2                     the only node's
      actorlab drain shop 2 && actorlab workers shop

    Its actors go on as guests of another worker's process: references, queues, names and order hold, and
    its number stays a place. Refused, with nothing changed, where no other worker could take them in (the
    last one), where it hosts guests itself, or where an actor cannot move: it is named.

    exit codes: 0 drained, 1 refused, failed, or no answer, 2 wrong usage, 3 no such node runs
    """
_RECYCLE = """
    examples:
      actorlab recycle shop --worker 2

    Its actors go along, with their queues, names, timers and whoever watches them. One that cannot, for
    it holds a lock or a file, is named, and the worker stays as it is; a supervised one is restarted.

    exit codes: 0 recycled, 1 refused, or no answer, 2 wrong usage, 3 no such node runs
    """
_RESTART = """
    examples:
      actorlab restart --rolling shop

    Workers are recycled one after another into processes that import everything anew; the node's own
    process keeps the code it has. If one refuses, those before it run the new code: ask again.

    exit codes: 0 restarted, 1 refused, or no answer, 2 wrong usage, 3 no such node runs
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
