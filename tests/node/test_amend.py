"""A running tree is made into another: what is equal runs on, and a change that fails changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from amend_drill import Keeper

import actorlab as al
from actorlab.node import amend
from actorlab.supervision import Spec

pytestmark = pytest.mark.process

Eventually = Callable[..., None]


def tree(*children: Spec, **keys: Any) -> al.Supervisor:
    return al.Supervisor(children=children, name="root", **keys)


def keeper(name: str, *args: Any, **keys: Any) -> Spec:
    return al.child(Keeper, *args, name=name, **keys)


def team(*children: Spec) -> Spec:
    return al.Supervisor(children=children, name="team", restart="permanent", placement=1)


@pytest.fixture
def node() -> Iterator[al.Node]:
    start = tree(keeper("a"), keeper("b"), keeper("c"), team(keeper("x"), keeper("y")))
    with al.Node(workers=2, tree=start) as made:
        for name in ("a", "b", "c", "x", "y"):
            assert made.find(name).call.add() == 1
        yield made


def look(node: al.Node, *names: str) -> list[Any]:
    return [node.find(name).call.look() for name in names]


def test_what_is_equal_runs_on_and_the_rest_is_stopped_and_started(node: al.Node) -> None:
    b = node.find("b")
    new = tree(keeper("a"), keeper("b", 5), keeper("d"), team(keeper("x"), keeper("z", 1)))
    would = node.amend(new, dry_run=True)
    assert look(node, "a", "b", "c", "x", "y") == [(None, 1)] * 5
    assert node.amend(new) == would
    assert {(change.what, change.child) for change in would} == {
        ("stop", "c"), ("replace", "b"), ("start", "d"), ("stop", "y"), ("start", "z"), ("keep", "team"),
    }  # fmt: skip
    assert look(node, "a", "b", "d", "x", "z") == [(None, 1), (5, 0), (None, 0), (None, 1), (1, 0)]
    assert node.whereis("c") is None and node.whereis("y") is None
    assert node.find("b").home == b.home
    assert node.amend(new) == ()


def test_a_supervisor_that_is_restarted_comes_back_with_its_new_children(node: al.Node, eventually: Eventually) -> None:
    node.amend(tree(keeper("a"), keeper("b"), keeper("c"), team(keeper("x", 7), keeper("z"))))
    old = {name: node.find(name) for name in ("x", "z")}
    node.root.call.where_child("team").stop(block=False)
    eventually(lambda: all(node.whereis(name) not in (None, ref) for name, ref in old.items()))
    assert look(node, "x", "z") == [(7, 0), (None, 0)]
    assert node.whereis("y") is None


def test_a_child_that_does_not_start_leaves_the_old_tree_running(node: al.Node) -> None:
    new = tree(keeper("a", 5), keeper("c", 6), team(keeper("x", 7), keeper("y")), keeper("new", "broken"))
    with pytest.raises(al.StartError, match=r"cannot be started.*what ran before runs again"):
        node.amend(new)
    assert look(node, "a", "b", "c", "x", "y") == [(None, 0), (None, 0), (None, 0), (None, 0), (None, 1)]
    assert node.whereis("new") is None
    assert [row.name for row in node.root.call.which_children()][:1] == ["a"]
    node.amend(tree(keeper("a", 5), keeper("b"), keeper("c"), team(keeper("x"), keeper("y"))))
    assert look(node, "a", "y") == [(5, 0), (None, 1)]


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["_is_known", "_put_up"])
def test_whatever_comes_between_the_old_tree_runs_again(
    node: al.Node, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    real, times = getattr(amend, step), []

    def break_once(*args: Any) -> Any:
        times.append(step)
        if len(times) == 2:
            raise error
        return real(*args)

    monkeypatch.setattr(amend, step, break_once)
    new = tree(keeper("a", 5), keeper("b", 6), team(keeper("x", 7), keeper("y")))
    with pytest.raises((al.StartError, KeyboardInterrupt)) as caught:
        node.amend(new)
    told = [str(caught.value), *getattr(caught.value, "__notes__", ())]
    assert "what ran before runs again" in told[-1] and isinstance(error, KeyboardInterrupt) == (caught.value is error)
    assert [value for value, _ in look(node, "a", "b", "c", "x", "y")] == [None] * 5
    monkeypatch.undo()
    node.amend(new)
    assert [value for value, _ in look(node, "a", "b", "x", "y")] == [5, 6, 7, None] and node.whereis("c") is None


def test_a_change_that_cannot_be_is_refused_and_nothing_is_done(node: al.Node) -> None:
    with pytest.raises(al.SpecError, match=r"max_restarts of the root cannot be changed.*start it again"):
        node.amend(tree(keeper("z"), max_restarts=7))
    assert look(node, "a", "b", "c", "x", "y") == [(None, 1)] * 5


def test_without_a_tree_there_is_nothing_to_amend() -> None:
    with al.Node(workers=0) as node, pytest.raises(al.SpecError, match="no tree runs"):
        node.amend(tree(keeper("a")))


def test_an_amended_child_is_restarted_as_it_now_is(node: al.Node, eventually: Eventually) -> None:
    node.amend(tree(keeper("a", 9), keeper("b"), keeper("c"), team(keeper("x"), keeper("y"))))
    ref = node.find("a")
    ref.call.add()
    ref.cast.crash()
    eventually(lambda: look(node, "a") == [(9, 0)])
