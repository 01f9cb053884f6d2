"""`run`, `status`, `tree`, `ps`, `stop` and `doctor`, against a node package that only pretends."""

from __future__ import annotations

import json
import logging
import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from actorlab.cli import main
from actorlab.errors import StartError
from actorlab.runner import read_settings
from actorlab.telemetry import ActorRow, Event, NodeRow, TreeRow, WorkerRow

DESK = """
import os, signal
import pykka
class Clerk(pykka.ThreadingActor): ...
def job(node, options, report):
    report.result("options", options, repr(sorted(options.items())))
    return options.get("code", 0)
def slow(node, options, report):
    os.kill(os.getpid(), signal.SIGTERM)
    raise AssertionError("a signal came first")
"""


def node_row(name, tag="aaaaaaaa"):
    return NodeRow(name, 11, "running", 2, 3, 61.0, f"/run/actorlab-0/{name}-{tag}")


@dataclass
class Check:
    name: str
    ok: bool
    text: str


@dataclass
class Diagnosis:
    checks: list
    findings: list
    ok: bool


class Pretended:
    """A node package whose nodes are rows, and whose Node notes what was done to it."""

    def __init__(self):
        self.rows, self.did, self.stops_in_time = [node_row("shop")], [], True
        self.wait, self.start, self.stop = (lambda: None), (lambda: None), (lambda brutal: None)

    def running_nodes(self, runtime_dir=None):
        return self.rows

    def base_directory(self, runtime_dir=None):
        return Path(runtime_dir or "/dev/shm")

    def doctor(self, base, *, clean):
        self.did.append(("doctor", str(base), clean))
        return Diagnosis([Check("python", True, "3.11"), Check("room", False, "too small")], [], False)

    @contextmanager
    def open_view(self, directory):
        self.did.append(("open", directory))
        yield View(self)

    def Node(self, options, *, tree, on_event):
        self.did.append(("node", options.workers, tree is not None))
        return Node(self, on_event)


class View:
    def __init__(self, world):
        self.world = world

    def workers(self):
        return [WorkerRow(1, 21, "running", 2, 10**7, 0, 60.0), WorkerRow(2, 22, "running", 1, 10**7, 1, 3.0)]

    def actors(self):
        return [
            ActorRow("1.0.1", "stock", "Stock", 1, "idle", 0, 0, 9, 0),
            ActorRow("1.1.1", "till", "Till", 1, "running", 2, 7, 5, 1),
            ActorRow("2.0.1", "", "Session", 2, "idle", 0, 1, 2, 0),
        ]

    def tree(self):
        return [
            TreeRow(0, "root", "supervisor", "one_for_one", "running"),
            TreeRow(1, "stock", "Stock", "permanent", "running"),
        ]

    def stop(self, *, brutal, timeout_s):
        self.world.did.append(("stop", brutal, timeout_s))
        return self.world.stops_in_time


class Node:
    name = "shop"
    directory = None

    def is_well(self):
        return True

    def __init__(self, world, on_event):
        self.world, self.on_event = world, on_event

    def __enter__(self):
        self.world.start()
        self.on_event(Event(0.0, "node_started", "node shop is ready", "good"))
        return self

    def __exit__(self, *exc_info):
        self.world.did.append("left")

    def wait(self):
        return self.world.wait()

    def stop(self, *, brutal=False):
        self.world.did.append("brutal" if brutal else "ordered")
        self.world.stop(brutal)


@pytest.fixture
def world():
    return Pretended()


@pytest.fixture
def call(world, tmp_path, monkeypatch, capsys):
    """`call("ps", "--json")` runs a command in a folder with `desk.py` and returns its code, output and errors."""
    (tmp_path / "desk.py").write_text(DESK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    def run(*argv, file=None):
        if file is not None:
            Path("app.toml").write_text(file)
            Path("app.toml").chmod(0o644)
        code = main(argv, nodes=world)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    yield run
    __import__("sys").modules.pop("desk", None)


JOB = '[node]\nworkers = 1\n[job]\nrun = "desk:job"\n[job.options]\nk = 3\n'
TREE = '[[supervisor.children]]\nstart = "desk:Clerk"\n'


def test_a_job_gets_the_files_options_with_the_command_lines_over_them(call, world):
    Path("q.txt").write_text("one\n\n two \n")
    argv = ("--query", "zero", "--queries", "q.txt", "--chaos", "--set", "k=5", "--set", "title=a b", "--folder", "/x")
    code, out, err = call("run", "app.toml", *argv, file=JOB)
    wanted = {"chaos": True, "folder": "/x", "k": 5, "queries": ["zero", "one", "two"], "title": "a b"}
    assert (code, out) == (0, repr(sorted(wanted.items())) + "\n")
    assert "node shop is ready" in err and world.did == [("node", 1, False), "ordered", "left"]


def test_the_code_of_a_job_is_the_code_of_the_command(call):
    assert call("run", "app.toml", "--set", "code=7", file=JOB)[0] == 7


def test_a_run_as_json_is_all_on_one_stream(call):
    code, out, err = call("run", "app.toml", "--json", file=JOB)
    assert code == 0 and err == ""
    assert [json.loads(line)["type"] for line in out.splitlines()] == ["node_started", "options"]


def test_a_tree_without_a_job_runs_until_it_ends(call, world):
    assert call("run", "app.toml", file=TREE)[0] == 0
    world.wait = lambda: "the root supervisor gave up"
    code, _, err = call("run", "app.toml", file=TREE)
    assert code == 1 and "actorlab: the root supervisor gave up" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_first_signal_stops_in_order(call, world, number):
    world.wait = lambda: os.kill(os.getpid(), number)
    before = signal.getsignal(number)
    assert call("run", "app.toml", file=TREE)[0] == 0
    assert world.did[1:] == ["ordered", "left"] and signal.getsignal(number) is before


def test_a_second_signal_stops_at_once_and_a_third_changes_nothing(call, world):
    world.wait = lambda: os.kill(os.getpid(), signal.SIGINT)
    world.stop = lambda brutal: os.kill(os.getpid(), signal.SIGINT)
    assert call("run", "app.toml", file=TREE)[0] == 0
    assert world.did[1:] == ["ordered", "brutal", "left"]


def test_a_job_cut_short_says_by_which_signal(call, world):
    code, _, err = call("run", "app.toml", file=JOB.replace("desk:job", "desk:slow"))
    assert code == 128 + signal.SIGTERM and "stopping" in err and world.did[1:] == ["ordered", "left"]


def test_a_signal_while_the_node_starts_ends_the_command(call, world):
    world.start = lambda: os.kill(os.getpid(), signal.SIGINT)
    assert call("run", "app.toml", file=TREE)[0] == 130


def test_log_records_are_shown_as_events_while_it_runs(call, world):
    world.wait = lambda: logging.getLogger("desk").warning("till %s is empty", 3)
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    _, _, err = call("run", "app.toml", file=TREE)
    assert "WARNING desk: till 3 is empty" in err and (root.level, root.handlers) == before


def test_a_node_that_does_not_start_is_a_message(call, world):
    def fail():
        raise StartError("worker 1", "no room")

    world.start = fail
    code, _, err = call("run", "app.toml", file=TREE)
    assert code == 1 and err.endswith("actorlab: worker 1 did not start: no room\n")


@pytest.mark.parametrize(
    ("argv", "file", "says"),
    [
        (["app.toml"], "[node]\nworkers = -1", "node.workers"),
        (["none.toml"], None, "there is no such file"),
        (["app.toml"], "", "nothing to run"),
        (["app.toml", "--query", "x"], TREE, "no [job] that could take queries"),
        (["app.toml", "--set", "k"], JOB, "must be key=value"),
        (["app.toml", "--queries", "none.txt"], JOB, "none.txt cannot be read"),
    ],
)
def test_bad_input_starts_nothing_and_is_exit_code_2(call, world, argv, file, says):
    code, out, err = call("run", *argv, file=file)
    assert (code, out, world.did) == (2, "", []) and says in err and "Traceback" not in err


def test_settings_are_toml_where_they_can_be():
    given = ["a=1", "b=x y", "c=[1, 2]", "d=", "e = 'q'", "f=1\ng=2", "h=a=b"]
    assert read_settings(given) == {"a": 1, "b": "x y", "c": [1, 2], "d": "", "e": "q", "f": "1\ng=2", "h": "a=b"}


def test_status_shows_the_only_node_with_its_workers(call, world):
    code, out, _ = call("status")
    assert code == 0 and out.startswith("node shop (pid 11): running, 3 actors, up 1 min 1 s\n/run/")
    assert world.did == [("open", "/run/actorlab-0/shop-aaaaaaaa")]
    kinds = [json.loads(line)["type"] for line in call("status", "shop", "--json")[1].splitlines()]
    assert kinds == ["node", "worker", "worker"]


def test_status_lists_the_nodes_where_there_are_several(call, world):
    world.rows.append(node_row("lab"))
    code, out, _ = call("status")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == ["node", "shop", "lab"]


@pytest.mark.parametrize("command", ["tree", "ps", "stop"])
def test_which_node_is_meant_must_be_plain(call, world, command):
    world.rows = [node_row("node", "aaaaaaaa"), node_row("node", "bbbbbbbb")]
    code, _, err = call(command, "node")
    assert code == 3 and "say which: node-aaaaaaaa, node-bbbbbbbb" in err and world.did == []
    assert call(command, "node-bbbbbbbb")[0] == 0 and world.did[0] == ("open", "/run/actorlab-0/node-bbbbbbbb")
    assert "no node 'lab' runs; there is node-aaaaaaaa" in call(command, "lab")[2]
    world.rows = []
    assert "start one with: actorlab run FILE" in call(command)[2]


def test_tree_draws_the_tree(call):
    assert "\n└─ stock  Stock" in call("tree")[1]


def test_ps_sorts_filters_and_limits(call):
    def names(*argv):
        return [json.loads(line)["name"] for line in call("ps", "--json", *argv)[1].splitlines()]

    assert names() == ["stock", "till", ""]
    assert names("--sort", "depth", "--limit", "2") == ["till", ""]
    assert names("--sort", "name") == ["", "stock", "till"]
    assert names("--worker", "2") == [""] and names("--class", "till") == ["till"]
    assert "2 more" in call("ps", "--limit", "1")[2]


def test_stop_waits_and_says_when_it_did_not_come_to_that(call, world):
    assert call("stop", "--timeout", "3")[:2] == (0, "node shop (pid 11) has stopped\n")
    world.stops_in_time = False
    code, _, err = call("stop", "--brutal")
    assert code == 1 and "still runs after 30 s" in err
    assert [did for did in world.did if did[0] == "stop"] == [("stop", False, 3.0), ("stop", True, 30.0)]


def test_doctor_removes_unless_it_is_a_dry_run(call, world):
    code, out, _ = call("doctor", "--dir", "/tmp")
    assert code == 1 and "problem  room" in out and "ok       python" in out
    call("doctor", "--dry-run")
    assert world.did == [("doctor", "/tmp", True), ("doctor", "/dev/shm", False)]
