"""Laws of what the page is given: small, adding up, and never more than was measured."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.cli import main
from actorlab.dashboard import Door, serve
from actorlab.dashboard.page_state import costs, fold, point
from actorlab.errors import MissingExtra
from actorlab.observe import Memory, snapshot
from actorlab.telemetry import TreeRow


@pytest.fixture(scope="module")
def look(shop):
    return snapshot("shop")


def test_of_what_nobody_says_how_it_is_shared_no_sum_is_made(look):
    processes = tuple(replace(one, memory=Memory(10_000_000), pool_mapped_bytes=None) for one in look.processes)
    seen = replace(look, processes=processes, totals=replace(look.totals, memory=Memory(30_000_000)), sharing=None)
    assert point(seen) is None and costs(seen) == []


def rows(depths):
    """A tree with these depths, each at most one deeper than the one before."""
    made, last = [], -1
    for number, depth in enumerate(depths):
        last = min(depth, last + 1)
        made.append(TreeRow(last, str(number), "Clerk", "permanent", "idle", 0, f"1.{number}.1"))
    return made


@given(st.lists(st.integers(0, 4), max_size=60), st.integers(1, 5), st.integers(1, 30))
def test_a_folded_tree_keeps_its_order_and_says_what_is_missing(depths, children, most):
    tree = rows(depths)
    shown, missing = fold(tree, children, most)
    kept = [row for row in shown if row.address]
    assert len(kept) + missing == len(tree) and len(kept) <= most
    assert kept == [row for row in tree if row in kept]
    assert (missing > 0) == any(not row.address for row in shown)
    depth = -1
    for row in shown:
        assert row.depth <= depth + 1, "nothing hangs in the air"
        depth = row.depth


def test_a_small_tree_is_not_folded(look):
    assert fold(look.tree) == (list(look.tree), 0)


def test_the_cost_of_an_agent_times_agents_is_what_their_workers_take(look):
    whole, *workers = costs(look)
    measured = sum(one.memory.pss_bytes for one in look.processes if one.role == "worker")
    assert abs((whole.private_bytes + whole.shared_bytes) * whole.actors - measured) <= 2 * whole.actors
    assert [row.worker for row in workers] == [1, 2] and sum(row.actors for row in workers) == whole.actors


def test_unshared_is_said_only_where_something_is_mapped(look):
    assert {row.unshared_bytes for row in costs(look)} == {None}
    mapped = replace(look, processes=tuple(replace(one, pool_mapped_bytes=10**8) for one in look.processes))
    for row in costs(mapped):
        assert abs(row.unshared_bytes - row.private_bytes - 10**8) <= 1


def test_what_was_not_measured_is_not_drawn(look):
    blind = replace(look, totals=replace(look.totals, memory=None))
    assert point(blind) is None and point(replace(look, memory_at=None)) is None
    assert costs(replace(look, processes=tuple(replace(one, memory=None) for one in look.processes))) == []


def hide(monkeypatch, library):
    """Let `library` not be installed."""
    for name in list(sys.modules):
        if name.startswith(("actorlab.dashboard.", f"{library}.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)


@pytest.mark.parametrize("library", ["uvicorn", "starlette", "h11"])
def test_without_the_extra_the_error_says_what_to_install(monkeypatch, library):
    hide(monkeypatch, library)
    with pytest.raises(MissingExtra, match=r"pip install 'actorlab\[dashboard\]'"):
        serve(lambda: pytest.fail("nothing is looked at"), Door(), print)


def test_the_command_says_it_too_in_one_line(shop, monkeypatch, capsys):
    hide(monkeypatch, "uvicorn")
    assert main(["dashboard", "shop", "--port", "0"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
