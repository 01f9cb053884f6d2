"""The sums of a node's memory add up, and a page that several processes have is counted once."""

from __future__ import annotations

import os
from pathlib import Path

import numpy
import pyarrow
import pytest

import actorlab as al
from actorlab import observe

pytestmark = pytest.mark.process

CONTEXT_BYTES = 32_000_000


class Reader(al.Actor):
    def read(self, handle):
        self.table = handle.get()
        return int(self.table["n"].to_numpy().sum())  # touches every page


@pytest.fixture
def node(eventually):
    with al.Node(workers=2, name="sums", spares=1) as node:
        node.spawn_many(Reader, 2)
        eventually(lambda: node._controller.launcher.spare_pid)  # else it comes, and grows, between two looks
        yield node


def own(seen):
    """What a node has, but for files: its share of the libraries rises when any other program that has them ends."""
    return seen.totals.memory.pss_bytes - seen.totals.memory.pss_file_bytes


def test_a_context_that_two_workers_read_is_counted_once(node, eventually):
    readers = [node.spawn(Reader, placement=number) for number in (1, 2)]
    small = node.pool("small").put("n", pyarrow.table({"n": numpy.arange(10)}))
    assert [reader.call.read(small) for reader in readers] == [45, 45]  # what reading imports is there
    handle = node.pool("context").put("n", pyarrow.table({"n": numpy.ones(CONTEXT_BYTES // 8, dtype=numpy.int64)}))
    node.wait_idle()
    before = observe.snapshot("sums")
    for reader in readers:
        assert reader.call.read(handle) == CONTEXT_BYTES // 8
    after = observe.snapshot("sums")
    grown = own(after) - own(before)
    shared = after.totals.memory.pss_shared_bytes - before.totals.memory.pss_shared_bytes
    assert shared == pytest.approx(CONTEXT_BYTES, rel=0.02), "once, not twice"
    assert grown == pytest.approx(CONTEXT_BYTES, rel=0.15)
    assert before.totals.unmapped_bytes - after.totals.unmapped_bytes == pytest.approx(CONTEXT_BYTES, rel=0.02)
    cost = grown + after.totals.unmapped_bytes - before.totals.unmapped_bytes
    assert cost < CONTEXT_BYTES * 0.15, "reading what is there costs nothing"
    assert after.totals.bytes == after.totals.memory.pss_bytes + after.totals.unmapped_bytes
    assert after.sharing.mapped_bytes >= 2 * CONTEXT_BYTES
    assert after.sharing.saved_bytes == pytest.approx(CONTEXT_BYTES, rel=0.02)
    assert after.totals.pool_live_bytes >= CONTEXT_BYTES and after.totals.pool_held_bytes >= CONTEXT_BYTES


def test_all_processes_are_in_the_sum_and_the_sum_is_private_plus_shared_once(node, eventually):
    eventually(lambda: observe.snapshot("sums").totals.processes == 5)
    seen = observe.snapshot("sums")
    assert sorted(one.role for one in seen.processes) == ["controller", "forkserver", "spare", "worker", "worker"]
    assert seen.processes[0].pid == os.getpid()
    totals = seen.totals
    assert totals.memory.pss_bytes == sum(one.memory.pss_bytes for one in seen.processes)
    assert totals.private_bytes == sum(one.memory.uss_bytes for one in seen.processes)
    assert totals.memory.pss_bytes == totals.private_bytes + totals.shared_once_bytes
    assert totals.bytes == totals.memory.pss_bytes + totals.unmapped_bytes
    for one in seen.processes:
        parts = one.memory.pss_anonymous_bytes + one.memory.pss_file_bytes + one.memory.pss_shared_bytes
        assert one.memory.uss_bytes <= one.memory.pss_bytes and abs(parts - one.memory.pss_bytes) <= 4096


def test_looking_takes_no_share_of_the_nodes_pages(node):
    """An observer that mapped the files would lower everybody's share, and the sum with it."""
    node.wait_idle()
    with observe.Observer(observe.find_node("sums"), every_s=0.0) as observer:
        shared = [observer.look(dear=True).totals.memory.pss_shared_bytes for _ in range(5)]
        maps = Path("/proc/self/maps").read_text()
    assert max(shared) - min(shared) <= 64 * 1024
    assert f"{observer.directory}/" in maps and f"{observer.directory}/lane.1.2" not in maps


def test_figures_that_cost_too_much_are_read_less_often_not_more_dearly(node):
    with observe.Observer(observe.find_node("sums"), every_s=0.01, dear_every_s=0.01) as observer:
        looks = [observer.look() for _ in range(200)]
    assert looks[-1].observer.looks <= 5, "the same look again, until its cost has been earned back"
    assert len({id(look) for look in looks}) <= 5
