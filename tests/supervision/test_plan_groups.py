"""rest_for_one and one_for_all: who goes down, who comes up, in which order, and what may happen meanwhile."""

from __future__ import annotations

from supervision_drill import Drill, clerk, desk

from actorlab.supervision import Begin, DeleteChild, Exited, RestartChild, ShutdownAll, StartChild, TerminateChild


def rest(*children, begun=True, outcomes=None, **keys):
    drill = Drill(desk(*children, strategy="rest_for_one", **keys), **(outcomes or {}))
    return drill.begin() if begun else drill


def everyone(*children, outcomes=None, **keys):
    return Drill(desk(*children, strategy="one_for_all", **keys), **(outcomes or {})).begin()


def test_rest_for_one_stops_the_later_ones_in_reverse_and_starts_from_the_dead_one_on():
    drill = rest("a", "b", "c", "d")
    assert drill.run(drill.dies("b")) == ["stop d c", "start b c d"]


def test_rest_for_one_leaves_the_others_alone_when_the_last_dies():
    drill = rest("a", "b", "c")
    assert drill.run(drill.dies("c")) == ["start c"]


def test_one_for_all_stops_all_in_reverse_and_starts_all():
    drill = everyone("a", "b", "c")
    assert drill.run(drill.dies("b")) == ["stop c a", "start a b c"]


def test_rest_for_one_restarts_from_the_leftmost_of_those_that_died_together():
    drill = rest("a", "b", "c", "d", "e")
    assert drill.run(drill.dies("d", "b")) == ["stop e c", "start b c d e"]


def test_a_group_restart_counts_once_however_many_it_restarts():
    drill = everyone(*"abcdefgh", max_restarts=1)
    assert drill.run(drill.dies(*"abcd")) == ["stop h g f e", "start a b c d e f g h"]
    assert drill.run(drill.dies("a")) == ["stop h g f e d c b", "exit shutdown"]


def test_nothing_is_started_before_all_are_stopped():
    drill = rest("a", "b", "c")
    assert drill.send(drill.dies("a")) == ["stop c b"]
    assert drill.send(drill.stopped("b")) == []
    assert drill.send(drill.stopped("c")) == ["start a b c"]


def test_a_temporary_child_taken_down_by_a_sibling_is_forgotten():
    drill = everyone("a", clerk("t", restart="temporary"), "b")
    assert drill.run(drill.dies("b")) == ["stop t a", "dropped t", "start a b"]


def test_a_temporary_child_takes_nobody_down():
    drill = everyone("a", clerk("t", restart="temporary"))
    assert drill.run(drill.dies("t")) == ["dropped t"]


def test_a_clean_end_of_a_transient_child_takes_nobody_down():
    drill = rest(clerk("t", restart="transient"), "b")
    assert drill.run(drill.dies("t", reason="normal")) == ["retired t"]


def test_a_group_restart_also_starts_those_that_had_been_terminated_or_ignored_or_had_ended_cleanly():
    drill = everyone("a", "b", "i", clerk("t", restart="transient"), outcomes={"i": ["ignore"]})
    drill.run(TerminateChild("b"))
    drill.run(drill.dies("t", reason="normal"))
    assert drill.run(drill.dies("a")) == ["start a b i t"]


def test_a_significant_child_taken_down_by_a_sibling_ends_nothing():
    key = clerk("k", restart="transient", significant=True)
    drill = everyone("a", key, auto_shutdown="any_significant")
    assert drill.run(drill.dies("a")) == ["stop k", "start a k"]


# --- starts that fail within a group


def test_a_failing_rest_for_one_restart_is_tried_again_from_the_one_that_failed():
    drill = rest("a", "b", "c", "d", outcomes={"c": ["ok", "down"]})
    assert drill.run(drill.dies("b")) == ["stop d c", "start b c d", "retry 1 c"]
    assert drill.status == {"a": "running", "b": "running", "c": "restarting", "d": "restarting"}
    assert drill.run(drill.retry()) == ["start c d"]


def test_a_failing_one_for_all_restart_stops_all_again_before_it_is_tried_again():
    drill = everyone("a", "b", "c", outcomes={"b": ["ok", "down"]})
    assert drill.run(drill.dies("c")) == ["stop b a", "start a b c", "retry 1 b"]
    assert drill.run(drill.retry()) == ["stop a", "start a b c"]


def test_each_failing_attempt_of_a_group_counts():
    drill = everyone("a", "b", max_restarts=2, outcomes={"b": ["ok", "down", "down"]})
    assert drill.run(drill.dies("b")) == ["stop a", "start a b", "retry 1 b"]
    assert drill.run(drill.retry()) == ["stop a", "start a b", "stop a", "exit shutdown"]


def test_the_group_does_not_wait_for_a_retry_when_an_earlier_member_dies():
    drill = rest("a", "b", "c", outcomes={"b": ["ok", "down"]})
    drill.run(drill.dies("b"))
    assert drill.run(drill.dies("a")) == ["start a b c"]
    assert drill.run(drill.retry()) == []


def test_calling_off_the_failed_member_starts_those_behind_it():
    drill = rest("a", "b", "c", "d", outcomes={"b": ["ok", "down"]})
    drill.run(drill.dies("b"))
    assert drill.run(TerminateChild("b", "r")) == ["retired b", "reply r b", "start c d"]
    assert drill.status == {"a": "running", "b": "stopped", "c": "running", "d": "running"}


def test_members_that_wait_behind_a_failed_one_are_restarting():
    drill = rest("a", "b", outcomes={"a": ["ok", "down"]})
    drill.run(drill.dies("a"))
    assert drill.run(RestartChild("b", "r")) == ["refuse r restarting"]
    assert drill.run(DeleteChild("b", "r")) == ["refuse r restarting"]


def test_calling_off_a_failed_member_while_a_later_one_moves_still_starts_those_between():
    drill = rest("a", "b", outcomes={"a": ["ok", "down"]})
    drill.run(drill.dies("a"))
    drill.run(StartChild(clerk("x")))
    assert drill.send(drill.dies("x")) == ["start x"]
    assert drill.send(TerminateChild("a", "r")) == ["retired a", "reply r a"]
    assert drill.send(drill.ok("x")) == ["start b"]
    assert drill.send(drill.ok("b")) == []


def test_those_between_are_not_lost_when_the_later_one_fails_too():
    drill = rest("a", "b", max_restarts=9, outcomes={"a": ["ok", "down"]})
    drill.run(drill.dies("a"))
    drill.run(StartChild(clerk("x")))
    drill.send(drill.dies("x"))
    drill.send(TerminateChild("a", "r"))
    assert drill.send(drill.failed("x")) == ["retry 1 x"]
    assert drill.run(drill.retry()) == ["start b x"]


# --- while a group moves


def test_a_death_while_the_group_goes_down_widens_it():
    drill = rest("a", "b", "c")
    assert drill.send(drill.dies("b")) == ["stop c"]
    assert drill.send(drill.dies("a")) == []
    assert drill.send(drill.stopped("c")) == ["start a b c"]


def test_a_death_while_the_group_comes_up_stops_what_would_have_gone_down_anyway():
    drill = rest("a", "b", "c", "d")
    drill.send(drill.dies("b"))
    drill.send(drill.stopped("d"))
    assert drill.send(drill.stopped("c")) == ["start b c d"]
    drill.send(drill.ok("b"))
    drill.send(drill.ok("c"))
    assert drill.send(drill.dies("b")) == ["stop d c"]
    drill.send(drill.stopped("d"))
    assert drill.send(drill.stopped("c")) == ["start b c d"]


def test_a_worker_that_dies_under_running_and_starting_members_is_one_incident():
    drill = rest("a", "b", "c", max_restarts=2)
    assert drill.send(drill.dies("a", "b", "c")) == ["start a b c"]
    drill.send(drill.ok("a"))
    assert drill.send(drill.dies("a", "b", reason="killed")) == ["start a b c"]


def test_a_worker_that_dies_under_stopping_members_turns_the_group_round_once():
    drill = everyone("a", "b", "c", "d", max_restarts=2)
    assert drill.send(drill.dies("d")) == ["stop c b a"]
    drill.send(drill.stopped("c"))
    assert drill.send(drill.dies("a", "b")) == ["start a b c d"]


def test_shutdown_does_not_wait_for_the_group_to_come_up():
    drill = everyone("a", "b")
    drill.send(drill.dies("a"))
    assert drill.send(ShutdownAll()) == []
    assert drill.send(drill.stopped("b")) == ["exit shutdown"]


def test_a_child_commanded_while_a_group_moves_is_started_after_it():
    drill = rest("a", "b")
    drill.send(drill.dies("a"))
    assert drill.send(StartChild(clerk("x"), "r")) == []
    drill.send(drill.stopped("b"))
    drill.send(drill.ok("a"))
    assert drill.send(drill.ok("b")) == ["start each x"]
    assert drill.send(drill.ok("x")) == ["reply r x <x.1>"]


def test_a_child_terminated_while_its_group_goes_down_stays_down():
    drill = rest("a", "b", "c")
    drill.send(drill.dies("a"))
    assert drill.send(TerminateChild("b", "r")) == []
    assert drill.send(drill.stopped("b")) == ["retired b", "reply r b"]
    assert drill.send(drill.stopped("c")) == ["start a c"]


def test_a_child_terminated_while_its_group_comes_up_is_taken_out_of_it():
    drill = rest("a", "b", "c")
    drill.run(Exited(()))
    drill.send(drill.dies("a", "b", "c"))
    drill.send(drill.ok("a"))
    assert drill.send(TerminateChild("b", "r")) == ["stop b"]
    assert drill.send(drill.stopped("b")) == ["retired b", "reply r b"]
    assert drill.send(drill.ok("c")) == []
    assert drill.status == {"a": "running", "b": "stopped", "c": "running"}


def test_a_commanded_start_that_is_swept_along_is_answered_when_it_runs():
    drill = rest("a", "b")
    assert drill.send(StartChild(clerk("x"), "r")) == ["start each x"]
    assert drill.send(drill.dies("b")) == ["stop x"]
    assert drill.send(drill.stopped("x")) == ["start b x"]
    drill.send(drill.ok("b"))
    assert drill.send(drill.ok("x")) == ["reply r x <x.2>"]


def test_a_commanded_start_that_is_swept_along_and_fails_does_not_fail_the_group():
    drill = rest("a", "b", max_restarts=1)
    drill.send(StartChild(clerk("x"), "r"))
    drill.run(StartChild(clerk("y")))
    drill.send(drill.dies("b"))
    drill.send(drill.stopped("y"))
    assert drill.send(drill.stopped("x")) == ["start b x y"]
    drill.send(drill.ok("b"))
    assert drill.send(drill.failed("x")) == ["refuse r start_failed broke", "dropped x", "start y"]
    assert drill.send(drill.ok("y")) == []


def test_a_temporary_start_that_is_swept_along_is_refused():
    drill = rest("a", "b")
    drill.send(StartChild(clerk("t", restart="temporary"), "r"))
    assert drill.send(drill.dies("b")) == ["refuse r terminated", "stop t"]
    assert drill.send(drill.stopped("t")) == ["dropped t", "start b"]


def test_a_death_during_the_initial_start_of_a_group_restarts_the_group_and_then_it_is_ready():
    drill = rest("a", "b", begun=False)
    drill.send(Begin())
    drill.send(drill.ok("a"))
    assert drill.send(drill.dies("a")) == ["stop b"]
    assert drill.send(drill.stopped("b")) == ["start a b"]
    drill.send(drill.ok("a"))
    assert drill.send(drill.ok("b")) == ["ready"]


def test_a_member_that_fails_before_it_hears_that_it_is_to_stop_does_not_strand_those_behind_it():
    drill = rest("a", "b", "c")
    drill.send(drill.dies("a", "b", "c"))
    assert drill.send(TerminateChild("a", "r")) == ["stop a"]
    assert drill.send(drill.failed("a")) == ["retired a", "reply r a", "start b c"]
    assert drill.status == {"a": "stopped", "b": "starting", "c": "starting"}


def test_a_start_that_is_called_off_between_going_down_and_coming_up_is_refused():
    drill = rest("a", "b")
    drill.send(StartChild(clerk("x"), "r1"))
    drill.run(StartChild(clerk("y")))
    drill.send(drill.dies("a"))
    drill.send(drill.stopped("x"))
    assert drill.send(TerminateChild("x", "r2")) == ["refuse r1 terminated", "dropped x", "reply r2 x"]
    drill.send(drill.stopped("y"))
    assert drill.send(drill.stopped("b")) == ["start a b y"]


def test_those_between_are_not_lost_when_the_later_one_dies_again():
    drill = rest("a", "b", max_restarts=9, outcomes={"a": ["ok", "down"]})
    drill.run(drill.dies("a"))
    drill.run(StartChild(clerk("x")))
    drill.run(StartChild(clerk("y")))
    drill.send(drill.dies("x", "y"))
    drill.send(drill.ok("x"))
    drill.send(TerminateChild("a"))
    assert drill.send(drill.dies("x")) == ["stop y"]
    assert drill.send(drill.stopped("y")) == ["start b x y"]


def test_a_retry_that_comes_due_while_the_group_goes_down_does_not_narrow_it():
    drill = rest("a", "b", "c", max_restarts=9, outcomes={"c": ["ok", "down"]})
    drill.run(drill.dies("c"))
    assert drill.send(drill.dies("a")) == ["stop b"]
    assert drill.send(drill.retry()) == []
    assert drill.send(drill.stopped("b")) == ["start a b c"]


def test_a_member_that_started_before_it_heard_that_it_is_to_stop_does_not_begin_the_others_anew():
    drill = rest("a", "b", "c")
    drill.send(drill.dies("a", "b", "c"))
    drill.send(TerminateChild("a", "r"))
    assert drill.send(drill.ok("a")) == ["stop a"]
    assert drill.send(drill.dies("a")) == ["retired a", "reply r a"]
    drill.send(drill.ok("b"))
    assert drill.send(drill.ok("c")) == []
    assert drill.status == {"a": "stopped", "b": "running", "c": "running"}
