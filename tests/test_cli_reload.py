"""`actorlab reload` and `actorlab unit` as a user has them: real processes, and a tree that changes under them."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Command, actorlab, make_desk

pytestmark = pytest.mark.process

HEAD = '[node]\nworkers = 1\nname = "shop"\n[supervisor]\n'


def clerk(name: str, more: str = "") -> str:
    return f'[[supervisor.children]]\nname = "{name}"\nstart = "desk:Clerk"\n{more}'


def rows(folder: Path) -> dict[str, str]:
    code, out, _ = actorlab("ps", "shop", "--json", folder=folder)
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    return {line["name"]: line["cls"] for line in lines if line["cls"] == "desk:Clerk"}


@pytest.mark.parametrize("lacks", ["", "proc"])
def test_a_reload_changes_what_differs_and_says_so_first(
    tmp_path: Path, without: Callable[..., None], lacks: str
) -> None:
    without(lacks)
    file = make_desk(tmp_path, HEAD + clerk("a") + clerk("b"))
    with Command("run", "app.toml", folder=tmp_path) as command:
        command.wait_for("node shop runs;")
        assert actorlab("reload", "shop", folder=tmp_path) == (0, "nothing has changed\n", "")
        file.write_text(HEAD.replace("workers = 1", "workers = 2") + clerk("a") + clerk("c"))
        code, out, _ = actorlab("reload", "shop", "--dry-run", folder=tmp_path)
        assert (code, out.splitlines()) == (
            0,
            [
                "would stop b: it is no longer there",
                "would start c: it is new",
                "needs a new start: node.workers: 1 → 2",
            ],
        )
        assert set(rows(tmp_path)) == {"a", "b"}
        code, out, _ = actorlab("reload", "shop", "--json", folder=tmp_path)
        assert [json.loads(line)["text"] for line in out.splitlines()][:2] == [
            "stop b: it is no longer there",
            "start c: it is new",
        ]
        assert set(rows(tmp_path)) == {"a", "c"}
        code, out, _ = actorlab("reload", "shop", folder=tmp_path)
        assert out == "needs a new start: node.workers: 1 → 2\n"
        command.interrupt()
        assert command.end()[0] == 0


def test_a_reload_that_fails_leaves_the_old_tree_running(tmp_path: Path) -> None:
    file = make_desk(tmp_path, HEAD + clerk("a"))
    with Command("run", "app.toml", folder=tmp_path) as command:
        command.wait_for("node shop runs;")
        file.write_text(HEAD + clerk("a").replace("Clerk", "NoActor"))
        code, _, err = actorlab("reload", "shop", folder=tmp_path)
        assert code == 1 and "supervisor.children[0].start" in err and "is no actor" in err
        file.write_text(HEAD + "max_restarts = 9\n" + clerk("a"))
        code, _, err = actorlab("reload", "shop", folder=tmp_path)
        assert code == 1 and "max_restarts of the root cannot be changed while it runs" in err
        other = tmp_path / "other.toml"
        other.write_text(HEAD + clerk("a") + clerk("z"))
        other.chmod(0o644)
        code, out, _ = actorlab("reload", "shop", "--file", "other.toml", folder=tmp_path)
        assert (code, out) == (0, "did start z: it is new\n")
        assert set(rows(tmp_path)) == {"a", "z"}
        command.interrupt()
        assert command.end()[0] == 0


LEDGER = """
import actorlab as al

class Ledger(al.Actor):
    def snapshot(self):
        return 1

    def restore(self, state):
        pass
"""


def test_a_reload_restarts_a_child_whose_snapshots_are_set_otherwise(tmp_path: Path) -> None:
    (tmp_path / "ledger.py").write_text(LEDGER)
    child = '[[supervisor.children]]\nname = "ledger"\nstart = "ledger:Ledger"\nsnapshots = {{ every = {} }}\n'
    file = make_desk(tmp_path, HEAD + child.format(1))
    with Command("run", "app.toml", folder=tmp_path) as command:
        command.wait_for("node shop runs;")
        file.write_text(HEAD + child.format(2))
        assert actorlab("reload", "shop", folder=tmp_path) == (0, "did restart ledger: snapshots changed\n", "")
        file.write_text(HEAD + child.format(0))
        code, _, err = actorlab("reload", "shop", folder=tmp_path)
        assert code == 1 and "supervisor.children[0].snapshots.every: must be a whole number, 1 or more" in err
        command.interrupt()
        assert command.end()[0] == 0


def test_a_hangup_without_a_wish_still_ends_it(tmp_path: Path) -> None:
    make_desk(tmp_path, HEAD + clerk("a"))
    with Command("run", "app.toml", folder=tmp_path) as command:
        command.wait_for("node shop runs;")
        command.interrupt(signal.SIGHUP)
        assert command.end()[0] == 0


def test_a_node_that_is_not_there_cannot_be_reloaded(tmp_path: Path) -> None:
    assert actorlab("reload", "nobody", folder=tmp_path)[0] == 3


def test_a_service_manager_hears_when_the_tree_runs_and_when_it_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_desk(tmp_path, HEAD + clerk("a"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        with Command("run", "app.toml", folder=tmp_path) as command:
            heard = ear.recv(4096).decode().splitlines()
            assert heard == ["READY=1", "STATUS=node shop runs", f"MAINPID={command.process.pid}"]
            assert ear.recv(4096) == b"WATCHDOG=1"
            os.kill(command.process.pid, signal.SIGTERM)
            while (last := ear.recv(4096)) == b"WATCHDOG=1":
                pass
            assert last == b"STOPPING=1"
            assert command.end()[0] == 0


def test_a_unit_needs_a_name_and_a_good_file(tmp_path: Path) -> None:
    file = make_desk(tmp_path, HEAD.replace('name = "shop"\n', "") + clerk("a"))
    code, _, err = actorlab("unit", "app.toml", folder=tmp_path)
    assert code == 2 and "node.name: has no name" in err and "--name" in err
    code, out, _ = actorlab("unit", "app.toml", "--name", "shop", "--user", folder=tmp_path)
    assert code == 0 and f"actorlab run {file}" in out and "WantedBy=default.target" in out
