"""The difference of two trees: what is equal runs on, and the rest is stopped and started as the strategy asks."""

from __future__ import annotations

import random
from dataclasses import replace

from supervision_drill import Clerk

from actorlab.supervision import ChildSpec, Spec, Supervisor, changes, child


def tree(*children: Spec, strategy: str = "one_for_one", **keys: object) -> Supervisor:
    return Supervisor(strategy=strategy, children=children, **keys)  # type: ignore[arg-type]


def clerk(name: str, *args: object, **keys: object) -> ChildSpec:
    return child(Clerk, *args, name=name, **keys)  # type: ignore[arg-type]


def told(old: Supervisor, new: Supervisor) -> list[tuple[str, str]]:
    return [(change.what, "/".join((*change.supervisor, change.child))) for change in changes(old, new)]


def test_equal_trees_have_no_difference() -> None:
    assert changes(tree(clerk("a"), clerk("b")), tree(clerk("a"), clerk("b"))) == ()


def test_what_is_new_starts_what_is_gone_stops_and_what_changed_restarts_in_its_place() -> None:
    old = tree(clerk("a"), clerk("b"), clerk("c"))
    new = tree(clerk("x"), clerk("c"), clerk("b", 5))
    assert told(old, new) == [("stop", "a"), ("start", "x"), ("replace", "b")]
    assert [change.why for change in changes(old, new)] == ["it is no longer there", "it is new", "args changed"]


def test_a_nested_supervisor_is_gone_into_unless_its_own_keys_changed() -> None:
    old = tree(tree(clerk("a"), name="team"), clerk("z"))
    assert told(old, tree(tree(clerk("a"), clerk("b"), name="team"), clerk("z"))) == [
        ("start", "team/b"),
        ("keep", "team"),
    ]
    slower = tree(tree(clerk("a"), name="team", max_seconds=9.0), clerk("z"))
    assert told(old, slower) == [("replace", "team")]
    assert changes(old, slower)[0].why == "max_seconds changed"


def test_where_the_order_matters_what_is_behind_the_first_difference_in_it_starts_anew() -> None:
    for strategy in ("rest_for_one", "one_for_all"):
        old = tree(clerk("a"), clerk("b"), clerk("c"), strategy=strategy)
        assert told(old, tree(clerk("a"), clerk("x"), clerk("b"), clerk("c"), strategy=strategy)) == [
            ("start", "x"),
            ("move", "b"),
            ("move", "c"),
        ]
        assert told(old, tree(clerk("a"), clerk("c"), strategy=strategy)) == [("stop", "b")]
        assert told(old, tree(clerk("a"), clerk("b", 2), clerk("c"), clerk("d"), strategy=strategy)) == [
            ("replace", "b"),
            ("start", "d"),
        ]


def test_another_sort_of_child_under_the_same_name_is_a_restart() -> None:
    assert told(tree(clerk("a")), tree(tree(name="a"))) == [("replace", "a")]


def test_the_roots_own_keys_cannot_change_while_it_runs() -> None:
    (change,) = changes(tree(clerk("a")), tree(clerk("a"), max_restarts=9))
    assert (change.what, change.why) == ("refuse", "max_restarts of the root cannot be changed while it runs")


def test_the_difference_made_by_hand_gives_the_new_tree() -> None:
    chance = random.Random(11)
    for _ in range(2_000):
        strategy = chance.choice(("one_for_one", "rest_for_one"))
        names = chance.sample("abcdefg", chance.randrange(7))
        old = tree(*(clerk(name) for name in names), strategy=strategy)
        later = [name for name in names if chance.random() < 0.7] + [n for n in "xyz" if chance.random() < 0.5]
        if chance.random() < 0.5:
            chance.shuffle(later)
        new = tree(*(clerk(name, chance.randrange(2)) for name in later), strategy=strategy)
        running = {name: spec for name, spec in zip(old.ids, old.children, strict=True)}
        todo = changes(old, new)
        for change in todo:
            if change.what in ("stop", "move"):
                del running[change.child]
        for change in todo:
            if change.what in ("start", "replace", "move"):
                assert change.new is not None
                running[change.child] = change.new
        assert running == dict(zip(new.ids, new.children, strict=True))
        if strategy != "one_for_one":
            assert list(running) == list(new.ids)
        assert all(change.old == old.children[old.ids.index(change.child)] for change in todo if change.old)
        assert replace(old) == old
