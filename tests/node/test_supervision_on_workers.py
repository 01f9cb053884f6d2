"""Supervision across worker processes: strategies, restart types, escalation, placement, and commands at run time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from recovery_drill import (
    Clerk,
    Reluctant,
    Shy,
    Slow,
    SlowUntil,
    answers,
    children_of,
    incarnations,
    is_busy,
    open_node,
)

import actorlab as al

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with open_node() as node:
        yield node


@pytest.fixture
def start(node):
    """Start a tree that ends with the test."""
    roots = []

    def start(tree):
        roots.append(node.start(tree))
        return roots[-1]

    yield start
    for root in reversed(roots):
        root.stop(timeout=10)


def three(strategy, **keys):
    return al.Supervisor(
        strategy=strategy,
        max_restarts=10,
        children=[
            al.child(Clerk, name="a", placement=1, **keys),
            al.child(Clerk, name="b", placement=2, **keys),
            al.child(Clerk, name="c", placement=1, **keys),
        ],
    )


# -- strategies and restart types -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "restarted"),
    [("one_for_one", {"b"}), ("rest_for_one", {"b", "c"}), ("one_for_all", {"a", "b", "c"})],
)
def test_a_strategy_holds_across_workers(start, node, eventually, strategy, restarted):
    sup = start(three(strategy))
    refs = {name: node.whereis(name) for name in "abc"}
    for ref in refs.values():
        ref.call.add(5)
    with pytest.raises(ValueError, match="boom"):
        refs["b"].call.boom()
    eventually(lambda: all(child.status == "running" for child in children_of(sup).values()))
    eventually(lambda: {name for name, n in incarnations(sup).items() if n == 2} == restarted)
    for name, ref in refs.items():
        assert ref.call.add(0) == (0 if name in restarted else 5)
        assert ref.incarnation == (name in restarted)
        assert node.whereis(name) == ref


@pytest.mark.parametrize(
    ("restart", "how", "status"),
    [
        ("permanent", "normal", "running"),
        ("permanent", "shutdown", "running"),
        ("permanent", "failed", "running"),
        ("transient", "normal", "stopped"),
        ("transient", ("shutdown", "cold"), "stopped"),
        ("transient", "failed", "running"),
        ("temporary", "normal", None),
        ("temporary", "failed", None),
    ],
)
def test_a_restart_type_decides_by_the_exit_reason(start, node, eventually, restart, how, status):
    sup = start(al.Supervisor(children=[al.child(Clerk, name="one", restart=restart)]))
    ref = node.whereis("one")
    down = node.monitor(ref)
    ref.cast.leave(how)
    assert down.get(timeout=30).reason == how

    def settled():
        child = children_of(sup).get("one")
        return (child.status if child else None) == status and (status != "running" or child.incarnation == 2)

    eventually(settled)
    assert (node.whereis("one") is not None) == (status == "running")
    assert ref.is_alive() == (status == "running")


def test_a_killed_child_is_restarted_with_its_queue(start, node, eventually):
    start(al.Supervisor(children=[al.child(Clerk, name="one", placement=1)]))
    ref = node.whereis("one")
    ref.cast.nap(60)
    eventually(is_busy(node, ref))
    for n in range(5):
        ref.cast.note(n)
    ref.exit("kill")
    eventually(lambda: ref.incarnation == 1)
    assert ref.call.noted() == [0, 1, 2, 3, 4]


def test_too_many_restarts_end_the_tree_and_the_node_says_why(eventually):
    tree = al.Supervisor(max_restarts=2, max_seconds=60, children=[al.child(Clerk, name="one")])
    with al.Node(workers=1, tree=tree, log_level="CRITICAL") as node:
        ref = node.whereis("one")
        for n in range(3):
            eventually(lambda n=n: ref.is_alive() and ref.incarnation == n)
            ref.cast.boom(f"number {n}")
        why = node.wait(timeout=30)
        assert "more than 2 restarts in 60 s" in why
        assert "number 2" in why
        assert node.whereis("one") is None


def test_a_supervisor_that_gives_up_is_its_parents_business(start, node, eventually):
    inner = al.Supervisor(name="inner", max_restarts=0, children=[al.child(Clerk, name="leaf", placement=1)])
    sup = start(al.Supervisor(children=[inner, al.child(Clerk, name="other", placement=2)]))
    leaf = node.whereis("leaf")
    node.whereis("other").call.add(3)
    leaf.cast.boom()
    eventually(lambda: incarnations(sup) == {"inner": 2, "other": 1})
    eventually(lambda: (found := node.whereis("leaf")) is not None and answers(found))
    assert node.whereis("other").call.add(0) == 3


@pytest.mark.parametrize("place", [None, 1, 2])
def test_a_supervisor_works_the_same_in_any_process(start, node, eventually, place):
    inner = al.Supervisor(
        name="inner", strategy="one_for_all", placement=place, max_restarts=5,
        children=[al.child(Clerk, name="near", placement=1), al.child(Clerk, name="far", placement=2)],
    )  # fmt: skip
    sup = start(al.Supervisor(children=[inner]))
    assert node.whereis("inner").home == (place or 0)
    near, far = node.whereis("near"), node.whereis("far")
    near.cast.boom()
    eventually(lambda: far.incarnation == near.incarnation == 1)
    assert far.call.add(1) == near.call.add(1) == 1
    assert incarnations(sup) == {"inner": 1}
    assert incarnations(node.whereis("inner")) == {"near": 2, "far": 2}


def test_a_killed_supervisor_takes_its_children_with_it_and_comes_back_with_new_ones(start, node, eventually):
    inner = al.Supervisor(name="inner", placement=1, children=[al.child(Clerk, name="leaf", placement=2)])
    start(al.Supervisor(children=[inner]))
    old, boss = node.whereis("leaf"), node.whereis("inner")
    down = node.monitor(old)
    boss.exit("kill")
    assert down.get(timeout=30).reason == "shutdown"
    eventually(lambda: (found := node.whereis("leaf")) not in (None, old) and answers(found))
    assert boss.incarnation == 1
    assert not old.is_alive()
    assert children_of(boss)["leaf"].ref == node.whereis("leaf")


@pytest.mark.parametrize("place", [None, 1])
def test_a_supervisor_killed_while_it_starts_children_leaves_none_behind(start, node, eventually, tmp_path, place):
    jobs = start(al.DynamicSupervisor("jobs", placement=place, restart="temporary"))
    node.wait_idle()
    before, gate = tenants(node), tmp_path / "gate"
    starting = jobs.request.start_children([al.child(SlowUntil, str(gate), placement=2) for _ in range(2)])
    eventually(lambda: tenants(node) > before)
    jobs.exit("kill")
    with pytest.raises(al.ActorDied):
        starting.get(timeout=30)
    gate.touch()
    eventually(lambda: tenants(node) == before - 1)  # the supervisor is gone, too


def test_a_place_is_free_although_its_worker_died_before_it_could_release_it(start, node, eventually):
    jobs = start(al.DynamicSupervisor("jobs"))
    ref = jobs.call.start_child(al.child(Clerk, name="leaver", placement=2, restart="transient"))
    ref.call.die_at("release")
    jobs.call.terminate_child("leaver")
    eventually(lambda: not ref.is_alive())
    assert node.whereis("leaver") is None


# -- starting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [None, 1])
def test_a_start_that_fails_in_the_middle_leaves_nothing(node, eventually, tmp_path, place):
    notes = str(tmp_path / "notes")
    (tmp_path / "left").write_text("9")
    tree = al.Supervisor(
        placement=place,
        children=[
            al.child(Clerk, 0, notes, name="first", placement=1),
            al.Supervisor(placement=2, children=[al.child(Clerk, 0, notes, name="second", placement=2)]),
            al.child(Reluctant, str(tmp_path / "left"), name="third", placement=1),
            al.child(Clerk, 0, notes, name="fourth"),
        ],
    )
    node.wait_idle()
    before = tenants(node)
    with pytest.raises(al.StartError, match="not yet"):
        node.start(tree)
    events = Path(notes).read_text().split()
    assert events[::2] == ["start", "start", "stop", "stop"]  # in reverse order of the starts
    assert events[1::2] == [events[1], events[3], events[3], events[1]]
    assert [node.whereis(name) for name in ("first", "second", "third", "fourth")] == [None] * 4
    eventually(lambda: tenants(node) == before)


def test_names_given_out_together_are_free_again_if_one_of_the_children_fails(node, start, eventually, tmp_path):
    (tmp_path / "left").write_text("1")
    names = ("before", "fails", "after", "last")
    children = [
        al.child(Reluctant, str(tmp_path / "left"), name=name, placement=1)
        if name == "fails"
        else al.child(Clerk, name=name, placement=1)
        for name in names
    ]
    node.wait_idle()
    before = tenants(node)
    with pytest.raises(al.StartError, match="not yet"):
        node.start(al.Supervisor(children=children))
    assert [node.whereis(name) for name in names] == [None] * 4
    eventually(lambda: tenants(node) == before)
    start(al.Supervisor(children=children))
    assert None not in [node.whereis(name) for name in names]


def test_a_name_that_is_taken_fails_the_start(node, start):
    start(al.Supervisor(children=[al.child(Clerk, name="till", placement=1)]))
    with pytest.raises(al.StartError, match=r"till.* belongs to"):
        node.start(al.Supervisor(children=[al.child(Clerk, name="till", placement=2)]))
    assert answers(node.whereis("till"))


def test_a_child_that_ignores_its_start_stays_in_the_list(start, node):
    sup = start(al.Supervisor(children=[al.child(Shy, name="shy"), al.child(Clerk, name="one")]))
    assert children_of(sup)["shy"].status == "ignored"
    assert node.whereis("shy") is None
    assert sup.call.restart_child("shy") is None
    sup.call.delete_child("shy")
    assert list(children_of(sup)) == ["one"]


def test_a_child_that_fails_to_start_again_is_tried_with_growing_pauses(start, node, eventually, tmp_path):
    left, told = tmp_path / "left", tmp_path / "told"
    left.write_text("0")
    sup = start(
        al.Supervisor(
            max_restarts=1_000_000,
            backoff=al.Backoff(first_s=0.02, max_s=0.1, jitter=0),
            children=[al.child(Reluctant, str(left), name="one", placement=1), al.child(Clerk, name="two")],
        )
    )
    ref = node.whereis("one")
    left.write_text("1000000")
    ref.exit("boom")
    eventually(lambda: children_of(sup)["one"].status == "restarting")
    eventually(lambda: int(left.read_text() or 1_000_000) <= 999_997)
    assert answers(node.whereis("two"))  # nobody else waits
    assert children_of(sup)["one"].status != "running"
    with left.open() as before:  # still to be read when another has its name
        told.write_text("0")
        told.rename(left)
        eventually(lambda: children_of(sup)["one"].status == "running")
        failed = 1_000_000 - int(before.read())
    assert ref.call.hello() == "hello"
    assert incarnations(sup)["one"] == 1 + failed + 1  # the first, those that failed, and the one that lives
    assert failed >= 3


def test_a_start_that_takes_too_long_is_given_up(node, eventually):
    node.wait_idle()
    before = tenants(node)
    with pytest.raises(al.InitTimeout):
        node.spawn(Slow, 60, init_timeout_s=0.1, placement=1)
    with pytest.raises(al.StartError, match=r"not ready within 0\.1 s"):
        node.start(al.Supervisor(children=[al.child(Slow, 60, init_timeout_s=0.1, placement=1)]))
    eventually(lambda: tenants(node) == before)


# -- placement ------------------------------------------------------------------------------------------------------


def test_children_live_where_their_placement_says(start, node):
    sup = start(
        al.Supervisor(
            children=[
                al.child(Clerk, name="two", placement=2),
                al.child(Clerk, name="beside", placement=al.beside("two")),
                al.child(Clerk, name="local", placement="local"),
                al.child(Clerk, name="hash1", placement=al.by_hash("k")),
                al.child(Clerk, name="hash2", placement=al.by_hash("k")),
                *[al.child(Clerk, name=f"any{n}") for n in range(4)],
            ]
        )
    )
    home = {name: child.ref.home for name, child in children_of(sup).items()}
    assert home["two"] == home["beside"] == 2
    assert home["hash1"] == home["hash2"]
    assert {home[f"any{n}"] for n in range(4)} == {1, 2}
    assert node.whereis("local").call.where()[0] == os.getpid()
    assert node.whereis("two").call.where()[0] == next(w.pid for w in node.workers if w.number == 2)


def test_a_local_child_is_supervised_like_any_other(start, node, eventually):
    start(al.Supervisor(children=[al.child(Clerk, name="here", placement="local")]))
    ref = node.whereis("here")
    with pytest.raises(ValueError, match="boom"):
        ref.call.boom()
    eventually(lambda: ref.incarnation == 1 and answers(ref))


# -- at run time ----------------------------------------------------------------------------------------------------


def test_children_can_be_counted_stopped_restarted_and_deleted(start, node):
    sup = start(al.Supervisor(children=[al.child(Clerk, name="a"), al.child(Clerk, name="b")]))
    added = sup.call.start_child(al.child(Clerk, 7, name="c", placement=2))
    assert added.call.add(0) == 7
    counts = sup.call.count_children()
    assert (counts.specs, counts.active, counts.workers, counts.supervisors) == (3, 3, 3, 0)
    sup.call.terminate_child("b")
    assert node.whereis("b") is None
    assert sup.call.count_children().active == 2
    again = sup.call.restart_child("b")
    assert node.whereis("b") == again
    assert answers(again)
    with pytest.raises(al.SpecError, match="running"):
        sup.call.delete_child("b")
    sup.call.terminate_child("b")
    sup.call.delete_child("b")
    assert list(children_of(sup)) == ["a", "c"]
    with pytest.raises(al.NoSuchChild, match="it has a, c"):
        sup.call.terminate_child("b")
    with pytest.raises(al.SpecError, match="already started"):
        sup.call.start_child(al.child(Clerk, name="a"))


def test_a_dynamic_supervisor_takes_children_as_they_come(start, node, eventually):
    sup = start(al.DynamicSupervisor(name="jobs", max_children=3, max_restarts=10))
    refs = [sup.call.start_child(al.child(Clerk, n, restart="transient")) for n in range(3)]
    with pytest.raises(al.SpecError, match="max children"):
        sup.call.start_child(al.child(Clerk))
    refs[0].cast.leave()
    refs[1].cast.boom()
    eventually(lambda: sup.call.count_children().specs == 2)
    eventually(lambda: refs[1].incarnation == 1 and answers(refs[1]))
    assert {child.ref for child in sup.call.which_children()} == set(refs[1:])
    assert sup.call.start_child(al.child(Clerk)) is not None


def test_a_failed_start_by_command_leaves_nothing(start, node, tmp_path):
    (tmp_path / "left").write_text("1")
    sup = start(al.DynamicSupervisor(name="jobs"))
    spec = al.child(Reluctant, str(tmp_path / "left"), name="late")
    with pytest.raises(al.StartError, match="not yet"):
        sup.call.start_child(spec)
    assert sup.call.count_children().specs == 0
    assert node.whereis("late") is None
    assert sup.call.start_child(spec).call.hello() == "hello"


def test_a_partition_supervisor_routes_keys_to_its_copies(start, node, eventually):
    sup = start(al.PartitionSupervisor(Clerk, 100, partitions=4, name="shards"))
    homes = {child.ref.home for child in sup.call.which_children()}
    assert homes == {1, 2}
    shard = sup.call.route("alice")
    assert shard == sup.call.route("alice")
    assert len({sup.call.route(f"key {n}") for n in range(50)}) == 4
    shard.call.add(5)
    shard.cast.boom()
    eventually(lambda: shard.incarnation == 1 and answers(shard))
    assert sup.call.route("alice") == shard
    assert shard.call.add(0) == 100


@pytest.mark.parametrize(
    ("shutdown", "ends_after"), [("any_significant", 1), ("all_significant", 2)], ids=["any", "all"]
)
def test_a_supervisor_ends_with_its_significant_children(start, node, eventually, shutdown, ends_after):
    inner = al.Supervisor(
        name="inner", auto_shutdown=shutdown, restart="temporary",
        children=[
            al.child(Clerk, name="s1", restart="transient", significant=True, placement=1),
            al.child(Clerk, name="s2", restart="transient", significant=True, placement=2),
            al.child(Clerk, name="plain"),
        ],
    )  # fmt: skip
    sup = start(al.Supervisor(children=[inner]))
    for n in range(ends_after):
        assert list(children_of(sup)) == ["inner"]
        node.whereis(f"s{n + 1}").cast.leave()
    eventually(lambda: not children_of(sup))
    assert [node.whereis(name) for name in ("inner", "s1", "s2", "plain")] == [None] * 4


def tenants(node: al.Node) -> int:
    """Count the actors of all processes: husks, too."""
    homes = (0, 255, 1, 2)
    return sum(sum(node.runtime.table(home).table.count().values()) for home in homes if home in known(node))


def known(node: al.Node) -> list[int]:
    assert node.directory is not None
    return [int(path.name.split(".")[1]) for path in node.directory.glob("table.*")]
