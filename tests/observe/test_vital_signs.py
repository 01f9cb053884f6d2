"""What the processes of a node write down of their health, read from outside: pauses, counts, what an actor costs."""

from __future__ import annotations

import gc
import os
import signal
import threading

import pytest

import actorlab as al
from actorlab import observe

pytestmark = pytest.mark.process

BALLAST = 20_000


class Agent(al.Actor):
    def __init__(self):
        self.ballast = bytearray(BALLAST)

    def work(self):
        return len(self.ballast)

    def fail(self):
        raise ValueError("on purpose")

    def collect(self):
        gc.collect()
        return gc.get_freeze_count(), gc.get_threshold()


class Knot(al.Actor):
    """An actor that only the collector of cycles can free."""

    living = 0

    def __init__(self):
        self.myself = [self]
        Knot.living += 1

    def __del__(self):
        Knot.living -= 1

    def count(self):
        return Knot.living


class Sleeper(al.Actor):
    def sleep_until(self, path):
        pause = threading.Event()
        while not os.path.exists(path):
            pause.wait(0.01)


class Other(al.Actor):
    pass


def worker(seen, number=1):
    (found,) = [process for process in seen.processes if process.worker == number]
    return found


def row(seen, cls):
    (found,) = [row for row in seen.classes if row.cls.endswith(f":{cls.__name__}")]
    return found


def test_pauses_of_the_collector_are_counted_by_worker():
    asked_only = {"gc_thresholds": (0, 10, 100), "gc_freeze": "start"}  # no collection but those that are asked for
    with al.Node(workers=2, name="vital", **asked_only) as node:
        agent = node.spawn(Agent, placement=1)
        before = worker(observe.snapshot("vital")).gc
        for _ in range(3):
            agent.call.collect()
        after, other = (worker(observe.snapshot("vital"), number).gc for number in (1, 2))
    assert after.full - before.full == after.collections - before.collections == 3
    assert 0 < after.p50_s <= after.p99_s <= after.max_s <= after.pause_s
    assert other.full == 0 and after.thresholds == (0, 10, 100)


@pytest.mark.parametrize(("freeze", "frozen"), [("never", False), ("start", True)])
def test_what_was_imported_is_frozen_unless_told_otherwise(freeze, frozen):
    with al.Node(workers=1, name="vital", gc_freeze=freeze, gc_thresholds=(900, 8, 7)) as node:
        count, thresholds = node.spawn(Agent).call.collect()
    # Python 3.12 itself freezes some hundred objects that live for ever, whenever it collects
    assert (count > 5_000, thresholds) == (frozen, (900, 8, 7))


def test_actors_are_frozen_as_they_grow_in_number_and_cycles_of_ended_ones_are_still_collected(eventually):
    with al.Node(workers=1, name="vital", preload=(__name__,)) as node:  # else what it imports is taken for the growth
        counter = node.spawn(Knot)

        def account():
            return worker(observe.snapshot("vital")).gc

        eventually(lambda: account().thresholds != (0, 0, 0))
        at_start = account().frozen
        knots = node.spawn_many(Knot, 2000)
        eventually(lambda: account().frozen > at_start + 2000)
        assert counter.call.count() == 2001
        for knot in knots:
            knot.stop(block=False)
        node.wait_idle()
        eventually(lambda: counter.call.count() < 1001)
        assert account().full >= 1


def test_the_cost_of_one_more_actor_is_measured_not_guessed(eventually):
    with al.Node(workers=2, name="vital") as node:
        node.spawn_many(Agent, 400)
        seen = row(observe.snapshot("vital"), Agent)
        assert seen.marginal.trusted and seen.marginal.actors > 300
        assert BALLAST * 0.9 < seen.marginal.bytes < BALLAST * 1.2
        assert BALLAST * 0.8 < seen.marginal.low_bytes < seen.marginal.bytes < seen.marginal.high_bytes < BALLAST * 1.4
        assert seen.average_bytes == pytest.approx(seen.marginal.bytes, rel=0.3)


def test_actors_in_the_places_of_ended_ones_are_not_mistaken_for_free_ones():
    with al.Node(workers=1, name="vital") as node:
        for _ in range(5):
            agents = node.spawn_many(Agent, 200)
            for agent in agents:
                agent.stop()
        seen = row(observe.snapshot("vital"), Agent)
    assert (seen.actors, seen.ended) == (0, 1000)
    assert BALLAST * 0.9 < seen.marginal.bytes < BALLAST * 1.3  # an estimate: the truth is in its bounds, not above it
    assert seen.marginal.low_bytes < BALLAST * 1.3 and seen.marginal.high_bytes > BALLAST


def test_a_class_of_which_nobody_was_measured_has_no_cost():
    with al.Node(workers=1, name="vital") as node:
        node.spawn(Other)
        assert row(observe.snapshot("vital"), Other).marginal is None


def test_what_ended_actors_did_stays_in_their_classs_counts():
    with al.Node(workers=1, name="vital") as node:
        for _ in range(3):
            agent = node.spawn(Agent)
            for _ in range(5):
                agent.call.work()
            with pytest.raises(ValueError):
                agent.call.fail()
        node.wait_idle()
        seen = row(observe.snapshot("vital"), Agent)
    assert (seen.actors, seen.ended, seen.handled, seen.failed) == (0, 3, 15, 3)


def test_counts_outlive_the_worker(eventually):
    with al.Node(workers=1, name="vital") as node:
        agent = node.spawn(Agent)
        for _ in range(5):
            agent.call.work()
        node.wait_idle()
        down = node.monitor(agent)
        os.kill(worker(observe.snapshot("vital")).pid, signal.SIGKILL)
        down.get(timeout=30)
        eventually(lambda: worker(observe.snapshot("vital")).restarts == 1)
        eventually(lambda: row(observe.snapshot("vital"), Agent).ended == 1)
        seen = row(observe.snapshot("vital"), Agent)
        assert (seen.actors, seen.handled) == (0, 5)
        node.spawn(Agent).call.work()
        node.wait_idle()
        assert row(observe.snapshot("vital"), Agent).handled == 6


def test_a_stopped_loop_is_seen_by_its_silence(eventually):
    with al.Node(workers=1, name="vital", heartbeat_s=0.05) as node:
        node.spawn(Agent).call.work()
        eventually(lambda: worker(observe.snapshot("vital")).silent_s is not None)
        pid = worker(observe.snapshot("vital")).pid
        os.kill(pid, signal.SIGSTOP)
        try:
            eventually(lambda: worker(observe.snapshot("vital")).silent_s > 0.5)
            assert worker(observe.snapshot("vital")).state == "stopped"
        finally:
            os.kill(pid, signal.SIGCONT)


def test_who_holds_a_loop_is_named(eventually, tmp_path):
    with al.Node(workers=1, name="vital", heartbeat_s=0.05, hold_warning_s=0.1) as node:
        sleeper = node.spawn(Sleeper, name="sleeper")
        answer = sleeper.request.sleep_until(str(tmp_path / "go"))
        eventually(lambda: worker(observe.snapshot("vital")).holder.startswith("sleeper <1."))
        assert worker(observe.snapshot("vital")).silent_s > 0.05
        (tmp_path / "go").touch()
        answer.get(timeout=30)
        eventually(lambda: worker(observe.snapshot("vital")).holder == "")
