"""`actorlab run` as a user has it: a process, real workers, a terminal's signals."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from command_line import NODE, ROOT, TREE, Command, actorlab, anybody_lives, make_desk

from actorlab.corpus import Scan, find_text

pytestmark = pytest.mark.process

CORPUS = str(ROOT / "config" / "corpus.toml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("text")
    shutil.copytree(Path(sysconfig.get_path("stdlib")) / "json", where / "json")
    return where


@pytest.fixture(autouse=True)
def _file_of_ours():
    """A checkout may have been made with a generous umask; that is not what is tested here."""
    mode = os.stat(CORPUS).st_mode
    os.chmod(CORPUS, 0o644)
    yield
    os.chmod(CORPUS, mode)


def test_a_question_is_answered_in_plain_lines_where_nobody_watches(folder):
    code, out, err = actorlab("run", CORPUS, "--folder", str(folder), "--query", "decode a string", "--set", "k=2")
    hits = Scan(find_text(str(folder)).files).search("decode a string", 2)
    expected = ["decode a string"]
    for hit in hits:
        expected += [f"  {hit.score:6.2f}  {hit.path}:{hit.line}", f"          {hit.snippet.strip()}"]
    assert (code, out.splitlines()) == (0, expected)
    assert "\x1b" not in out + err and "Traceback" not in err
    assert "worker 1 ready" in err and "one searcher costs" in err and "0 worker restarts" in err


def test_as_json_every_line_is_an_object_and_the_answers_are_among_them(folder):
    argv = ("--queries", "-", "--json", "--set", "searchers=3")
    code, out, err = actorlab("run", CORPUS, "--folder", str(folder), *argv, stdin="encode\n\nscan a number\n")
    lines = [json.loads(line) for line in out.splitlines()]
    kinds = [line["type"] for line in lines]
    assert code == 0 and err == ""
    assert {"worker_started", "corpus", "index", "team", "answers", "restarts", "memory"} <= set(kinds)
    answers = [line for line in lines if line["type"] == "answer"]
    scan = Scan(find_text(str(folder)).files)
    assert [(a["query"], [(h["path"], h["line"], h["score"]) for h in a["hits"]]) for a in answers] == [
        (query, [(h.path, h.line, h.score) for h in scan.search(query, 3)]) for query in ("encode", "scan a number")
    ]


def test_questions_can_be_typed(folder):
    code, out, _ = actorlab("run", CORPUS, "--folder", str(folder), "--interactive", stdin="JSONDecoder\n")
    assert code == 0 and out.startswith("JSONDecoder\n  ") and "json/decoder.py" in out


def test_chaos_kills_and_the_answers_stay(folder):
    argv = ("--chaos", "--set", "seconds=6", "--set", "kill_every_s=0.5", "--set", "max_restarts=100", "--json")
    code, out, _ = actorlab("run", CORPUS, "--folder", str(folder), "--query", "decode", *argv)
    lines = {line["type"]: line for line in map(json.loads, out.splitlines())}
    assert code == 0 and lines["restarts"]["identical"] is True
    assert lines["restarts"]["restarts"] == lines["restarts"]["kills"] >= 3
    assert lines["actor_restarted"]["supervisor"] == "team" and lines["worker_died"]["why"] == "SIGKILL"


def test_a_terminal_gets_colour(folder):
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "actorlab", "run", CORPUS, "--folder", str(folder), "--query", "decode"]
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 65536):
                shown += chunk
        except OSError:
            pass  # the other end is closed
    os.close(ours)
    assert process.returncode == 0 and b"\x1b[1mdecode\x1b[0m" in shown and b"\x1b[36m" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_to_the_group_stops_in_order(tmp_path, number, eventually):
    make_desk(tmp_path, NODE + TREE)
    with Command("run", "app.toml", folder=tmp_path) as command:
        command.wait_for("Ctrl-C stops it")
        family = command.family()
        command.interrupt(number)
        code, _, err = command.end()
    assert code == 0 and "clerk says goodbye" in err
    assert "does not stop" not in err and "died" not in err and "Traceback" not in err
    assert len(family) >= 3
    eventually(lambda: not anybody_lives(family))


def test_a_second_ctrl_c_stops_at_once(tmp_path, eventually):
    stubborn = '[[supervisor.children]]\nstart = "desk:Stubborn"\nshutdown = "infinity"\n'
    make_desk(tmp_path, NODE + 'stop_timeout = "120s"\n' + TREE + stubborn)
    with Command("run", "app.toml", folder=tmp_path) as command:
        command.wait_for("Ctrl-C stops it")
        family = command.family()
        command.interrupt()
        assert command.process.stdout.readline() == "stubborn stays\n"
        command.interrupt()
        code, _, err = command.end()
    assert code == 0 and "stopping at once" in err
    eventually(lambda: not anybody_lives(family))


def test_who_does_not_stop_in_time_is_killed(tmp_path):
    stubborn = '[[supervisor.children]]\nstart = "desk:Stubborn"\nshutdown = "infinity"\n'
    make_desk(tmp_path, NODE + 'stop_timeout = "500ms"\n' + TREE + stubborn)
    with Command("run", "app.toml", folder=tmp_path) as command:
        command.wait_for("Ctrl-C stops it")
        command.interrupt()
        code, _, err = command.end()
    assert code == 0 and "does not stop within 0.5 s" in err


def test_nobody_outlives_a_killed_controller_and_the_doctor_tidies_up(tmp_path, eventually):
    make_desk(tmp_path, NODE + TREE)
    with Command("run", "app.toml", folder=tmp_path) as command:
        command.wait_for("Ctrl-C stops it")
        family = command.family()
        command.process.kill()
        command.end()
    eventually(lambda: not anybody_lives(family))
    _, out, _ = actorlab("doctor", "--json")
    findings = [line for line in map(json.loads, out.splitlines()) if line["type"] == "finding"]
    assert all(finding["removed"] for finding in findings)
    assert not list(Path(os.environ["ACTORLAB_RUNTIME_DIR"]).glob("actorlab-*/*/node.json"))


def test_a_crash_is_shown_once_with_its_traceback(tmp_path):
    make_desk(tmp_path, NODE + TREE + '[job]\nrun = "desk:failing_job"\n')
    code, _, err = actorlab("run", "app.toml", folder=tmp_path)
    assert code == 0
    assert err.count("crashed handling") == 1 and err.count("raise ValueError(why)") == 1
    assert "restarted clerk" in err


def test_a_tree_that_gives_up_ends_the_run_and_says_why(tmp_path):
    limits = 'name = "all"\nmax_restarts = 2\nmax_seconds = "60s"\n'
    make_desk(tmp_path, NODE + "[supervisor]\n" + limits + TREE.replace("[supervisor]\n", "")
              + '[[supervisor.children]]\nname = "doomed"\nstart = "desk:Doomed"\n')  # fmt: skip
    code, _, err = actorlab("run", "app.toml", folder=tmp_path)
    assert code == 1 and err.count("crashed handling") == 3 and err.count("all restarted doomed") == 2
    assert "actorlab: the root supervisor gave up" in err and "clerk says goodbye" in err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (NODE + TREE.replace("desk:", "dusk:"), "dusk"),
        (NODE + TREE.replace("Clerk", "NoActor"), "NoActor"),
        (NODE + TREE.replace("Clerk", "Clark"), "did you mean"),
        (NODE + TREE + 'strategie = "one_for_one"\n', "strategie"),
        (NODE + TREE.replace("[supervisor]\n", '[supervisor]\nstrategy = "one_for_most"\n'), "one_for_most"),
        (NODE + TREE + TREE.partition("\n")[2], "clerk"),
        (NODE.replace("2", '"two"') + TREE, "node.workers"),
        ('[node]\nworkers = 1\n[job]\nrun = "actorlab.corpus:run"\n[job.options]\nfolder = "/nowhere"\n', "/nowhere"),
        ('[node]\nworkers = 1\n[job]\nrun = "actorlab.corpus:run"\n[job.options]\nfolder = "empty"\n', "no text file"),
        ('[node]\nworkers = 1\n[job]\nrun = "actorlab.corpus:run"\n[job.options]\nsearches = 3\n', "searchers"),
    ],
    ids=["no module", "no actor", "no class", "no key", "no strategy", "name twice", "wrong type", "no folder",
         "no text", "no option"],
)  # fmt: skip
def test_bad_input_is_one_message_exit_code_2_and_nothing_left(tmp_path, text, says):
    make_desk(tmp_path, text)
    (tmp_path / "empty").mkdir()
    code, out, err = actorlab("run", "app.toml", folder=tmp_path)
    assert (code, out) == (2, "") and says in err and "Traceback" not in err and err.count("actorlab: ") == 1
    # nothing was started; what a job's options mean, only the job can tell, on a node that runs
    assert ("worker 1 ready" in err) == ("[job" in text)


def test_a_file_that_others_may_write_is_refused(tmp_path):
    make_desk(tmp_path, NODE + TREE).chmod(0o666)
    code, out, err = actorlab("run", "app.toml", folder=tmp_path)
    assert (code, out) == (2, "") and "chmod go-w" in err and "ready" not in err
