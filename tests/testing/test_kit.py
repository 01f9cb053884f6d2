"""The public kit for testing actors does what it says."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from kit_drill import Alarm, Asker, Clerk, Lazy

import actorlab as al
from actorlab import testing


@pytest.fixture
def node():
    with al.Node(workers=0, strict_messages=True, stop_timeout_s=0.5) as node:
        yield node


@pytest.fixture
def clock(node):
    with testing.VirtualClock(node) as clock:
        yield clock


# -- probe


def test_a_probe_gets_what_it_is_sent_in_order(node):
    probe = testing.Probe(node)
    probe.ref.tell("one")
    probe.ref.tell(2)
    assert probe.expect(str) == "one"
    assert probe.expect(lambda message: message > 1) == 2
    probe.expect_nothing()


def test_a_probe_says_what_it_wanted(node):
    probe = testing.Probe(node)
    probe.ref.tell("one")
    with pytest.raises(AssertionError, match="received 'one'; wanted: int"):
        probe.expect(int)
    with pytest.raises(AssertionError, match=r"no message within 0.01 s; wanted: 'two'"):
        probe.expect("two", within_s=0.01)
    probe.ref.tell("three")
    with pytest.raises(AssertionError, match="wanted: nothing"):
        probe.expect_nothing()


def test_a_probe_answers_what_it_was_told_to(node):
    probe = testing.Probe(node)
    probe.answer_with("first", lambda message: message * 2)
    asker = node.spawn(Asker, probe.ref)
    assert [asker.call.ask(n) for n in (1, 2, 3)] == ["first", 4, 6]
    assert probe.received() == [1, 2, 3]


def test_a_probe_watches_and_links(node):
    probe = testing.Probe(node)
    first, second = node.spawn(Clerk), node.spawn(Clerk)
    probe.watch(first)
    first.stop()
    assert probe.expect_down(first).reason == "normal"
    probe.link(second)
    second.cast.boom()
    assert isinstance(probe.expect(al.Exit).reason, al.Crashed)
    probe.stop()


@pytest.mark.process
def test_a_probe_is_reached_from_workers():
    with al.Node(workers=1) as node:
        probe = testing.Probe(node, name="probe")
        node.spawn(Asker, probe.ref, placement=1).call.tell("from a worker")
        assert probe.expect() == "from a worker"
        assert node.whereis("probe") == probe.ref


# -- virtual clock


def test_nothing_is_due_until_the_clock_is_moved(node, clock):
    probe = testing.Probe(node)
    alarm = node.spawn(Alarm, probe.ref)
    alarm.call.after(3600, "an hour")
    alarm.call.after(1800, "half an hour")
    probe.expect_nothing()
    clock.advance(1800)
    assert probe.expect() == "half an hour"
    probe.expect_nothing()
    clock.advance(1800)
    assert probe.expect() == "an hour"
    assert clock.elapsed_s == pytest.approx(3600)


def test_what_is_due_comes_in_the_order_of_its_time(node, clock):
    probe = testing.Probe(node)
    alarm = node.spawn(Alarm, probe.ref)
    for seconds in (5, 1, 4, 2, 3):
        alarm.call.after(seconds, seconds)
    alarm.call.every(2.5, "tick")
    clock.advance(6)
    node.wait_idle()
    assert probe.received() == [1, 2, "tick", 3, 4, 5, "tick"]


def test_a_deadline_passes_when_the_clock_says_so(node, clock):
    probe = testing.Probe(node)
    asker = node.spawn(Asker, node.spawn(Lazy, probe.ref))
    answer = asker.request.wait(30.0)
    assert probe.expect() == "asked"
    clock.advance(29.0)
    assert not answer.state
    clock.advance(1.0)
    with pytest.raises(al.CallTimeout):
        answer.get(timeout=30)


def test_a_restart_window_goes_by_the_clock():
    with al.Node(workers=0) as node, testing.VirtualClock(node) as clock:
        root = node.start(al.Supervisor(max_restarts=1, max_seconds=60.0, children=[al.child(Clerk, name="clerk")]))
        down = node.monitor(root)
        for n in range(1, 6):  # one a window: tolerated for ever
            node.whereis("clerk").cast.boom()
            testing.eventually(lambda n=n: node.whereis("clerk").incarnation == n, within_s=20)
            clock.advance(61)
        assert not down.state
        node.whereis("clerk").cast.boom()
        testing.eventually(lambda: node.whereis("clerk").incarnation == 6, within_s=20)
        node.whereis("clerk").cast.boom()
        assert down.get(timeout=30).reason == "shutdown"


def test_a_clock_does_not_go_back(clock):
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)


def test_the_real_time_comes_back(node):
    probe = testing.Probe(node)
    with testing.VirtualClock(node):
        node.spawn(Alarm, probe.ref).call.after(0.01, "late")
        probe.expect_nothing()
    assert probe.expect() == "late"


# -- faults


@pytest.mark.process
def test_a_worker_can_be_killed_and_stopped():
    with al.Node(workers=1, log_level="CRITICAL") as node:
        probe = testing.Probe(node)
        clerk = node.spawn(Clerk, placement=1)
        probe.watch(clerk)
        old = testing.kill_worker(node, 1)
        assert probe.expect_down(clerk, within_s=20).reason.why == "SIGKILL"
        assert node.workers[0].pid != old
        clerk = node.spawn(Clerk, placement=1)
        with testing.frozen(node, 1), pytest.raises(al.CallTimeout):
            clerk.within(0.05).call.hello()
        assert clerk.call.hello() == "hello"


@pytest.mark.parametrize(("harm", "why"), [("vanish", "exit 0"), ("segfault", "SIGSEGV"), ("kill", "SIGKILL")])
@pytest.mark.process
def test_a_saboteur_ends_its_process(harm, why):
    with al.Node(workers=1, log_level="CRITICAL") as node:
        probe = testing.Probe(node)
        saboteur = node.spawn(testing.Saboteur, placement=1)
        probe.watch(saboteur)
        getattr(saboteur.cast, harm)()
        assert probe.expect_down(saboteur, within_s=20).reason.why == why


@pytest.mark.process
def test_shared_memory_can_be_full(tmp_path):
    with testing.full_shared_memory(), pytest.raises(al.SharedMemoryFull):
        al.Node(workers=1)
    with al.Node(workers=1) as node:
        node.spawn(Clerk).call.hello()


def test_descriptors_can_run_out():
    with testing.few_descriptors(), pytest.raises(OSError, match="Too many open files"):
        os.open("/dev/null", os.O_RDONLY)
    os.close(os.open("/dev/null", os.O_RDONLY))
    with testing.few_descriptors(spare=1):
        os.close(os.open("/dev/null", os.O_RDONLY))


# -- leaks


def test_a_leak_is_named(tmp_path):
    kept = []
    with pytest.raises(testing.Leak, match="leaky"), testing.LeakCheck(lazily=0) as check:
        kept.append(os.open(tmp_path / "leaky", os.O_CREAT | os.O_WRONLY))
        check.check(within_s=0.01)
    os.close(kept[0])
    with testing.LeakCheck():
        pass


def test_a_thread_left_behind_is_a_leak():
    check, gate = testing.LeakCheck(), threading.Event()
    thread = threading.Thread(target=gate.wait, name="the straggler")
    thread.start()
    with pytest.raises(testing.Leak, match="thread 'the straggler'"):
        check.check(within_s=0.01)
    gate.set()
    check.check()
    thread.join()


@pytest.mark.process
def test_shared_memory_that_is_still_mapped_is_a_leak():
    check = testing.LeakCheck()
    with al.Node(workers=1) as node:
        kept = node.pool("p").put("v", b"x" * 1_000_000).get()
    with pytest.raises(testing.Leak, match="bytes of shared memory that are still mapped"):
        check.check(within_s=0.01)
    del kept
    check.check()


@pytest.mark.process
def test_a_child_left_behind_is_a_leak():
    check = testing.LeakCheck()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        with pytest.raises(testing.Leak, match="process"):
            check.check(within_s=0.01)
        child.stdin.close()
    check.check()


@pytest.mark.process
def test_a_node_that_is_stopped_leaves_nothing():
    with testing.LeakCheck(), al.Node(workers=1) as node:
        node.spawn(Clerk, placement=1).call.hello()


# -- waiting


def test_a_condition_is_waited_for():
    done = threading.Event()
    threading.Timer(0.01, done.set).start()
    testing.eventually(done.is_set)
    with pytest.raises(AssertionError, match=r"not within 0\.01 s"):
        testing.eventually(lambda: False, within_s=0.01)


# -- the plugin


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, "."]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_the_plugin_gives_fixtures_to_other_suites(tmp_path):
    (tmp_path / "test_theirs.py").write_text(THEIRS)
    done = run_pytest(tmp_path, "-p", "actorlab.testing.plugin")
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


def test_the_plugin_costs_a_suite_nothing_that_does_not_use_it(tmp_path):
    (tmp_path / "test_theirs.py").write_text(NOT_OURS)
    done = run_pytest(tmp_path, "-p", "actorlab.testing.plugin")
    assert done.returncode == 0, done.stdout


def test_the_kit_is_light_to_import():
    code = "import sys, actorlab.testing; print(sorted(m for m in sys.modules if m.startswith('actorlab')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['actorlab', 'actorlab.testing']"
    assert set(testing.__all__) <= set(dir(testing))
    assert all(getattr(testing, name) for name in testing.__all__)


THEIRS = '''
import actorlab as al


class Greeter(al.Actor):
    def greet(self, whom):
        whom.tell("hello")

    def remind(self, whom):
        self.whom = whom
        self.send_after(60, "remember")

    def on_receive(self, message):
        self.whom.tell(message)


def test_a_probe(actorlab_leaks, actorlab_node, actorlab_probe):
    actorlab_node.spawn(Greeter).cast.greet(actorlab_probe.ref)
    assert actorlab_probe.expect(str) == "hello"


def test_a_clock(actorlab_node, actorlab_probe, actorlab_clock):
    actorlab_node.spawn(Greeter).call.remind(actorlab_probe.ref)
    actorlab_probe.expect_nothing()
    actorlab_clock.advance(60)
    assert actorlab_probe.expect() == "remember"


def test_workers(actorlab_leaks, actorlab_workers, actorlab_eventually):
    node = actorlab_workers(1)
    ref = node.spawn(Greeter, placement=1)
    actorlab_eventually(ref.is_alive)


def test_two_nodes(actorlab_node, actorlab_workers):
    assert actorlab_workers(0).name != actorlab_node.name
'''

NOT_OURS = '''
import sys


def test_nothing_of_actorlab_is_imported_but_the_plugin():
    ours = sorted(name for name in sys.modules if name.startswith("actorlab"))
    assert ours == ["actorlab", "actorlab.testing", "actorlab.testing.plugin"]
    assert "pyarrow" not in sys.modules
    assert "psutil" not in sys.modules


def test_no_fixture_is_automatic(request):
    assert not [name for name in request.fixturenames if "actorlab" in name]
'''
