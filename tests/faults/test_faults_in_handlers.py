"""What handlers and messages do to a worker: the fault catalogue's rows 13, 14, 28, 36, 38, 57, 58."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_drill import Clerk, Deadly, Retrying

import actorlab as al
from actorlab import testing

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def node():
    with al.Node(workers=2, log_level="CRITICAL") as node:
        for placement in (1, 2, "local"):
            node.spawn(Clerk, placement=placement).call.add(1)
        yield node


@pytest.mark.parametrize(
    ("harm", "why"),
    [("vanish", "exit 0"), ("segfault", "SIGSEGV"), ("kill", "SIGKILL")],
)
def test_a_handler_that_ends_its_process_is_one_incident_with_its_reason(node, harm, why, eventually):
    """Row 13: exit 0 counts as a crash, too; whoever lived there is restarted or mourned, and the node goes on."""
    neighbour, saboteur = node.spawn(Clerk, placement=1), node.spawn(testing.Saboteur, placement=1)
    downs = [node.monitor(ref) for ref in (neighbour, saboteur)]
    getattr(saboteur.cast, harm)()
    reasons = [down.get(timeout=30).reason for down in downs]
    assert {reason.why for reason in reasons} == {why}
    assert len({reason.incident for reason in reasons}) == 1
    assert node.spawn(Clerk, placement=1).within(10).call.add(1) == 1


def test_sys_exit_in_a_handler_is_that_actors_crash_only(node):
    """Row 13: SystemExit is an exception like any other."""
    neighbour, saboteur = node.spawn(Clerk, placement=1), node.spawn(testing.Saboteur, placement=1)
    down = node.monitor(saboteur)
    saboteur.cast.leave(0)
    assert "SystemExit" in str(down.get(timeout=30).reason)
    assert neighbour.call.add(1) == 1


@pytest.mark.parametrize(("actor", "tries", "reason"), [(Clerk, 1, "crashed_in_flight"), (Retrying, 3, "poison")])
def test_a_message_that_kills_while_it_is_unpickled_is_a_dead_letter_and_no_loop(
    node, tmp_path, actor, tries, reason, eventually
):
    """Row 28 (and 23): as often as the actor says, then never again; its queue is kept."""
    tree = al.Supervisor(max_restarts=100, children=[al.child(actor, name=reason, placement=2)])
    root = node.start(tree)
    ref, before = node.whereis(reason), node.dead_letters.counts[reason]
    ref.cast.add(Deadly(str(tmp_path / "tries")))
    for n in range(5):
        ref.tell(n)
    eventually(lambda: ref.incarnation == tries)
    eventually(lambda: ref.within(10).call.all() == list(range(5)))
    assert (tmp_path / "tries").read_text().count("unpickled") == tries
    eventually(lambda: node.dead_letters.counts[reason] == before + 1)
    root.stop(timeout=30)


def test_two_chains_that_wait_for_each_other_come_free_by_their_deadlines(node, tmp_path):
    """Row 36: no chain of calls holds both, so only time can tell; each is told, and each goes on."""
    left, right = node.spawn(Clerk, placement=1), node.spawn(Clerk, placement=2)
    one, other = str(tmp_path / "left"), str(tmp_path / "right")
    # each in the middle of a handler when it calls, and until both were told: neither can take the other's call
    waits = [left.request.cross(right, 0.3, one, other), right.request.cross(left, 0.3, other, one)]
    for wait in waits:
        error, delivery = wait.get(timeout=60)
        assert error == "CallTimeout"
        assert delivery in ("never", "unknown")
    node.wait_idle()
    for ref in (left, right):
        assert ref.within(30).call.add("after") in (1, 2)
        assert ref.call.all() in (["after"], ["crossed", "after"])  # at most once, and only if nobody was told `never`


def test_without_a_descriptor_messages_go_on_and_the_rest_is_a_typed_error(node):
    """Row 38: what needs no new file works; what does is refused with an error, and nothing is left half done."""
    one, other = node.spawn(Clerk, placement=1), node.spawn(Clerk, placement=2)
    one.call.call_of(other, 5.0)  # the lanes are open
    said = one.within(10).call.without_descriptors(other)
    assert said[0] == "ok"
    assert said[2] == "ok"
    assert said[4] == "OSError"
    assert set(said) <= {"ok", "OSError", "SharedMemoryFull", "SharedMemoryError"}
    other.call.add("after")
    assert "small" in other.call.all()
    assert one.within(30).call.without_descriptors(other)[0] == "ok"


def test_without_a_descriptor_the_controller_still_replaces_a_worker(eventually):
    """Row 38: the controller has what it needs to notice a death; a replacement waits until one can be had."""
    with al.Node(workers=1, log_level="CRITICAL") as node:
        ref = node.spawn(Clerk, placement=1)
        ref.call.add(1)
        down = node.monitor(ref)
        with testing.few_descriptors(spare=12):
            testing.kill_worker(node, 1)
        assert down.get(timeout=30).reason.why == "SIGKILL"
        assert node.spawn(Clerk, placement=1).within(10).call.add(1) == 1


def test_a_fork_in_a_handler_can_do_nothing_with_the_node(node):
    """Row 57: the child's references are poisoned; the parent's locks, lanes and names are as they were."""
    ref, other = node.spawn(Clerk, placement=1), node.spawn(Clerk, placement=2)
    ref.call.call_of(other, 5.0)
    ref.call.call_of(other, 5.0)
    _, could = ref.within(20).call.fork_and_try(other)
    assert could == 0
    assert (ref.call.all(), other.call.all()) == ([], ["nested", "nested"])
    assert node.whereis("forked") is None
    assert ref.call.add("after") == 1


@pytest.mark.parametrize("placement", [1, "local"])
def test_a_fork_that_returns_from_the_handler_ends_there(node, placement, capfd):
    """Row 57: its parent goes on with the message; the child touched neither its block nor its books."""
    ref = node.spawn(Clerk, placement=placement)
    for turn in range(3):
        assert ref.within(20).call.fork_and_return() == 70
        assert ref.call.all() == []
        node.wait_idle()
        assert ref.statistics().handled == 2 * (turn + 1)
    assert "came back from the handler" in capfd.readouterr().err or placement == 1


def test_a_child_of_the_users_process_cannot_stop_or_use_its_parents_node(node):
    """Row 57: a fork of the user's own: references say NodeGone, `stop` and the end of `with` do nothing."""
    ref, pids = node.spawn(Clerk, placement=1), [worker.pid for worker in node.workers]
    ref.call.add(1)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            for attempt in (lambda: ref.call.add("child"), lambda: ref.tell("child"), lambda: node.spawn(Clerk)):
                with pytest.raises(al.NodeGone):
                    attempt()
            node.stop()
            assert Clerk.start().call.add(1) == 1  # a node of the child's own, in its own process
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert ref.call.all() == [1]
    assert [worker.pid for worker in node.workers] == pids
    node.wait_idle()


@pytest.mark.parametrize("how", ["nested_node", "nested_workers"])
def test_a_node_inside_a_worker_is_another_node(node, how):
    """Row 58: it has a name and a directory of its own, and goes without a trace."""
    ref = node.spawn(Clerk, placement=1)
    name, answer = getattr(ref.within(30).call, how)()
    assert (name != node.name, answer) == (True, 1)
    assert ref.call.add(1) == 1


# -- out of memory

OOM = """
import actorlab as al, sys
from actorlab import testing

if __name__ == "__main__":
    with al.Node(workers=1, log_level="CRITICAL") as node:
        victim = node.spawn(testing.Saboteur, placement=1)
        down = node.monitor(victim)
        victim.cast.eat(int(sys.argv[1]))
        print(getattr(down.get(timeout=60).reason, "why", "crashed"), flush=True)
        print(node.spawn(testing.Saboteur, placement=1).within(20).call.eat(1), flush=True)
"""


@contextlib.contextmanager
def cgroup_of(limit_bytes: int):
    """Make a memory cgroup (either version) and yield what moves a process there; None where that is not allowed."""
    versions = {Path("/sys/fs/cgroup/memory"): "memory.limit_in_bytes", Path("/sys/fs/cgroup"): "memory.max"}
    for parent, limit in versions.items():
        group = parent / f"actorlab-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(limit_bytes))
            yield lambda group=group: (group / "cgroup.procs").write_text(str(os.getpid()))
        except OSError:
            continue
        else:
            return
        finally:
            deadline = time.monotonic() + 30
            while group.exists() and time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    group.rmdir()
    yield None


def test_a_worker_that_the_kernel_kills_for_memory_is_said_to_have_been(tmp_path):
    """Row 14: the reason is `oom_killed`, the controller lives, the worker is replaced.

    Where no cgroup may be made, the limit is the address space: then it is a MemoryError, and the actor's crash only.
    """
    script = tmp_path / "oom.py"
    script.write_text(OOM)
    with cgroup_of(300 << 20) as enter:
        command = [sys.executable, str(script), str(1 << 30)]
        if enter is None:
            command = ["bash", "-c", 'ulimit -v 4000000; exec "$@"', "-", *command[:-1], str(8 << 30)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, preexec_fn=enter)
    assert done.stdout.split() == [("crashed" if enter is None else "oom_killed"), "1"], done.stderr
