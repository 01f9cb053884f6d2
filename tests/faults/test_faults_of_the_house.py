"""What the surroundings do to a node, and restarts in number: rows 22, 42, 45, 47, 56 of the fault catalogue."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_drill import Clerk, Relapsing, Stillborn, Suicidal

import actorlab as al
from actorlab.errors import AlreadyRunning

pytestmark = pytest.mark.process

HOUSE = Path(al.__file__).parent


def test_of_two_nodes_of_one_name_the_second_does_not_start():
    """Row 22: `AlreadyRunning`, and the first does not notice."""
    with al.Node(workers=1, name="single") as node:
        with pytest.raises(AlreadyRunning):
            al.Node(workers=1, name="single")
        assert node.spawn(Clerk, placement=1).call.add(1) == 1
    with al.Node(workers=1, name="single") as node:
        assert node.spawn(Clerk, placement=1).call.add(1) == 1


@pytest.mark.parametrize("jump_s", [86_400.0, -86_400.0])
def test_a_jump_of_the_wall_clock_kills_and_wakes_nobody(monkeypatch, jump_s, eventually):
    """Row 42: nothing but what is shown to people goes by the wall clock."""
    wall = time.time
    with al.Node(workers=1, heartbeat_s=0.02, hang_timeout_s=60.0, log_level="CRITICAL") as node:
        ref, local = node.spawn(Clerk, placement=1), node.spawn(Clerk, placement="local")
        pid = node.workers[0].pid
        for one in (ref, local):
            one.call.wake_after(3600.0, "in an hour")
            one.call.wake_after(0.2, "soon")
        monkeypatch.setattr(time, "time", lambda: wall() + jump_s)
        monkeypatch.setattr(time, "time_ns", lambda: int((wall() + jump_s) * 1e9))
        ref.call.jump(jump_s)  # in the worker too
        for one in (ref, local):
            one.call.wake_after(3600.0, "in an hour")
            one.call.wake_after(0.05, "at once")
        began = time.monotonic()
        with pytest.raises(al.CallTimeout):
            al.Future().get(timeout=0.05)
        assert time.monotonic() - began < 30
        assert ref.call.wait_in_vain(0.05) == "CallTimeout"
        for one in (ref, local):
            eventually(lambda one=one: {"soon", "at once"} <= set(one.call.all()))
            assert "in an hour" not in one.call.all()
        node.wait_idle()
        assert (node.workers[0].pid, node.workers[0].restarts) == (pid, 0)


def test_the_wall_clock_is_read_only_for_people():
    """Row 42: who reads it says so here; a decision by it would be a bug."""
    shown = {"console", "corpus", "dashboard", "observe"}
    shown |= {f"node/{name}.py" for name in ("chronicle", "identity", "news", "view")}
    shown |= {"memory/lease.py", "memory/janitor.py"}  # what is evicted or packed first, no more
    shown.add("actor/snapshot_store.py")  # when a state was saved: a column for whoever looks
    for path in HOUSE.rglob("*.py"):
        name = str(path.relative_to(HOUSE))
        if re.search(r"\btime\.time(_ns)?\(|datetime\.(now|utcnow|today)\(", path.read_text("utf-8")):
            assert name in shown or name.split("/")[0].removesuffix(".py") in shown, name


def test_a_first_start_that_fails_is_the_askers_to_know_and_no_storm(tmp_path):
    """Row 45: it is tried once, and costs nobody a restart."""
    path = tmp_path / "starts"
    with al.Node(workers=1, log_level="CRITICAL") as node:
        root = node.start(al.Supervisor(max_restarts=0, children=[al.child(Clerk, name="sibling", placement=1)]))
        with pytest.raises(al.StartError, match="not today"):
            root.call.start_child(al.child(Stillborn, str(path), name="storm", placement=1))
        assert path.read_text().count("start") == 1
        assert node.whereis("sibling").call.add(1) == 1


@pytest.mark.parametrize("actor", [Relapsing, Suicidal])
def test_a_restart_storm_ends_by_its_limit(tmp_path, actor):
    """Row 45: who cannot live is started `max_restarts` times more, then his supervisor gives up; the node says so."""
    path = tmp_path / "starts"
    with al.Node(workers=1, log_level="CRITICAL") as node:
        sibling = al.child(Clerk, name="sibling", placement=1)
        root = node.start(al.Supervisor(max_restarts=3, max_seconds=60.0, children=[sibling]))
        down = node.monitor(root)
        root.call.start_child(al.child(actor, str(path), name="storm", placement=1))
        assert down.get(timeout=20).reason == "shutdown"
        assert path.read_text().count("start") == 1 + 3
        assert node.whereis("sibling") is None
        assert "gave up" in node.wait(timeout=30)


def test_five_thousand_crashes_at_once_are_mended_and_hold_up_nobody_else(eventually):
    """Row 47: each is one restart; another supervisor answers meanwhile."""
    number = 5000
    children = [al.child(Clerk, placement=1 + n % 2, name=f"clerk {n}") for n in range(number)]
    with al.Node(workers=2, log_level="CRITICAL", max_actors=16_384) as node:
        node.start(al.Supervisor(max_restarts=10 * number, children=children))
        other = node.start(al.Supervisor(children=[al.child(Clerk, name="other", placement=1)]))
        refs = [node.whereis(f"clerk {n}") for n in range(number)]
        for ref in refs:
            ref.cast.boom()
        waits_s = []
        while min(refs[0].incarnation, refs[-1].incarnation, refs[number // 2].incarnation) < 1:
            asked = time.monotonic()
            assert other.within(30).call.count_children().active == 1
            waits_s.append(time.monotonic() - asked)
        eventually(lambda: all(ref.incarnation == 1 for ref in refs), within_s=60)
        assert statistics.median(waits_s) < 1.0, waits_s
        node.wait_idle(timeout=30)
        assert {ref.call.add(1) for ref in refs[::50]} == {1}


def test_a_killed_worker_with_thousands_is_one_incident(eventually):
    """Row 47: five thousand that die with their worker are counted once, so the default limit holds."""
    children = [al.child(Clerk, placement=1, name=f"clerk {n}") for n in range(5000)]
    with al.Node(workers=2, log_level="CRITICAL", max_actors=16_384) as node:
        root = node.start(al.Supervisor(max_restarts=1, children=children))
        ref, last = node.whereis("clerk 0"), node.whereis("clerk 4999")
        node.kill_worker(1)
        eventually(lambda: ref.incarnation == last.incarnation == 1, within_s=30)
        assert last.within(10).call.add(1) == 1
        assert root.within(10).call.count_children().active == 5000


REMOVED = """
import actorlab as al, shutil, sys
sys.path.insert(0, sys.argv[1])
from fault_drill import Clerk

if __name__ == "__main__":
    node = al.Node(workers=2, log_level="CRITICAL")
    one, other = node.spawn(Clerk, placement=1), node.spawn(Clerk, placement=2)
    one.call.call_of(other, 5.0)
    other.call.add("warm")
    shutil.rmtree(node.directory)
    print(one.call.call_of(other, 5.0), other.call.add("still here"), flush=True)
    down = node.monitor(one)
    node.kill_worker(1)
    print(down.get(timeout=30).reason.why, flush=True)
    why = node.wait(timeout=30)
    print("ended" if why else "stopped", flush=True)
    print(other.call.add("still here"), flush=True)
    node.stop()
    print("left", flush=True)
"""


def test_files_that_are_removed_under_a_node_harm_no_one_who_has_them_and_end_it_when_one_is_needed(tmp_path):
    """Row 56 (RemoveIPC at a logout): messages go on; a worker that cannot be replaced is the end, said in words."""
    script = tmp_path / "removed.py"
    script.write_text(REMOVED)
    command = [sys.executable, str(script), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.stdout.split() == ["3", "4", "killed", "by", "the", "user", "ended", "5", "left"], done.stderr[-3000:]
