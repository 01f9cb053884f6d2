"""A snapshot of a running node, taken from outside: what it counts, and that its sums add up."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

import actorlab as al
from actorlab import observe
from actorlab.errors import StartError

pytestmark = pytest.mark.process


class Clerk(al.Actor):
    def __init__(self):
        self.seen = 0

    def add(self, k):
        self.seen += k
        return self.seen


@pytest.fixture
def node():
    with al.Node(workers=2, name="account", spares=1) as node:
        yield node


def test_every_process_of_the_node_is_counted(node, eventually):
    def roles():
        return sorted(process.role for process in observe.snapshot("account").processes)

    eventually(lambda: roles() == ["controller", "forkserver", "spare", "worker", "worker"])
    seen = observe.snapshot("account")
    assert seen.pid == os.getpid() and seen.totals.processes == 5 and seen.totals.workers == 2
    assert all(process.memory is not None and process.memory.pss_bytes > 0 for process in seen.processes)


def test_the_sums_are_those_of_the_parts(node):
    for ref in node.spawn_many(Clerk, 50):
        ref.call.add(1)
    node.wait_idle()
    seen = observe.snapshot("account")
    (clerks,) = [row for row in seen.classes if row.cls.endswith(":Clerk")]
    assert (clerks.actors, clerks.handled, clerks.depth, clerks.mailbox_bytes) == (50, 50, 0, 0)
    assert seen.totals.actors == 50 == sum(process.actors for process in seen.processes) == len(seen.actors)
    totals, memories = seen.totals, [process.memory for process in seen.processes]
    assert totals.memory.pss_bytes == sum(memory.pss_bytes for memory in memories)
    assert totals.memory.pss_bytes == totals.private_bytes + totals.shared_once_bytes
    by_kind = totals.memory.pss_anonymous_bytes + totals.memory.pss_file_bytes + totals.memory.pss_shared_bytes
    assert abs(totals.memory.pss_bytes - by_kind) <= 4096 * len(memories)  # the kernel rounds each kind to kB


def test_rates_are_of_the_time_between_two_looks(node):
    ref = node.spawn(Clerk)
    with observe.Observer(observe.find_node("account"), every_s=0.0) as observer:
        before = time.monotonic()
        first = observer.look()
        between = time.monotonic()
        for _ in range(20):
            ref.call.add(1)
        node.wait_idle()
        after = time.monotonic()
        second = observer.look()
    (clerks,) = [row for row in second.classes if row.cls.endswith(":Clerk")]
    assert [row.rate for row in first.classes] == [None]
    assert 20 / (time.monotonic() - before) <= clerks.rate <= 20 / (after - between)
    assert second.totals.rate == pytest.approx(clerks.rate)


def test_a_stopped_worker_can_be_looked_at(node, eventually):
    ref = node.spawn(Clerk, placement=1)
    ref.call.add(1)
    node.wait_idle()
    (pid,) = [process.pid for process in observe.snapshot("account").processes if process.worker == 1]
    os.kill(pid, signal.SIGSTOP)

    def look():
        (found,) = [process for process in observe.snapshot("account").processes if process.worker == 1]
        return found

    try:
        eventually(lambda: look().state == "stopped")
        stopped = look()
        assert (stopped.actors, stopped.handled) == (1, 1)
        assert stopped.memory.uss_bytes > 0
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_snapshot_is_json(node):
    node.spawn(Clerk, name="till")
    plain = json.loads(observe.to_json(observe.snapshot("account")))
    assert plain["name"] == "account" and plain["actors"][0]["name"] == "till"
    assert (
        plain["totals"]["memory"]["pss_bytes"]
        == plain["totals"]["private_bytes"] + plain["totals"]["shared_once_bytes"]
    )


def test_a_node_that_is_not_there_is_an_error_that_says_what_runs(node):
    with pytest.raises(StartError, match="no such run here: account-"):
        observe.snapshot("nobody")
