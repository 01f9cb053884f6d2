"""A file becomes a configuration, or one error with everything that is wrong with it."""

from __future__ import annotations

import os
import pickle
import re

import pytest

from actorlab.actor import Beside, Mailbox
from actorlab.config import load
from actorlab.errors import ConfigError
from actorlab.node import MemoryLimits
from actorlab.supervision import Backoff, ChildSpec, DynamicSupervisor, PartitionSupervisor, Supervisor

GOOD = """
[node]
workers = 3
spares = 1
mailbox = { capacity = 7, overflow = "reject", timeout = "250ms", max_bytes = "2MiB" }
heartbeat = "100ms"
max_message_bytes = "1MiB"
preload = ["json"]
gc_thresholds = [1000, 5, 5]
gc_freeze = "start"
[node.registry]
backend = "local"
partitions = 4

[supervisor]
name = "root"
strategy = "rest_for_one"
max_restarts = 5
max_seconds = "1m"
auto_shutdown = "any_significant"
backoff = { first = "1s" }

[[supervisor.children]]
name = "clerk"
start = "office:Clerk"
args = [3]
kwargs = { number = 1 }
restart = "transient"
shutdown = "infinity"
significant = true
placement = 2
mailbox = { capacity = 9 }
init_timeout = "2s"
redeliver = 2

[[supervisor.children]]
start = "office:Clerk"
placement = { beside = "clerk" }

[[supervisor.children]]
name = "back"
type = "supervisor"
strategy = "one_for_all"
[[supervisor.children.children]]
name = "inner"
start = "office:Clerk"

[[supervisor.children]]
name = "jobs"
type = "dynamic"
max_children = 10
restart = "temporary"

[[supervisor.children]]
name = "shards"
type = "partition"
start = "office:Clerk"
partitions = 4
with_partition = "number"
copies = { mailbox = { capacity = 2 }, shutdown = "brutal_kill" }

[job]
run = "office:job"
[job.options]
k = 3
"""


def problems(path, **given):
    with pytest.raises(ConfigError) as caught:
        load(path, **given)
    found: dict[str, str] = {}
    for key, text in caught.value.problems:
        found[key] = f"{found[key]}; {text}" if key in found else text
    return found


def test_a_file_says_all_that_code_can_say(write):
    config = load(write(GOOD))
    node = config.node
    assert (node.workers, node.spares, node.mailbox) == (3, 1, Mailbox(7, "reject", 0.25, 2 << 20))
    assert (node.heartbeat_s, node.max_message_bytes, node.preload) == (0.1, 1 << 20, ("json",))
    assert (node.gc_freeze, node.gc_thresholds) == ("start", (1000, 5, 5))
    assert (node.registry.backend, node.registry.partitions) == ("local", 4)

    from office import Clerk, job

    assert config.tree == Supervisor(
        name="root",
        strategy="rest_for_one",
        max_restarts=5,
        max_seconds=60.0,
        auto_shutdown="any_significant",
        backoff=Backoff(first_s=1.0),
        children=[
            ChildSpec(Clerk, (3,), {"number": 1}, "clerk", "transient", "infinity", True, 2, Mailbox(9), 2.0, 2),
            ChildSpec(Clerk, placement=Beside("clerk")),
            Supervisor(name="back", strategy="one_for_all", children=[ChildSpec(Clerk, name="inner")]),
            DynamicSupervisor("jobs", max_children=10, restart="temporary"),
            PartitionSupervisor(
                ChildSpec(Clerk, mailbox=Mailbox(2), shutdown="brutal_kill"),
                partitions=4,
                with_partition="number",
                name="shards",
            ),
        ],
    )
    assert config.job is not None and config.job.function is job and config.job.options == {"k": 3}


def test_an_empty_file_is_a_node_without_a_tree(write):
    config = load(write(""))
    assert config.tree is None and config.job is None and config.node.workers >= 1


def test_all_problems_are_told_at_once_each_at_its_key(write):
    found = problems(
        write(
            """
            workers = 3
            [node]
            wrokers = 4
            mailbox = { overflow = "blok" }
            lane_blocks = 100
            heartbeat = "1s"
            hang_timeout = "2s"
            [node.registry]
            partitions = "many"
            [supervisor]
            strategy = "one_for_al"
            max_restarts = true
            [[supervisor.children]]
            name = "a"
            start = "office:Clark"
            [[supervisor.children]]
            name = "a"
            start = "office:Visitor"
            [[supervisor.children]]
            name = "b"
            start = "offica:Clerk"
            significant = true
            placement = { beside = "c" }
            [[supervisor.children]]
            name = "c"
            args = [1, 2]
            start = "office:Clerk"
            partitions = 2
            [[supervisor.children]]
            type = "partitoin"
            [[supervisor.children]]
            type = "partition"
            start = "office:Clerk"
            copies = { redeliver = -1 }
            [[supervisor.children]]
            type = "supervisor"
            [[supervisor.children.children]]
            start = "office.staff:Clerk"
            placement = 99
            restart = "always"
            [job]
            run = "office:lonely"
            """
        )
    )
    expected = {
        "workers": "belongs in [node]",
        "node.wrokers": "did you mean 'workers'",
        "node.mailbox.overflow": "did you mean 'block'",
        "node.lane_blocks": "power of two",
        "node.hang_timeout": "three heartbeats",
        "node.registry.partitions": "a whole number from 1 to 256, not 'many'",
        "supervisor.strategy": "did you mean 'one_for_all'",
        "supervisor.max_restarts": "a whole number, 0 or more, not True",
        "supervisor.children[0].start": "did you mean 'Clerk'",
        "supervisor.children[1].start": "the class Visitor is no actor",
        "supervisor.children[1].name": "the name of supervisor.children[0]",
        "supervisor.children[2].start": "there is no module 'offica'",
        "supervisor.children[2].significant": "permanent",
        "supervisor.children[2].placement": "an earlier child",
        "supervisor.children[3].args": "too many positional arguments",
        "supervisor.children[3].partitions": "type = 'partition'",
        "supervisor.children[4].type": "did you mean 'partition'",
        "supervisor.children[5].partitions": "is missing",
        "supervisor.children[5].copies.redeliver": "0 to 1,000",
        "supervisor.children[6].children[0].start": "a module, not a package",
        "supervisor.children[6].children[0].restart": "one of 'permanent', 'transient', 'temporary'",
        "job.run": "three arguments",
    }
    assert {path: text for path, text in found.items() if expected.get(path, "\0") not in text} == {}
    assert found.keys() == expected.keys()


def test_problems_come_in_the_order_of_the_file(write):
    found = problems(write('[supervisor]\nstrategy = "x"\n[node]\nworkers = -1\nheartbeat = 0\n'))
    assert list(found) == ["supervisor.strategy", "node.workers", "node.heartbeat"]


def test_a_placement_on_a_worker_that_will_not_be_is_refused(write):
    child = '[node]\nworkers = {}\n[[supervisor.children]]\nstart = "office:Clerk"\nplacement = 2\n'
    assert "there are 1 workers" in problems(write(child.format(1)))["supervisor.children[0].placement"]
    assert load(write(child.format(2))).tree is not None


@pytest.mark.parametrize(
    "body", ["raise RuntimeError('no database')", "import nowhere_at_all", "import sys; sys.exit(3)", "x ="]
)
def test_a_module_that_fails_at_import_is_named_with_its_line(folder, write, body):
    (folder / "broken.py").write_text(f"\n{body}\n")
    text = problems(write('[[supervisor.children]]\nstart = "broken:Clerk"\n'))["supervisor.children[0].start"]
    assert "importing 'broken'" in text and re.search(r"broken\.py:2\)", text)


def test_a_target_outside_the_allowed_modules_is_not_imported(folder, write):
    (folder / "trap.py").write_text("raise SystemExit('imported')")
    path = write('[[supervisor.children]]\nstart = "trap:Clerk"\n')
    text = problems(path, allowed_modules=["office"])["supervisor.children[0].start"]
    assert "'trap' is not allowed; allowed: office" in text


@pytest.mark.parametrize("allowed", [["office"], ["office", "json"]])
def test_an_allowed_module_is_imported(write, allowed):
    assert load(write('[[supervisor.children]]\nstart = "office:Clerk"\n'), allowed_modules=allowed).tree is not None


def test_an_allowed_prefix_does_not_allow_a_longer_name(write):
    path = write('[[supervisor.children]]\nstart = "office:Clerk"\n')
    assert "not allowed" in problems(path, allowed_modules=["off"])["supervisor.children[0].start"]


@pytest.mark.parametrize("mode", [0o666, 0o622, 0o602])
def test_a_file_that_others_may_write_to_is_refused_unread(write, mode):
    path = write("this is not TOML")
    path.chmod(mode)
    text = problems(path)[""]
    assert "may be written by everybody" in text and f"chmod go-w {path}" in text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away or has no private group")
def test_a_file_of_somebody_else_or_of_a_group_is_refused(write):
    path = write("")
    path.chmod(0o664)
    assert "group" in problems(path)[""]
    path.chmod(0o644)
    os.chown(path, 12345, -1)
    assert "belongs to uid 12345" in problems(path)[""]


@pytest.mark.parametrize(("text", "says"), [("a = ", "is not TOML: Invalid value (at end"), ("a = 1\nb c", "line 2")])
def test_what_is_not_toml_is_told_with_its_place(write, text, says):
    assert says in problems(write(text))[""]


def test_what_is_no_readable_file_is_told(folder, write):
    assert problems(folder / "none.toml")[""] == "there is no such file"
    assert "is not a file" in problems(folder)[""]
    os.mkfifo(folder / "pipe")
    assert "is not a file" in problems(folder / "pipe")[""]
    (folder / "latin.toml").write_bytes(b"name = '\xe9'")
    assert "is not UTF-8: byte 8" in problems(folder / "latin.toml")[""]


@pytest.mark.parametrize(
    "text", ["node = 3", "[[node]]", "supervisor = []", "[supervisor]\nchildren = 3", "[supervisor.children]"]
)
def test_a_table_of_the_wrong_shape_is_told(write, text):
    assert all("must be" in text for text in problems(write(text)).values())


def test_a_config_error_survives_pickling(write):
    with pytest.raises(ConfigError) as caught:
        load(write("a = 1"))
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and again.problems == caught.value.problems


def test_limits_of_memory_are_read_and_judged_in_their_place(tmp_path):
    path = tmp_path / "app.toml"
    path.write_text('[node]\nmemory = { soft = "500MiB", hard = "1GiB", on_soft = "shed" }\n')
    assert load(path).node.memory == MemoryLimits(500 << 20, 1 << 30, "shed")
    path.write_text('[node]\nmemory = { soft = "2GiB", hard = "1GiB" }\n')
    with pytest.raises(ConfigError, match=r"node\.memory.*below hard_bytes"):
        load(path)
