"""`actorlab check` and the help: what is printed, what is refused, and the exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from actorlab.cli import COMMANDS, main

GOOD = """
[node]
workers = 2
[supervisor]
[[supervisor.children]]
name = "clerk"
start = "desk:Clerk"
shutdown = "1s"
[[supervisor.children]]
name = "jobs"
type = "dynamic"
[job]
run = "desk:job"
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    """A folder with a module and a good file, which the command is started in."""
    (tmp_path / "desk.py").write_text(
        "import pykka\nclass Clerk(pykka.ThreadingActor): ...\ndef job(node, options, report): return 0\n"
    )
    path = tmp_path / "app.toml"
    path.write_text(GOOD)
    path.chmod(0o644)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])  # a console script has no "" there
    yield path
    sys.modules.pop("desk", None)


def test_a_good_file_shows_the_tree_that_would_be_built(app, capsys):
    assert main(["check", "app.toml"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "" and shown.out.startswith("app.toml: good\n2 workers")
    lines = shown.out.splitlines()
    assert lines[-2].split() == ["├─", "clerk", "Clerk", "permanent", "1", "s", "any", "the", "node's"]
    assert lines[-1].split()[:3] == ["└─", "jobs", "dynamic"]


def test_a_good_file_as_json_is_its_options_and_the_rows_of_its_tree(app, capsys):
    assert main(["check", "--json", "app.toml"]) == 0
    config, *rows = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert config["type"] == "config" and config["node"]["workers"] == 2 and config["job"]["run"] == "desk:job"
    assert [(row["depth"], row["name"]) for row in rows] == [(0, "root"), (1, "clerk"), (1, "jobs")]


def test_a_bad_file_is_one_message_with_all_problems_and_exit_code_1(app, capsys):
    app.write_text(GOOD.replace("workers", "wrokers").replace("Clerk", "Clark"))
    assert main(["check", "app.toml"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("actorlab: app.toml: 2 problems; nothing was started\n")
    assert "did you mean 'workers'" in shown.err and "did you mean 'Clerk'" in shown.err


def test_the_problems_as_json_have_their_paths(app, capsys):
    app.write_text("[node]\nworkers = -1\n")
    assert main(["check", "--json", "app.toml"]) == 1
    (problem,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert problem["type"] == "problem" and problem["path"] == "node.workers"


def test_code_outside_the_allowed_modules_is_refused(app, capsys):
    assert main(["check", "app.toml", "--allow", "json"]) == 1
    assert "'desk' is not allowed" in capsys.readouterr().err


def test_every_key_can_be_explained(capsys):
    assert main(["check", "--explain"]) == 0
    assert "hang_timeout: " in capsys.readouterr().out
    assert main(["check"]) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_has_examples_and_exit_codes(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0 and f"  actorlab {command}" in text and "exit codes: 0 " in text


@pytest.mark.parametrize("argv", [[], ["chek"], ["check", "--no"], ["stop", "--timeout", "soon"]])
def test_wrong_usage_is_exit_code_2_without_a_traceback(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2 and "usage: actorlab" in capsys.readouterr().err


def test_it_runs_as_a_module(app):
    done = subprocess.run([sys.executable, "-m", "actorlab", "check", "app.toml"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and "app.toml: good" in done.stdout


def test_a_reader_that_stops_reading_is_no_error(app):
    child = subprocess.Popen(
        [sys.executable, "-m", "actorlab", "check", "--explain"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    child.stdout.close()
    with child:
        assert child.stderr.read() == b""
    assert child.returncode == 141
