"""A worker's death is one incident: what comes back, who is told, and in which order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from recovery_drill import (
    Clerk,
    Mourner,
    Retried,
    Talker,
    answers,
    children_of,
    incarnations,
    is_busy,
    kill_worker,
    open_node,
    replaced,
    trees_that_end,
)

import actorlab as al

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with open_node() as node:
        yield node


@pytest.fixture
def start(node, eventually):
    """Start a tree that ends with the test."""
    yield from trees_that_end(node, eventually)


def one(**keys):
    return al.Supervisor(max_restarts=10, children=[al.child(Clerk, name="one", placement=1, **keys)])


# -- what comes back ------------------------------------------------------------------------------------------------


def test_many_children_of_several_supervisors_are_one_incident_each(start, node, eventually):
    def crew(label, place):
        children = [al.child(Clerk, name=f"{label}{n}", placement=1 + n % 2) for n in range(60)]
        return al.Supervisor(name=label, max_restarts=1, max_seconds=60, children=children, placement=place)

    sup = start(
        al.Supervisor(max_restarts=1, max_seconds=60, children=[crew("x", None), crew("y", 2), crew("z", None)])
    )
    refs = {f"{label}{n}": node.whereis(f"{label}{n}") for label in "xyz" for n in range(60)}
    for ref in refs.values():
        ref.call.add(7)
    kill_worker(node, 1)
    eventually(lambda: all(answers(ref) for ref in refs.values()))
    for name, ref in refs.items():
        assert node.whereis(name) == ref
        died = ref.home == 1
        assert (ref.incarnation, ref.call.add(0)) == ((1, 0) if died else (0, 7))
    assert incarnations(sup) == {"x": 1, "y": 1, "z": 1}


@pytest.mark.parametrize(("strategy", "restarted"), [("rest_for_one", "bcd"), ("one_for_all", "abcd")])
def test_a_group_restarts_from_the_leftmost_that_died(start, node, eventually, strategy, restarted):
    start(
        al.Supervisor(
            strategy=strategy,
            max_restarts=1,
            children=[
                al.child(Clerk, name=name, placement=place) for name, place in zip("abcd", (2, 1, 2, 1), strict=True)
            ],
        )
    )
    refs = {name: node.whereis(name) for name in "abcd"}
    kill_worker(node, 1)
    eventually(lambda: all(refs[name].incarnation == 1 and answers(refs[name]) for name in restarted))
    assert all(ref.incarnation == (name in restarted) for name, ref in refs.items())


def test_what_was_sent_while_nobody_was_there_is_handled_by_the_next_incarnation_in_order(start, node, eventually):
    start(one())
    ref = node.whereis("one")
    talker = node.spawn(Talker, placement=2)
    ref.cast.nap(60)
    eventually(is_busy(node, ref))
    ref.cast.note("before")
    pid = kill_worker(node, 1)
    for n in range(200):
        ref.cast.note(n)
    talker.call.tell_all(ref, ["x", "y", "z"])
    eventually(lambda: len(ref.call.noted()) == 204)
    noted = ref.call.noted()
    assert noted[0] == "before"
    assert [item for item in noted if isinstance(item, int)] == list(range(200))
    assert [item for item in noted if item in ("x", "y", "z")] == ["x", "y", "z"]
    assert ref.incarnation == 1
    eventually(replaced(node, 1, pid))
    talker.stop()


def test_the_message_in_hand_is_dead_lettered_and_its_caller_told(start, node, eventually):
    start(one())
    ref = node.whereis("one")
    letters = []
    end = node.dead_letters.subscribe(lambda letter: letter.address == ref.address and letters.append(letter))
    call = ref.request.nap(60)
    eventually(is_busy(node, ref))
    queued = ref.request.add(1)
    kill_worker(node, 1)
    with pytest.raises(al.ActorDied, match="SIGKILL") as caught:
        call.get(timeout=30)
    assert caught.value.delivery == "unknown"
    assert queued.get(timeout=30) == 1  # it follows its message to the next incarnation
    eventually(lambda: [letter.reason for letter in letters] == ["crashed_in_flight"])
    end()
    eventually(lambda: ref.statistics().dead_lettered == 1)


def test_a_message_that_may_be_tried_again_is(start, node, eventually):
    tree = al.Supervisor(max_restarts=9, children=[al.child(Retried, name="one", placement=1)])
    start(tree)
    ref = node.whereis("one")
    letters = []
    end = node.dead_letters.subscribe(lambda letter: letter.address == ref.address and letters.append(letter))
    poison, after = ref.request.kill_process(), ref.request.add(5)
    with pytest.raises(al.ActorDied) as caught:
        poison.get(timeout=30)
    assert caught.value.delivery == "unknown"
    assert after.get(timeout=30) == 5
    assert ref.incarnation == 3  # the first try and two more
    eventually(lambda: [letter.reason for letter in letters] == ["poison"])
    again = ref.request.kill_process()  # counted anew
    with pytest.raises(al.ActorDied):
        again.get(timeout=30)
    eventually(lambda: ref.incarnation == 6)
    end()


# -- who is told ----------------------------------------------------------------------------------------------------


def test_unsupervised_actors_are_gone_with_their_names(node, eventually):
    ref = node.spawn(Clerk, name="alone", placement=1)
    down = node.monitor(ref)
    busy = ref.request.nap(60)
    eventually(is_busy(node, ref))
    queued = ref.request.add(1)
    pid = kill_worker(node, 1)
    assert str(down.get(timeout=30).reason) == "worker 1 died (SIGKILL)"
    again = node.spawn(Clerk, 5, name="alone", placement=2)  # its name was free when its end was heard
    with pytest.raises(al.ActorDied) as caught:
        busy.get(timeout=30)
    assert caught.value.delivery == "unknown"
    with pytest.raises(al.ActorDied) as caught:
        queued.get(timeout=30)
    assert caught.value.delivery == "never"
    eventually(replaced(node, 1, pid))
    assert not ref.is_alive()
    with pytest.raises(al.ActorDied) as caught:
        ref.call.add(1)
    assert caught.value.delivery == "never"
    assert node.whereis("alone") == again
    again.stop()


def test_a_down_comes_once_and_after_the_dead_ones_messages(start, node, eventually):
    start(one())
    talker = node.spawn(Talker, placement=1)
    mourners = [node.spawn(Mourner, placement=place) for place in (2, "local", 2)]
    for mourner in mourners:
        mourner.call.watch(talker)
        mourner.call.watch(node.whereis("one"))
        mourner.call.tie(talker)
    for mourner in mourners[:-1]:
        talker.call.tell_all(mourner, list(range(300)))
    talker.cast.last_words(mourners[-1], list(range(300)))
    for mourner in mourners:
        eventually(lambda mourner=mourner: len(mourner.call.noted()) >= 303)
        eventually(lambda: answers(node.whereis("one")))
        noted = mourner.call.noted()
        assert noted[:300] == list(range(300))
        assert sorted(kind for kind, _ in noted[300:]) == ["down", "down", "exit"]
        assert {str(reason) for _, reason in noted[300:]} == {"worker 1 died (SIGKILL)"}
        mourner.stop()


def test_an_actor_linked_to_a_dead_one_ends_with_it(node, eventually):
    lost = node.spawn(Clerk, placement=1)
    tied = node.spawn(Mourner, placement=2)
    tied.call.tie(lost, False)
    down = node.monitor(tied)
    pid = kill_worker(node, 1)
    assert str(down.get(timeout=30).reason) == "worker 1 died (SIGKILL)"
    eventually(replaced(node, 1, pid))


@pytest.mark.parametrize("place", [2, "local", None], ids=["another worker", "a local actor", "the user"])
def test_calls_under_way_settle_promptly_wherever_they_came_from(start, node, eventually, place):
    start(one())
    ref, asker = node.whereis("one"), node.spawn(Mourner, placement=place or 2)
    in_hand = asker.request.ask(ref, "nap", 60) if place else ref.request.doze(60)
    eventually(is_busy(node, ref))
    waiting = [node.spawn(Clerk, placement=where).request.ask(ref, "add", 1) for where in (2, "local")]
    waiting.append(ref.request.add(1))
    kill_worker(node, 1)
    with pytest.raises(al.ActorDied, match="SIGKILL") as caught:
        in_hand.get(timeout=30)
    assert caught.value.delivery == ("handled" if place else "unknown")  # the asker's handler ran, and raised
    assert sorted(call.get(timeout=30) for call in waiting) == [1, 2, 3]


# -- how it died ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "args", "why"),
    [
        ("die", (3,), "exit 3"),
        ("die", (0,), "exit 0"),
        ("crash_in_c", (), "SIGSEGV"),
        ("kill_process", (6,), "SIGABRT"),
    ],
)
def test_the_reason_says_how_the_worker_died(start, node, eventually, method, args, why):
    start(one())
    ref = node.whereis("one")
    down = node.monitor(ref)
    with pytest.raises(al.ActorDied) as caught:
        getattr(ref.call, method)(*args)
    assert f"({why})" in str(caught.value)
    assert down.get(timeout=30).reason.why == why
    eventually(lambda: answers(ref))


def test_leaving_python_in_a_handler_is_that_actors_crash_only(start, node, eventually):
    start(one())
    ref, neighbour = node.whereis("one"), node.spawn(Clerk, 3, placement=1)
    pid = ref.call.where()[0]
    with pytest.raises(BaseException, match="7"):
        ref.call.leave_python()
    eventually(lambda: ref.incarnation == 1 and answers(ref))
    assert ref.call.where()[0] == neighbour.call.where()[0] == pid
    assert neighbour.call.add(0) == 3
    neighbour.stop()


def test_a_fork_in_a_handler_harms_nobody(start, node, eventually):
    start(one())
    ref = node.whereis("one")
    pid = ref.call.where()[0]
    assert ref.call.fork_a_child() == 5
    assert ref.call.where()[0] == pid
    assert answers(ref)


# -- supervisors among the dead -------------------------------------------------------------------------------------


def test_a_supervisor_in_a_killed_worker_starts_its_children_anew(start, node, eventually):
    children = [al.child(Clerk, name="near", placement=1), al.child(Clerk, name="far", placement=2)]
    inner = al.Supervisor(name="inner", placement=1, max_restarts=0, children=children)
    sup = start(al.Supervisor(max_restarts=1, children=[inner]))
    boss, near, far = (node.whereis(name) for name in ("inner", "near", "far"))
    down = node.monitor(far)
    kill_worker(node, 1)
    down.get(timeout=30)
    eventually(lambda: all((found := node.whereis(name)) and answers(found) for name in ("near", "far")))
    assert node.whereis("inner") == boss
    assert (boss.incarnation, incarnations(sup)) == (1, {"inner": 2})
    assert far != node.whereis("far")
    assert not far.is_alive()
    assert not near.is_alive()
    assert {child.ref for child in children_of(boss).values()} == {node.whereis("near"), node.whereis("far")}


def test_a_child_that_is_hard_to_stop_does_not_keep_its_name_from_the_next(start, node, eventually):
    inner = al.Supervisor(name="inner", placement=1, children=[al.child(Clerk, name="far", placement=2)])
    start(al.Supervisor(children=[inner]))
    old = node.whereis("far")
    old.cast.nap(60)
    eventually(is_busy(node, old))
    kill_worker(node, 1)
    eventually(lambda: (found := node.whereis("far")) not in (None, old) and answers(found))


def test_two_workers_that_die_together_are_both_replaced(start, node, eventually):
    inner = al.Supervisor(name="inner", placement=1, children=[al.child(Clerk, name="far", placement=2)])
    outer = al.Supervisor(name="outer", placement=2, children=[al.child(Clerk, name="hither", placement=1)])
    start(al.Supervisor(max_restarts=10, children=[inner, outer, al.child(Clerk, name="plain", placement=1)]))
    for _ in range(3):
        pids = [kill_worker(node, number) for number in (1, 2)]
        eventually(lambda pids=pids: not set(pids) & {worker.pid for worker in node.workers})
        eventually(lambda: all((found := node.whereis(name)) and answers(found) for name in ("far", "hither", "plain")))
    assert sorted(children_of(node.whereis("inner"))) == ["far"]

    def tenants():
        return sum(sum(node.runtime.table(home).table.count().values()) for home in (1, 2))

    eventually(lambda: tenants() == 5)  # those that are no longer wanted leave in their own time
