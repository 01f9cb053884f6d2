"""start_child, terminate_child, restart_child, delete_child answer as OTP's do; so do dynamic supervisors."""

from __future__ import annotations

import pytest
from supervision_drill import Clerk, Drill, clerk, desk

from actorlab.actor import beside
from actorlab.supervision import (
    Begin,
    DeleteChild,
    DynamicSupervisor,
    ReplaceSpec,
    RestartChild,
    ShutdownAll,
    StartChild,
    TerminateChild,
    child,
    count_children,
)


@pytest.fixture
def drill():
    return Drill(desk("a", "b")).begin()


@pytest.fixture
def jobs():
    return Drill(DynamicSupervisor("jobs", max_children=3)).begin()


def test_a_started_child_is_the_last_in_order(drill):
    assert drill.run(StartChild(clerk("x"), "r")) == ["start each x", "reply r x <x.1>"]
    assert drill.run(ShutdownAll()) == ["stop x b a", "exit shutdown"]


def test_a_child_without_a_name_gets_a_free_one(drill):
    assert drill.run(StartChild(child(Clerk), "r"))[-1] == "reply r clerk <clerk.1>"
    assert drill.run(StartChild(child(Clerk), "r"))[-1] == "reply r clerk#2 <clerk#2.1>"


def test_a_name_that_runs_is_already_started(drill):
    assert drill.run(StartChild(clerk("a"), "r")) == ["refuse r already_started <a.1>"]


def test_a_name_that_is_down_is_already_present(drill):
    drill.run(TerminateChild("a"))
    assert drill.run(StartChild(clerk("a"), "r")) == ["refuse r already_present"]


def test_a_child_that_does_not_start_is_not_kept_and_not_counted(drill):
    drill.outcomes["x"] = ["down"] * 9
    for _ in range(9):
        assert drill.run(StartChild(clerk("x"), "r")) == [
            "start each x", "refuse r start_failed down", "dropped x",
        ]  # fmt: skip
    assert drill.status == {"a": "running", "b": "running"}


def test_a_started_child_that_dies_with_its_worker_while_starting_is_refused_and_not_counted(drill):
    drill.send(StartChild(clerk("x"), "r"))
    assert drill.send(drill.dies("x", reason="killed")) == ["refuse r start_failed killed", "dropped x"]
    assert drill.state.window.recent(drill.now) == 0


def test_an_ignored_child_is_kept_but_not_a_temporary_one(drill):
    drill.outcomes = {"x": ["ignore"], "t": ["ignore"]}
    assert drill.run(StartChild(clerk("x"), "r")) == ["start each x", "reply r x", "retired x"]
    assert drill.run(StartChild(clerk("t", restart="temporary"), "r"))[1:] == ["reply r t", "dropped t"]
    assert drill.status == {"a": "running", "b": "running", "x": "ignored"}


def test_a_specification_that_does_not_fit_is_refused_with_the_reason(drill):
    key = clerk("k", restart="transient", significant=True)
    assert "auto_shutdown='never'" in drill.run(StartChild(key, "r"))[0]
    assert "must name an earlier child" in drill.run(StartChild(clerk("x", placement=beside("y")), "r"))[0]
    assert "must be al.child" in drill.run(StartChild(Clerk, "r"))[0]
    assert drill.run(StartChild(clerk("x", placement=beside("b")), "r"))[-1] == "reply r x <x.1>"


def test_terminate_stops_and_keeps_the_specification(drill):
    assert drill.run(TerminateChild("a", "r")) == ["stop a", "retired a", "reply r a"]
    assert drill.status["a"] == "stopped"


def test_terminate_forgets_a_temporary_child(drill):
    drill.run(StartChild(clerk("t", restart="temporary")))
    assert drill.run(TerminateChild("t", "r")) == ["stop t", "dropped t", "reply r t"]


def test_terminate_of_a_child_that_is_down_succeeds(drill):
    drill.run(TerminateChild("a"))
    assert drill.run(TerminateChild("a", "r")) == ["reply r a"]


def test_terminate_waits_until_the_child_is_gone_and_answers_everybody(drill):
    assert drill.send(TerminateChild("a", "r1")) == ["stop a"]
    assert drill.send(TerminateChild("a", "r2")) == []
    assert drill.send(drill.stopped("a")) == ["retired a", "reply r1 a", "reply r2 a"]


def test_a_child_that_crashes_while_it_is_terminated_is_not_restarted(drill):
    drill.send(TerminateChild("a", "r"))
    assert drill.send(drill.dies("a")) == ["retired a", "reply r a"]


def test_terminate_of_a_child_that_is_starting_refuses_its_start(drill):
    drill.send(StartChild(clerk("x"), "r1"))
    assert drill.send(TerminateChild("x", "r2")) == ["refuse r1 terminated", "stop x"]
    assert drill.send(drill.stopped("x")) == ["dropped x", "reply r2 x"]


def test_restart_starts_a_child_that_is_down_and_counts_nothing(drill):
    for _ in range(9):
        drill.run(TerminateChild("a"))
        assert drill.run(RestartChild("a", "r"))[0] == "start each a"
    assert drill.state.window.recent(drill.now) == 0


def test_a_commanded_restart_that_fails_leaves_the_child_down(drill):
    drill.run(TerminateChild("a"))
    drill.outcomes["a"] = ["down"]
    assert drill.run(RestartChild("a", "r")) == ["start each a", "refuse r start_failed down", "retired a"]
    assert drill.status["a"] == "stopped"


def test_delete_forgets_a_child_that_is_down(drill):
    drill.run(TerminateChild("a"))
    assert drill.run(DeleteChild("a", "r")) == ["dropped a", "reply r a"]
    assert drill.run(StartChild(clerk("a"), "r"))[-1] == "reply r a <a.2>"


@pytest.mark.parametrize("command", [RestartChild, DeleteChild])
def test_restart_and_delete_are_refused_while_the_child_lives(drill, command):
    assert drill.run(command("a", "r")) == ["refuse r running"]
    drill.send(StartChild(clerk("x")))
    assert drill.send(command("x", "r")) == ["refuse r restarting"]
    drill.send(TerminateChild("a"))
    assert drill.send(command("a", "r")) == ["refuse r stopping"]


@pytest.mark.parametrize("command", [RestartChild, DeleteChild])
def test_restart_and_delete_are_refused_while_the_child_waits_for_a_retry(drill, command):
    drill.outcomes["a"] = ["down"]
    drill.run(drill.dies("a"))
    assert drill.run(command("a", "r")) == ["refuse r restarting"]


@pytest.mark.parametrize("command", [TerminateChild, RestartChild, DeleteChild])
def test_a_name_nobody_has_is_not_found(drill, command):
    assert drill.run(command("nobody", "r")) == ["refuse r not_found"]


def test_commands_under_way_are_answered_when_the_supervisor_shuts_down(drill):
    drill.send(StartChild(clerk("x"), "r1"))
    drill.send(TerminateChild("a", "r2"))
    assert drill.send(ShutdownAll()) == ["refuse r1 shutting_down", "stop x b"]
    assert drill.send(drill.stopped("a")) == ["reply r2 a"]
    assert drill.send(StartChild(clerk("y"), "r3")) == ["refuse r3 shutting_down"]


# --- dynamic


def test_a_dynamic_supervisor_begins_empty_and_ready():
    assert Drill(DynamicSupervisor()).run(Begin()) == ["ready"]


def test_children_that_are_being_restarted_count_towards_max_children(jobs):
    for name in "xyz":
        jobs.run(StartChild(clerk(name)))
    jobs.outcomes["x"] = ["down"]
    jobs.run(jobs.dies("x"))
    assert jobs.run(StartChild(clerk("w"), "r")) == ["refuse r max_children 3"]
    jobs.run(TerminateChild("y"))
    assert jobs.run(StartChild(clerk("w"), "r"))[-1] == "reply r w <w.2>"


def test_a_dynamic_child_that_crashes_is_restarted_under_its_name(jobs):
    jobs.run(StartChild(child(Clerk)))
    assert jobs.run(jobs.dies("clerk")) == ["start each clerk"]


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
def test_a_dynamic_child_that_is_terminated_is_forgotten_whatever_its_type(jobs, restart):
    jobs.run(StartChild(clerk("x", restart=restart)))
    assert jobs.run(TerminateChild("x", "r")) == ["stop all x", "dropped x", "reply r x"]
    assert len(jobs.state.roster) == 0


def test_a_dynamic_transient_child_that_ends_cleanly_is_forgotten(jobs):
    jobs.run(StartChild(clerk("x", restart="transient")))
    assert jobs.run(jobs.dies("x", reason="normal")) == ["dropped x"]


def test_a_dynamic_child_that_is_ignored_is_forgotten(jobs):
    jobs.outcomes["x"] = ["ignore", "ok", "ignore"]
    assert jobs.run(StartChild(clerk("x"), "r")) == ["start each x", "reply r x", "dropped x"]
    jobs.run(StartChild(clerk("x")))
    assert jobs.run(jobs.dies("x")) == ["start each x", "dropped x"]


def test_a_dynamic_child_whose_retry_is_called_off_is_forgotten(jobs):
    jobs.outcomes["x"] = ["ok", "down"]
    jobs.run(StartChild(clerk("x")))
    assert jobs.run(jobs.dies("x")) == ["start each x", "retry 0.1 x"]
    assert jobs.run(TerminateChild("x", "r")) == ["dropped x", "reply r x"]


def test_dynamic_children_are_stopped_all_at_once(jobs):
    for name in "xyz":
        jobs.run(StartChild(clerk(name)))
    assert jobs.run(ShutdownAll()) == ["stop all z y x", "exit shutdown"]


@pytest.mark.parametrize("command", [RestartChild, DeleteChild])
def test_restart_and_delete_make_no_sense_where_nothing_is_kept(jobs, command):
    jobs.run(StartChild(clerk("x")))
    assert jobs.run(command("x", "r")) == ["refuse r only_static"]


def test_dynamic_children_that_died_with_their_worker_count_once():
    jobs = Drill(DynamicSupervisor(max_restarts=1)).begin()
    for _ in range(1000):
        jobs.run(StartChild(child(Clerk)))
    names = list(jobs.status)
    assert jobs.run(jobs.dies(*names)) == ["start each " + " ".join(names)]
    assert count_children(jobs.state).active == 1000


def test_another_specification_holds_from_the_next_start_on(drill):
    assert drill.run(ReplaceSpec("a", clerk("a", restart="temporary"), "r")) == ["reply r a"]
    assert drill.status["a"] == "running"
    assert drill.run(drill.dies("a")) == ["dropped a"]


def test_a_child_gets_its_new_specification_while_it_is_down(drill):
    drill.run(TerminateChild("a"))
    assert drill.run(ReplaceSpec("a", clerk("a"), "r")) == ["reply r a"]
    assert drill.run(RestartChild("a", "r")) == ["start each a", "reply r a <a.2>"]


def test_a_specification_that_does_not_fit_is_refused_and_nothing_changes(drill, jobs):
    assert drill.run(ReplaceSpec("a", clerk("b"), "r"))[0].startswith("refuse r bad_spec")
    assert drill.run(ReplaceSpec("a", clerk("a", placement=beside("b")), "r"))[0].startswith("refuse r bad_spec")
    assert drill.run(ReplaceSpec("nobody", clerk("nobody"), "r")) == ["refuse r not_found"]
    assert jobs.run(ReplaceSpec("a", clerk("a"), "r")) == ["refuse r not_found"]
    assert drill.status == {"a": "running", "b": "running"}
