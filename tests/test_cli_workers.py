"""`actorlab workers`, `add` and `drain` as a user has them: real processes, found and told through their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Command, actorlab, make_desk

pytestmark = pytest.mark.process

SHOP = """[node]
workers = 2
name = "shop"
heartbeat = "50ms"
[supervisor]
[[supervisor.children]]
name = "first"
start = "desk:Clerk"
placement = 1
[[supervisor.children]]
name = "second"
start = "desk:Clerk"
placement = 2
"""


def rows(folder: Path, *argv: str) -> list[dict[str, Any]]:
    code, out, err = actorlab(*argv, "--json", folder=folder)
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_workers_are_listed_added_and_drained_under_a_running_file(tmp_path: Path) -> None:
    make_desk(tmp_path, SHOP)
    with Command("run", "app.toml", folder=tmp_path) as command:
        command.wait_for("node shop runs;")
        before = rows(tmp_path, "workers", "shop")
        assert [(row["worker"], row["host"]) for row in before] == [(1, 0), (2, 0)]
        assert {row["pid"] for row in before} <= {process.pid for process in command.family()}
        code, out, _ = actorlab("add", "shop", folder=tmp_path)
        assert code == 0 and out.startswith("node shop: worker 3 added, pid ")
        (drained,) = rows(tmp_path, "drain", "shop", "2")
        assert drained["type"] == "drained" and drained["worker"] == 2 and drained["host"] == 1
        assert drained["pid"] == before[0]["pid"]
        now = rows(tmp_path, "workers")
        assert [(row["worker"], row["host"], row["restarts"]) for row in now] == [(1, 0, 0), (2, 1, 0), (3, 0, 0)]
        assert now[1]["pid"] == now[0]["pid"] and now[1]["pss_bytes"] is None
        assert [row["actors"] for row in now] == [row["actors"] for row in before] + [0]
        said = actorlab("workers", "shop", folder=tmp_path)[1].splitlines()
        assert said[0].split()[:3] == ["worker", "pid", "state"] and said[0].endswith("guest of")
        assert said[2].split()[-1] == "1" and len(said) == 4
        (again,) = rows(tmp_path, "add", "shop")
        assert (again["worker"], again["again"]) == (2, True)
        assert len({row["pid"] for row in rows(tmp_path, "workers", "shop")}) == 3
        names = {row["name"] for row in rows(tmp_path, "ps", "shop") if row["cls"] == "desk:Clerk"}
        assert names == {"first", "second"}
        command.interrupt()
        code, _, err = command.end()
        assert code == 0 and err.count("clerk says goodbye") == 2


def test_what_is_refused_is_said_and_changes_nothing(tmp_path: Path) -> None:
    make_desk(tmp_path, SHOP.replace("workers = 2", "workers = 1").replace("placement = 2", "placement = 1"))
    with Command("run", "app.toml", folder=tmp_path) as command:
        command.wait_for("node shop runs;")
        before = rows(tmp_path, "workers", "shop")

        def refused(*argv: str) -> str:
            code, out, err = actorlab(*argv, folder=tmp_path)
            assert (code, out) == (1, "") and "Traceback" not in err
            return err

        assert "worker 1 stays as it is: no other worker's process can take" in refused("drain", "shop", "1")
        assert "there is no such worker; this node has 1, counted from 1" in refused("drain", "shop", "7")
        assert "there is no such worker" in refused("drain", "shop", "0")
        assert actorlab("drain", "nowhere", "1", folder=tmp_path)[0] == 3
        assert actorlab("add", "nowhere", folder=tmp_path)[0] == 3
        assert actorlab("workers", "nowhere", folder=tmp_path)[0] == 3
        assert actorlab("drain", "shop", "first", folder=tmp_path)[0] == 2
        assert actorlab("drain", "shop", folder=tmp_path)[0] == 2
        after = rows(tmp_path, "workers", "shop")
        assert [(row["worker"], row["pid"], row["host"]) for row in after] == [(1, before[0]["pid"], 0)]
        command.interrupt()
        assert command.end()[0] == 0
