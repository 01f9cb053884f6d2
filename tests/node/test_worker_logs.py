"""What a worker logs, prints, loses and suffers reaches the user, whole and in order."""

from __future__ import annotations

import logging
import os
import signal
import threading
import traceback

import pytest
from news_actors import Blocked, Chronicler, Letterbox, Reluctant

import actorlab as al
from actorlab.node.letters import FULL

pytestmark = pytest.mark.process


class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)

    def texts(self, logger):
        return [record.getMessage() for record in self.records if record.name == logger]


@pytest.fixture
def kept():
    """Every record that reaches this process's root logger."""
    handler, root = Kept(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel("DEBUG")
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


def test_records_come_whole_and_in_order(kept, eventually):
    with al.Node(workers=1) as node:
        chronicler, blocked = node.spawn(Chronicler), node.spawn(Blocked)
        chronicler.call.log_many(1000)
        blocked.call.log_many(1000)
        chronicler.call.log_error()
        eventually(lambda: kept.texts("news.error"))
        pid = chronicler.call.pid()
    assert kept.texts("news.many") == [f"line {n} of many" for n in range(1000)]
    assert kept.texts("news.thread") == [str(n) for n in range(1000)]
    (record,) = [record for record in kept.records if record.name == "news.error"]
    assert (record.levelname, record.process, record.worker, record.funcName) == ("ERROR", pid, 1, "log_error")
    assert (record.order, record.basket) == (7, "['pear']")
    shown = logging.Formatter("%(name)s %(message)s").format(record)
    assert shown.startswith("news.error it failed\nTraceback") and shown.endswith("ZeroDivisionError: by nothing")


def test_what_was_logged_before_a_kill_is_not_lost(kept, eventually):
    with al.Node(workers=1) as node:
        node.spawn(Chronicler).cast.log_and_die("last words")
        eventually(lambda: kept.texts("news.last"))
    assert kept.texts("news.last") == ["last words"]


def test_records_below_the_nodes_level_stay_in_the_worker(kept):
    with al.Node(workers=1, log_level="WARNING") as node:
        chronicler = node.spawn(Chronicler)
        chronicler.call.log_many(3)
        chronicler.call.log_error()
        node.wait_idle()
    assert kept.texts("news.many") == [] and kept.texts("news.error") == ["it failed"]


def test_what_is_printed_is_seen_even_if_a_kill_follows(capfd, eventually):
    with al.Node(workers=1) as node:
        node.spawn(Chronicler).cast.print_and_die("a line for the terminal")
        printed = []
        eventually(lambda: printed.append(capfd.readouterr().out) or "a line for the terminal\n" in "".join(printed))


def test_a_crash_is_one_record_and_one_event_with_its_traceback(kept, eventually):
    events = []
    with al.Node(workers=1, on_event=events.append) as node:
        actor = node.spawn(Chronicler, name="scribe")
        with pytest.raises(ValueError):
            actor.call.fail("out of ink")
        eventually(lambda: [event for event in events if event.kind == "actor_crashed"])
        eventually(lambda: kept.texts("actorlab"))
    (event,) = [event for event in events if event.kind == "actor_crashed"]
    assert event.level == "error" and "scribe" in event.text and "ValueError: out of ink" in event.text
    assert (event.fields["actor"], event.fields["worker"], event.fields["error"]) == ("scribe", 1, "ValueError")
    assert 'raise ValueError(why)' in event.fields["traceback"]
    (record,) = [record for record in kept.records if getattr(record, "event", "") == "actor_crashed"]
    assert record.getMessage() == event.text and "raise ValueError(why)" in record.exc_text


def test_what_happens_to_workers_and_supervised_actors_is_told_in_order(eventually):
    events = []
    tree = al.Supervisor(
        name="tree", max_restarts=2, max_seconds=60, children=[al.child(Chronicler, name=f"c{n}") for n in range(20)]
    )
    with al.Node(workers=1, tree=tree, on_event=events.append) as node:
        node.kill_worker(1)
        eventually(lambda: [event for event in events if event.kind == "actor_restarted"])
        for _ in range(2):
            was = node.whereis("c0").incarnation
            node.whereis("c0").cast.fail("again")
            eventually(lambda was=was: (now := node.whereis("c0")) is None or now.incarnation > was)
        assert node.wait(timeout=30).startswith("the root supervisor gave up")
    kinds = [event.kind for event in events]
    expected = ["worker_started", "node_started", "worker_died", "worker_replaced", "actor_restarted", "actor_crashed",
                "actor_restarted", "actor_crashed", "supervisor_gave_up", "node_stopping", "node_stopped"]  # fmt: skip
    assert kinds == expected
    batch = events[4]
    assert batch.fields["number"] == 20 and "c0, c1" in batch.text and batch.text.endswith("and 12 more")


@pytest.mark.parametrize("placement", [None, 1])
def test_a_restart_that_fails_is_told_each_time_and_traced_once(placement, kept, eventually, tmp_path):
    events, left = [], tmp_path / "left"
    left.write_text("0")
    child = al.child(Reluctant, str(left), name="shop", placement=1)
    tree = al.Supervisor(
        name="street", max_restarts=9, children=[child], placement=placement, backoff=al.Backoff(first_s=0.01)
    )
    with al.Node(workers=1, tree=al.Supervisor(children=[tree]), on_event=events.append) as node:
        left.write_text("3")
        node.whereis("shop").cast.fail("fire")
        eventually(lambda: [event for event in events if event.kind == "actor_restarted"])
        node.wait_idle()
    told = [event for event in events if event.kind == "restart_failed"]
    assert [event.level for event in told] == ["warning"] * 3
    assert told[0].text.startswith("street: shop did not start: OSError: the shop is shut; the next try is in ")
    fields = told[0].fields
    assert (fields["supervisor"], fields["children"], fields["number"]) == ("street", ["shop"], 1)
    records = [record for record in kept.records if getattr(record, "event", "") == "restart_failed"]
    assert [record.getMessage() for record in records] == [event.text for event in told]
    traces = [logging.Formatter().format(record) for record in records]
    assert ["in open_shop" in trace for trace in traces] == [True, False, False]


def test_a_supervisor_that_gives_up_says_why_in_the_log_too(kept):
    tree = al.Supervisor(name="street", max_restarts=0, children=[al.child(Chronicler, name="shop")])
    with al.Node(workers=1, tree=tree) as node:
        node.whereis("shop").cast.fail("fire")
        assert node.wait(timeout=30)
    (record,) = [record for record in kept.records if getattr(record, "event", "") == "supervisor_gave_up"]
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("street stops: more than 0 restarts in 5 s; the last: shop")


@pytest.mark.parametrize("placement", [None, 1])
def test_a_tree_that_does_not_start_says_which_child_and_where_in_its_code(placement, tmp_path):
    left = tmp_path / "left"
    left.write_text("1")
    child = al.child(Reluctant, str(left), name="shop", placement=1)
    street = al.Supervisor(name="street", children=[child], placement=placement)
    with pytest.raises(al.StartError) as failed:
        al.Node(workers=1, tree=al.Supervisor(name="town", children=[street]))
    assert str(failed.value) == "town: street: child 'shop' did not start: OSError: the shop is shut"
    assert "in open_shop" in "".join(traceback.format_exception(failed.value))


def test_a_listener_that_blocks_holds_up_nobody_and_one_that_raises_is_heard_again(eventually):
    gate, heard = threading.Event(), []

    def listen(event):
        gate.wait(30)
        heard.append(event.kind)
        if len(heard) == 1:
            raise RuntimeError("not this time")

    tree = al.Supervisor(children=[al.child(Chronicler, name="c")])
    with al.Node(workers=1, tree=tree, on_event=listen) as node:
        pid = node.whereis("c").call.pid()
        node.kill_worker(1)
        eventually(lambda: node.workers[0].restarts == 1 and node.workers[0].pid != pid)
        eventually(lambda: node.whereis("c").incarnation == 1)
        assert node.whereis("c").call.pid() != pid and heard == []
        gate.set()
        eventually(lambda: "worker_replaced" in heard)
    assert heard[:3] == ["worker_started", "node_started", "worker_died"]


def test_a_workers_dead_letters_are_the_nodes_and_a_flood_of_them_is_counted(eventually):
    heard = []
    with al.Node(workers=1) as node:
        node.dead_letters.subscribe(heard.append)
        box = node.spawn(Letterbox, mailbox=al.Mailbox(capacity=10, overflow="drop_new"))
        box.call.flood(5010)
        eventually(lambda: node.dead_letters.counts.total() >= 5000)
        assert node.dead_letters.counts.total() == 5000
        assert FULL <= len(heard) <= 2 * FULL and "Letterbox" in heard[0].actor


def test_an_order_to_terminate_that_the_whole_group_gets_is_the_controllers_to_carry_out():
    with al.Node(workers=2) as node:
        actors = [node.spawn(Chronicler, placement=n) for n in (1, 2)]
        for worker in node.workers:
            os.kill(worker.pid, signal.SIGTERM)
        assert [actor.call.pid() for actor in actors] == [worker.pid for worker in node.workers]
        assert [worker.restarts for worker in node.workers] == [0, 0]
