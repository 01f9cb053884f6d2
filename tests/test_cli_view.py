"""`actorlab status | tree | ps | stop | doctor` against a node that runs in another process."""

from __future__ import annotations

import json
import os
import signal

import psutil
import pytest
from command_line import anybody_lives
from watched_shop import running_shop

from actorlab.cli import main

pytestmark = pytest.mark.process

SHOP = """
[node]
name = "shop"
workers = 2
[supervisor]
name = "all"
strategy = "rest_for_one"
[[supervisor.children]]
name = "first"
start = "desk:Clerk"
placement = 1
[[supervisor.children]]
name = "second"
start = "desk:Clerk"
restart = "transient"
placement = { beside = "first" }
[[supervisor.children]]
start = "desk:Clerk"
restart = "temporary"
placement = 2
[[supervisor.children]]
name = "team"
type = "partition"
start = "desk:Clerk"
partitions = 3
[[supervisor.children]]
name = "jobs"
type = "dynamic"
"""


@pytest.fixture
def shop(tmp_path):
    """A node called `shop`, run by `actorlab run` in another process."""
    with running_shop(tmp_path, SHOP) as command:
        yield command


@pytest.fixture
def call(capsys):
    """`call("ps", "--json")` runs a command in this process; returns its code, output and errors."""

    def run(*argv):
        capsys.readouterr()
        code = main(argv)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def rows(out, kind):
    return [row for row in map(json.loads, out.splitlines()) if row["type"] == kind]


def test_status_shows_the_node_and_its_processes(shop, call):
    code, out, err = call("status", "--json")
    (node,), workers = rows(out, "node"), rows(out, "worker")
    assert (code, err) == (0, "")
    assert (node["name"], node["pid"], node["state"], node["workers"]) == ("shop", shop.process.pid, "running", 2)
    assert node["actors"] == 9 and [row["worker"] for row in workers] == [0, 1, 2]
    assert {row["pid"] for row in workers} <= {shop.process.pid, *(one.pid for one in shop.family())}
    assert all(row["pss_bytes"] > 1_000_000 and row["restarts"] == 0 for row in workers)
    assert call("status", "shop")[1].startswith(f"node shop (pid {shop.process.pid}): running, 9 actors, up ")


def test_the_tree_is_in_start_order_with_how_each_is_restarted(shop, call):
    found = rows(call("tree", "--json")[1], "child")
    assert [(row["depth"], row["name"], row["kind"], row["restart"]) for row in found] == [
        (0, "all", "supervisor", "rest_for_one, 3 in 5 s"),
        (1, "first", "Clerk", "permanent"),
        (1, "second", "Clerk", "transient"),
        (1, "clerk", "Clerk", "temporary"),
        (1, "team", "partition", "one_for_one, 3 in 5 s"),
        (2, "0", "Clerk", "permanent"),
        (2, "1", "Clerk", "permanent"),
        (2, "2", "Clerk", "permanent"),
        (1, "jobs", "dynamic", "one_for_one, 3 in 5 s"),
    ]
    assert {row["status"] for row in found} == {"running"} and {row["restarts"] for row in found} == {0}
    homes = {row["name"]: row["address"].split(".")[0] for row in found}
    assert homes["first"] == homes["second"] == "1" and homes["clerk"] == "2"
    assert "├─ first " in call("tree", "shop")[1]


def test_a_restart_is_seen_from_outside(shop, call, eventually):
    (worker,) = [row for row in rows(call("status", "--json")[1], "worker") if row["worker"] == 1]
    os.kill(worker["pid"], signal.SIGKILL)

    def restarted():
        (now,) = [row for row in rows(call("status", "--json")[1], "worker") if row["worker"] == 1]
        children = {row["name"]: row for row in rows(call("tree", "--json")[1], "child")}
        return now["restarts"] == 1 and all(children[name]["restarts"] == 1 for name in ("first", "second"))

    eventually(restarted)
    shop.wait_for("worker 1 is back")


def test_ps_lists_the_actors(shop, call):
    found = rows(call("ps", "--json", "--class", "clerk")[1], "actor")
    assert len(found) == 6 and {row["cls"] for row in found} == {"desk:Clerk"}
    assert sorted(row["name"] for row in found if row["worker"] == 1)[-2:] == ["first", "second"]


def test_a_hung_node_can_be_looked_at(shop, call):
    processes = [psutil.Process(shop.process.pid), *shop.family()]
    for process in processes:
        process.suspend()
    try:
        assert len(rows(call("tree", "--json")[1], "child")) == 9
    finally:
        for process in processes:
            process.resume()


@pytest.mark.parametrize("options", [(), ("--brutal",)], ids=["in order", "brutal"])
def test_stop_waits_for_the_end(shop, call, options, eventually):
    family = shop.family()
    code, out, _ = call("stop", "shop", *options)
    assert (code, out) == (0, f"node shop (pid {shop.process.pid}) has stopped\n")
    eventually(lambda: not anybody_lives(family[1:]))
    shop_code, _, err = shop.end()
    assert shop_code == 0 and "Traceback" not in err and (options or err.count("goodbye") == 6)
    assert call("status")[0] == 3


def test_stop_brutal_ends_a_node_that_does_not_listen(shop, call, eventually):
    family = shop.family()
    shop.process.send_signal(signal.SIGSTOP)
    eventually(lambda: psutil.Process(shop.process.pid).status() == psutil.STATUS_STOPPED)
    assert call("stop", "--timeout", "0.2")[0] == 1
    code, out, _ = call("stop", "--brutal", "--timeout", "20")
    assert (code, out) == (0, f"node shop (pid {shop.process.pid}) has stopped\n")
    shop.end()
    eventually(lambda: not anybody_lives(family))
    assert call("status")[0] == 3


def test_the_doctor_leaves_a_running_node_alone_and_removes_a_dead_one(shop, call, eventually):
    _, out, _ = call("doctor", "--json")
    assert rows(out, "finding") == [] and rows(call("status", "--json")[1], "node")[0]["state"] == "running"
    family = shop.family()
    shop.process.kill()
    shop.process.wait()
    eventually(lambda: not anybody_lives(family))
    _, out, _ = call("doctor", "--json")
    assert all(finding["removed"] for finding in rows(out, "finding"))
    assert call("status")[0] == 3 and call("doctor", "--json")[1].count('"finding"') == 0
