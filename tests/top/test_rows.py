"""Laws of the tree that `top` shows: sums are of what is below, sorting moves siblings only, folding loses nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorlab.observe import Marginal
from actorlab.top.rows import ALONE, BYS, CHILDREN_SHOWN, SORTS, rows

NAMES = ["all", "first", "second", "team", "0", "1", "2"]


def by_name(lines):
    return {row.name: row for row in lines}


def with_actors(look, **changes):
    """The look with fields of actors changed: `first={"depth": 3}`."""
    changed = tuple(replace(one, **changes.get(one.name, {})) for one in look.actors)
    return replace(look, actors=changed)


def test_by_supervisor_it_is_the_tree_in_start_order(look):
    lines = rows(look)
    assert [row.name for row in lines] == NAMES
    assert [row.depth for row in lines] == [0, 1, 1, 1, 2, 2, 2]
    assert [row.place for row in lines[1:3]] == ["worker 1", "worker 2"]


def test_by_worker_every_actor_is_below_the_process_it_lives_in(look):
    lines = rows(look, by="worker")
    processes = [row for row in lines if row.depth == 0]
    assert [row.name for row in processes] == ["controller", "worker 1", "worker 2", "forkserver"]
    assert all(row.measured and row.memory_bytes > 1_000_000 for row in processes)
    assert sum(row.below for row in processes) == look.totals.actors == len(lines) - len(processes)


def test_a_parents_figures_are_the_sum_of_all_below_it(look):
    busy = with_actors(look, first={"depth": 3, "rate": 1.5}, second={"depth": 4, "rate": 2.0})
    team = [one.address for one in look.tree if one.depth == 2]
    full = {"depth": 10, "incarnation": 1}
    busy = replace(busy, actors=tuple(replace(a, **full) if a.address in team else a for a in busy.actors))
    lines = by_name(rows(busy))
    assert (lines["team"].mailbox, lines["team"].restarts) == (30, 3)
    assert (lines["all"].mailbox, lines["all"].restarts) == (37, 3)
    assert lines["all"].rate == pytest.approx(sum(actor.rate or 0 for actor in busy.actors))


@pytest.mark.parametrize(
    ("sort", "changes"),
    [
        ("mailbox", {"depth": 9}),
        ("rate", {"rate": 99.0}),
        ("restarts", {"incarnation": 5}),
        ("memory", {"mailbox_bytes": 10**9}),
    ],
)
def test_sorting_puts_the_largest_of_siblings_first(look, sort, changes):
    measured = tuple(replace(one, marginal=Marginal(1000.0, 900.0, 1100.0, 10, 10, True)) for one in look.classes)
    busy = replace(with_actors(look, second=changes), classes=measured)
    lines = rows(busy, sort=sort)
    assert next(row.name for row in lines if row.depth == 1) == "second"
    assert lines[0].name == "all" and sorted(row.name for row in lines) == sorted(NAMES)


def test_an_actors_memory_is_its_class_and_its_mailbox_and_is_no_measurement(look):
    measured = tuple(replace(one, marginal=Marginal(1000.0, 900.0, 1100.0, 10, 10, True)) for one in look.classes)
    lines = by_name(rows(replace(with_actors(look, first={"mailbox_bytes": 500}), classes=measured)))
    assert lines["first"].memory_bytes == 1500.0 and not lines["first"].measured
    assert by_name(rows(look))["team"].memory_bytes is None or look.classes[0].marginal is not None


@given(closed=st.sets(st.integers(0, 6)), by=st.sampled_from(BYS), sort=st.sampled_from(SORTS))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_folding_hides_what_is_below_and_nothing_else(look, closed, by, sort):
    every = rows(look, by=by, sort=sort)
    shut = {every[at].key for at in closed if at < len(every)}
    shown = rows(look, by=by, sort=sort, closed=shut)
    expected, hidden_below = [], None
    for row in every:
        if hidden_below is not None and row.depth > hidden_below:
            continue
        hidden_below = row.depth if row.key in shut else None
        expected.append(row.key)
    assert [row.key for row in shown] == expected


def test_actors_without_a_supervisor_have_a_line_of_their_own(look):
    stray = replace(look.actors[0], address="1.99.1", name="stray", supervisor="")
    lines = rows(replace(look, actors=(*look.actors, stray)))
    assert [row.name for row in lines[-2:]] == [ALONE, "stray"]


def test_a_large_family_is_cut_and_says_so(look):
    numbers = range(CHILDREN_SHOWN + 50)
    many = tuple(replace(look.actors[0], address=f"1.{n}.1", name=f"n{n}", worker=1) for n in numbers)
    whole = tuple(replace(one, actors=len(many) if one.worker == 1 else 0) for one in look.processes)
    lines = rows(replace(look, actors=many, processes=whole), by="worker")
    assert [row.name for row in lines].count("… 50 more") == 1
    assert by_name(lines)["worker 1"].below == CHILDREN_SHOWN + 50


def test_what_was_not_read_is_counted_and_a_processes_figures_are_whole(look):
    """A node may have more actors than are read; of a process, and of those without a supervisor, all are told of."""
    busy = tuple(replace(one, actors=1000, depth=77, handled=5) if one.worker == 1 else one for one in look.processes)
    stray = replace(look.actors[0], address="1.99.1", name="stray", supervisor="", worker=1, depth=7)
    read = replace(
        look, actors=(*look.actors, stray), processes=busy, totals=replace(look.totals, actors=1000 + len(look.tree))
    )
    worker = by_name(rows(read, by="worker"))["worker 1"]
    assert (worker.below, worker.mailbox, worker.handled) == (1000, 77, 5)
    lines = rows(read)
    assert lines[-1].name == "… 999 more" and by_name(lines)[ALONE].kind == "1,000 actors"


def test_every_line_has_a_key_of_its_own(look):
    for by in BYS:
        keys = [row.key for row in rows(look, by=by)]
        assert len(set(keys)) == len(keys)
