"""One for one, restart types, windows, failing starts, shutdown: each rule of the plan in a sentence."""

from __future__ import annotations

import copy

import pytest
from supervision_drill import Drill, clerk, desk

from actorlab.message import WorkerDied
from actorlab.supervision import (
    Begin,
    ChildCounts,
    Death,
    Exited,
    PartitionSupervisor,
    ShutdownAll,
    StartOk,
    Stopped,
    Supervisor,
    TerminateChild,
    count_children,
    which_children,
)

CLEAN = ["normal", "shutdown", ("shutdown", "too cold")]
ROUGH = ["boom", "killed", WorkerDied(1, "SIGKILL")]


# --- the initial start


def test_children_are_started_in_order_and_then_the_supervisor_is_ready():
    assert Drill(desk("a", "b", "c")).run(Begin()) == ["start a b c", "ready"]


def test_a_supervisor_without_children_is_ready_at_once():
    assert Drill(desk()).run(Begin()) == ["ready"]


def test_a_failing_initial_start_stops_what_was_started_in_reverse_and_fails():
    drill = Drill(desk("a", "b", "c", "d"), c=["no disk"])
    assert drill.run(Begin()) == [
        "start a b c d",
        "stop b a",
        "exit ('shutdown', ('failed_to_start_child', 'c', 'no disk'))",
    ]


def test_a_worker_that_dies_during_the_initial_start_fails_it():
    drill = Drill(desk("a", "b"))
    drill.send(Begin())
    drill.send(drill.ok("a"))
    assert drill.send(drill.dies("a", "b", reason="killed")) == [
        "exit ('shutdown', ('failed_to_start_child', 'b', 'killed'))"
    ]


def test_a_child_that_crashes_during_the_initial_start_is_restarted_beside_it():
    drill = Drill(desk("a", "b"))
    drill.send(Begin())
    drill.send(drill.ok("a"))
    assert drill.send(drill.dies("a")) == ["start each a"]
    assert drill.send(drill.ok("b")) == ["ready"]
    assert drill.send(drill.ok("a")) == []


def test_an_ignored_child_keeps_its_specification_and_a_temporary_one_does_not():
    drill = Drill(desk("a", clerk("t", restart="temporary")), a=["ignore"], t=["ignore"])
    assert drill.run(Begin()) == ["start a t", "retired a", "dropped t", "ready"]
    assert drill.status == {"a": "ignored"}


# --- who is restarted


@pytest.mark.parametrize("reason", CLEAN + ROUGH, ids=str)
def test_a_permanent_child_is_always_restarted(reason):
    drill = Drill(desk("a", "b")).begin()
    assert drill.run(drill.dies("a", reason=reason)) == ["start each a"]


@pytest.mark.parametrize("reason", CLEAN, ids=str)
def test_a_transient_child_that_ends_cleanly_stays_down_and_keeps_its_specification(reason):
    drill = Drill(desk(clerk("a", restart="transient"))).begin()
    assert drill.run(drill.dies("a", reason=reason)) == ["retired a"]
    assert drill.status == {"a": "stopped"}


@pytest.mark.parametrize("reason", ROUGH, ids=str)
def test_a_transient_child_that_ends_badly_is_restarted(reason):
    drill = Drill(desk(clerk("a", restart="transient"))).begin()
    assert drill.run(drill.dies("a", reason=reason)) == ["start each a"]


@pytest.mark.parametrize("reason", CLEAN + ROUGH, ids=str)
def test_a_temporary_child_is_never_restarted_and_is_forgotten(reason):
    drill = Drill(desk(clerk("a", restart="temporary"), "b")).begin()
    assert drill.run(drill.dies("a", reason=reason)) == ["dropped a"]
    assert drill.status == {"b": "running"}


def test_an_end_without_a_restart_does_not_count():
    drill = Drill(desk(*(clerk(n, restart="temporary") for n in "abcde"), max_restarts=0)).begin()
    for name in "abcde":
        assert drill.run(drill.dies(name)) == [f"dropped {name}"]


# --- incidents and incarnations


def test_children_that_died_together_count_once_and_restart_in_start_order():
    names = [f"c{n}" for n in range(100)]
    drill = Drill(desk(*names, max_restarts=1)).begin()
    assert drill.run(drill.dies(*reversed(names))) == ["start each " + " ".join(names)]


def test_the_exit_of_an_older_incarnation_is_ignored():
    drill = Drill(desk("a")).begin()
    old = drill.dies("a")
    assert drill.run(old) == ["start each a"]
    assert drill.run(old) == []
    assert drill.status == {"a": "running"}


def test_a_child_named_twice_in_one_incident_is_restarted_once():
    drill = Drill(desk("a")).begin()
    assert drill.run(drill.dies("a", "a")) == ["start each a"]


def test_an_exit_of_a_stranger_is_ignored():
    assert Drill(desk("a")).begin().run(Exited((Death("nobody", 1, "boom"),))) == []


def test_a_name_that_comes_back_does_not_inherit_late_reports_about_its_forerunner():
    from actorlab.supervision import StartChild

    drill = Drill(desk(clerk("a", restart="temporary"))).begin()
    late = drill.dies("a")
    drill.run(TerminateChild("a"))
    drill.run(StartChild(clerk("a", restart="temporary")))
    assert drill.run(late) == []
    assert drill.status == {"a": "running"}


def test_a_start_nobody_waits_for_any_more_is_stopped():
    drill = Drill(desk("a")).begin()
    drill.run(TerminateChild("a", "r"))
    assert drill.send(StartOk("a", 0, "ref")) == ["stop a"]
    assert drill.status == {"a": "stopped"}


# --- giving up


def test_one_restart_too_many_stops_everything_in_reverse_and_exits_with_shutdown():
    drill = Drill(desk("a", "b", "c", max_restarts=1)).begin()
    assert drill.run(drill.dies("b")) == ["start each b"]
    assert drill.run(drill.dies("b")) == ["stop c a", "exit shutdown"]


def test_restarts_that_are_long_past_do_not_count():
    drill = Drill(desk("a", max_restarts=1, max_seconds=5)).begin()
    for _ in range(10):
        drill.now += 5.1
        assert drill.run(drill.dies("a")) == ["start each a"]


def test_the_cause_of_giving_up_names_the_limit_and_the_last_straw():
    drill = Drill(desk("a", max_restarts=0)).begin()
    [leave] = drill.decide(drill.dies("a", reason="no money"))
    assert leave.cause == "more than 0 restarts in 5 s; the last: a ended: no money"


def test_after_the_exit_nothing_happens_but_commands_are_refused():
    drill = Drill(desk("a", max_restarts=0)).begin()
    assert drill.run(drill.dies("a")) == ["exit shutdown"]
    assert drill.run(drill.dies("a")) == []
    assert drill.run(ShutdownAll()) == []
    assert drill.run(TerminateChild("a", "r")) == ["refuse r shutting_down"]


# --- starts that fail


def test_a_failing_restart_waits_longer_each_time_and_counts_each_time():
    drill = Drill(desk("a", "b", max_restarts=3), a=["ok", "down", "down", "down"]).begin()
    assert drill.run(drill.dies("a")) == ["start each a", "retry 1 a"]
    assert drill.run(drill.retry()) == ["start each a", "retry 2 a"]
    assert drill.run(drill.retry()) == ["start each a", "stop b", "exit shutdown"]


def test_a_start_that_succeeds_makes_the_next_wait_short_again():
    drill = Drill(desk("a", max_restarts=9), a=["ok", "down", "down", "ok", "down"]).begin()
    drill.run(drill.dies("a"))
    drill.run(drill.retry())
    drill.run(drill.retry())
    assert drill.run(drill.dies("a")) == ["start each a", "retry 1 a"]


def test_while_a_child_waits_for_its_retry_the_supervisor_serves_its_siblings():
    drill = Drill(desk("a", "b"), a=["ok", "down"]).begin()
    drill.run(drill.dies("a"))
    assert drill.run(drill.dies("b")) == ["start each b"]
    assert drill.run(TerminateChild("b", "r")) == ["stop b", "retired b", "reply r b"]


def test_a_retry_that_came_too_late_does_nothing():
    drill = Drill(desk("a"), a=["ok", "down"]).begin()
    drill.run(drill.dies("a"))
    assert drill.run(TerminateChild("a", "r")) == ["retired a", "reply r a"]
    assert drill.run(drill.retry()) == []


def test_children_that_die_with_their_worker_while_starting_count_once_and_wait_together():
    names = [f"c{n}" for n in range(50)]
    drill = Drill(desk(*names, max_restarts=2)).begin()
    drill.send(drill.dies(*names))
    assert drill.send(drill.dies(*names, reason="killed")) == ["retry 1 " + " ".join(names)]
    assert drill.run(drill.retry()) == ["start each " + " ".join(names)]


def test_an_ignored_restart_leaves_the_child_down():
    drill = Drill(desk("a"), a=["ok", "ignore"]).begin()
    assert drill.run(drill.dies("a")) == ["start each a", "retired a"]
    assert drill.status == {"a": "ignored"}


# --- shutdown


def test_shutdown_stops_in_reverse_order_and_exits_when_the_last_is_gone():
    drill = Drill(desk("a", "b")).begin()
    assert drill.send(ShutdownAll()) == ["stop b a"]
    assert drill.send(drill.stopped("b")) == []
    assert drill.send(drill.stopped("a")) == ["exit shutdown"]


def test_shutdown_waits_for_children_that_are_still_starting():
    drill = Drill(desk("a", "b"))
    drill.send(Begin())
    drill.send(drill.ok("a"))
    assert drill.send(ShutdownAll("normal")) == ["stop b a"]
    assert drill.send(drill.failed("b")) == []
    assert drill.send(drill.dies("a")) == ["exit normal"]


def test_a_child_whose_start_succeeds_after_it_was_to_be_stopped_is_stopped_by_its_reference():
    drill = Drill(desk("a"))
    drill.send(Begin())
    drill.send(ShutdownAll())
    [stop] = drill.decide(drill.ok("a"))
    assert [(halt.child, halt.ref) for halt in stop.children] == [("a", "<a.1>")]
    assert drill.send(drill.stopped("a")) == ["exit shutdown"]


def test_no_child_is_restarted_during_shutdown():
    drill = Drill(desk("a", "b")).begin()
    drill.send(ShutdownAll())
    assert drill.send(drill.dies("a", "b")) == ["exit shutdown"]


def test_a_child_that_is_reported_gone_twice_is_counted_once():
    drill = Drill(desk("a", "b")).begin()
    drill.send(ShutdownAll())
    assert drill.send(drill.dies("a")) == []
    assert drill.send(Stopped("a", 1)) == []
    assert drill.send(Stopped("b", 1)) == ["exit shutdown"]


def test_the_first_reason_to_leave_is_the_one_that_holds():
    drill = Drill(desk("a", "b", max_restarts=0)).begin()
    assert drill.send(drill.dies("a")) == ["stop b"]
    assert drill.send(ShutdownAll("normal")) == []
    assert drill.send(drill.stopped("b")) == ["exit shutdown"]


# --- significant children


def significant(*names, auto, restart="transient"):
    others = [clerk(n, restart=restart, significant=True) for n in names]
    return Drill(desk("base", *others, auto_shutdown=auto)).begin()


@pytest.mark.parametrize("reason", CLEAN, ids=str)
def test_any_significant_child_that_ends_by_itself_ends_the_supervisor(reason):
    drill = significant("x", "y", auto="any_significant")
    assert drill.run(drill.dies("x", reason=reason)) == ["retired x", "stop y base", "exit shutdown"]


def test_a_temporary_significant_child_ends_the_supervisor_however_it_ends():
    drill = significant("x", auto="any_significant", restart="temporary")
    assert drill.run(drill.dies("x", reason="boom")) == ["dropped x", "stop base", "exit shutdown"]


def test_a_significant_child_that_is_restarted_ends_nothing():
    drill = significant("x", auto="any_significant")
    assert drill.run(drill.dies("x", reason="boom")) == ["start each x"]


def test_all_significant_children_must_have_ended():
    drill = significant("x", "y", auto="all_significant")
    assert drill.run(drill.dies("x", reason="normal")) == ["retired x"]
    assert drill.run(drill.dies("y", reason="normal")) == ["retired y", "stop base", "exit shutdown"]


def test_a_significant_child_about_to_be_restarted_counts_as_alive():
    drill = significant("x", "y", auto="all_significant")
    event = Exited((drill.death("x", "normal"), drill.death("y", "boom")))
    assert drill.run(event) == ["retired x", "start each y"]


def test_a_significant_child_that_was_terminated_ends_nothing():
    drill = significant("x", auto="any_significant")
    assert drill.run(TerminateChild("x", "r")) == ["stop x", "retired x", "reply r x"]


def test_an_insignificant_end_ends_nothing():
    drill = Drill(desk(clerk("a", restart="transient"), auto_shutdown="any_significant")).begin()
    assert drill.run(drill.dies("a", reason="normal")) == ["retired a"]


# --- queries and copies


def test_which_children_tells_all_in_start_order():
    drill = Drill(desk("a", Supervisor(name="sub"), clerk("b", restart="transient")), b=["ignore"]).begin()
    drill.run(TerminateChild("a"))
    told = [(c.name, c.ref, c.status, c.kind, c.incarnation, c.restart) for c in which_children(drill.state)]
    assert told == [
        ("a", None, "stopped", "worker", 1, "permanent"),
        ("sub", "<sub.1>", "running", "supervisor", 1, "permanent"),
        ("b", None, "ignored", "worker", 1, "transient"),
    ]


def test_count_children_counts_as_otp_does():
    drill = Drill(desk("a", Supervisor(name="sub"), "b")).begin()
    drill.run(TerminateChild("a"))
    assert count_children(drill.state) == ChildCounts(specs=3, active=2, supervisors=1, workers=2)


def test_the_copies_of_a_partition_supervisor_are_its_children():
    drill = Drill(PartitionSupervisor(clerk("x").actor, partitions=3))
    assert drill.run(Begin()) == ["start 0 1 2", "ready"]
    assert drill.run(drill.dies("1")) == ["start each 1"]


def test_a_copied_state_decides_alike_and_leaves_the_original_alone():
    drill = Drill(desk("a", "b", strategy="one_for_all")).begin()
    twin = copy.deepcopy(drill)
    event = drill.dies("a")
    assert drill.run(event) == twin.run(event) == ["stop b", "start a b"]
    assert twin.state.roster.get("a") is not drill.state.roster.get("a")
