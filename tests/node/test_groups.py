"""Groups, topics, selections and listeners in a node of several processes, through every kind of death."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from group_drill import Member, Searcher
from naming_drill import open_all_lanes

import actorlab as al
from actorlab.errors import InvalidMetadata, InvalidName

pytestmark = pytest.mark.process

Eventually = Callable[..., None]


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with al.Node(workers=2) as node:
        open_all_lanes(node)
        yield node


@pytest.fixture(scope="module")
def embedded() -> Iterator[al.Node]:
    with al.Node(workers=0) as node:
        yield node


@pytest.fixture(params=["workers", "embedded"])
def any_node(request: pytest.FixtureRequest, node: al.Node, embedded: al.Node) -> Iterator[al.Node]:
    made = node if request.param == "workers" else embedded
    yield made
    for group in made.groups():
        for ref in made.group(group):
            ref.stop()


# -- groups --------------------------------------------------------------------------------------------------------


def test_members_are_seen_in_every_process_in_the_order_of_joining(any_node: al.Node) -> None:
    one, two, three = (any_node.spawn(Member) for _ in range(3))
    team = any_node.group("team")
    assert team.join(two, one) == 2
    assert three.call.join("team", {"tier": 3}) == 1
    assert team.members() == list(team) == [two, one, three]
    assert one.call.members("team") == three.call.members("team") == [two, one, three]
    assert (len(team), one in team, any_node.groups()) == (3, True, ["team"])
    assert three.call.leave("team") == 1
    assert two.call.members("team") == [two, one]
    assert team.leave(one, three) == 1


def test_local_members_are_those_of_the_process_that_asks(node: al.Node) -> None:
    here, there = node.spawn(Member, placement=1), node.spawn(Member, placement=2)
    node.group("team").join(here, there)
    assert here.call.members("team", True) == [here]
    assert there.call.members("team", True) == [there]
    assert node.group("team").members(local=True) == []
    here.stop()
    there.stop()


def test_each_member_has_metadata_of_its_own(any_node: al.Node) -> None:
    one, two = any_node.spawn(Member), any_node.spawn(Member)
    team = any_node.group("team")
    team.join(one, metadata={"tier": 1})
    team.join(two)
    assert team.join(one, metadata={"tier": 2}) == 0
    assert team.entries() == [(one, {"tier": 2}), (two, {})]


def test_a_dispatch_reaches_every_member_and_passes_over_the_dead(any_node: al.Node) -> None:
    refs = [any_node.spawn(Member) for _ in range(4)]
    team = any_node.group("team")
    team.join(*refs)
    assert team.cast.hear("go", again=1) == 4
    assert team.tell("come") == 4
    for ref in refs:
        assert ref.call.take_heard() == [("go", 1), "come"]


def test_death_takes_an_actor_out_of_every_group(any_node: al.Node, eventually: Eventually) -> None:
    ends: list[Callable[[al.ActorRef[Any]], object]] = [lambda ref: ref.stop(), lambda ref: ref.cast.crash()]
    for end in ends:
        ref, other = any_node.spawn(Member), any_node.spawn(Member)
        any_node.group("team").join(ref, other)
        any_node.topic("news").subscribe(ref)
        end(ref)
        eventually(lambda ref=ref: ref not in any_node.group("team") and ref not in any_node.topic("news"))
        assert other in any_node.group("team")


def test_the_dead_cannot_join_and_then_nobody_does(any_node: al.Node) -> None:
    ref, gone = any_node.spawn(Member), any_node.spawn(Member)
    gone.stop()
    with pytest.raises(al.ActorDied):
        any_node.group("team").join(ref, gone)
    assert any_node.group("team").members() == []
    ref.stop()


def test_groups_survive_a_workers_death_as_names_do(eventually: Eventually) -> None:
    kept = al.child(Member, name="kept", placement=1)
    own = al.child(Member, "team", name="own", placement=1)
    with al.Node(workers=2, tree=al.Supervisor(children=[kept, own])) as node:
        team, lost, far = node.group("team"), node.spawn(Member, placement=1), node.spawn(Member, placement=2)
        ref, joins_itself = node.find("kept"), node.find("own")
        team.join(ref, lost, far, metadata={"n": 1})
        node.topic("news").subscribe(ref, lost)
        os.kill(node.workers[0].pid, signal.SIGKILL)
        eventually(lambda: ref.incarnation == 1 and joins_itself.incarnation == 1 and lost not in team)
        assert set(team.members()) == {ref, far, joins_itself}
        assert dict(team.entries())[ref] == {"n": 1}
        assert set(ref.within(20).call.members("team")) == {ref, far, joins_itself}
        assert node.topic("news").publish("still there") == 1
        assert ref.call.take_heard() == [al.Published("news", "still there")]
        assert far.call.publish("news", "from afar") == 1


def test_bad_names_and_metadata_are_refused(any_node: al.Node) -> None:
    ref = any_node.spawn(Member)
    with pytest.raises(InvalidName):
        any_node.group("")
    with pytest.raises(InvalidMetadata):
        any_node.group("team").join(ref, metadata=[1])  # type: ignore[arg-type]
    with pytest.raises(InvalidMetadata):
        ref.call.join("team", {"f": b"x" * 5000})
    assert any_node.groups() == []
    ref.stop()


# -- topics --------------------------------------------------------------------------------------------------------


def test_what_is_published_reaches_every_subscriber_once_and_in_order(any_node: al.Node) -> None:
    refs = [any_node.spawn(Member) for _ in range(4)]
    for ref in refs:
        assert ref.call.subscribe("news") == 1
    assert refs[0].call.subscribe("news") == 0
    topic = any_node.topic("news")
    for n in range(20):
        assert topic.publish(n, skip=refs[3]) == 3
    for ref in refs[:3]:
        assert ref.call.take_heard() == [al.Published("news", n) for n in range(20)]
    assert refs[3].call.take_heard() == []
    assert topic.unsubscribe(*refs[1:]) == 3
    assert refs[2].call.publish("news", "x") == 1
    for ref in refs:
        ref.stop()


def test_a_subscriber_that_takes_no_more_misses_it_and_holds_nobody_up(any_node: al.Node) -> None:
    deaf = any_node.spawn(Member, mailbox=al.Mailbox(capacity=1, overflow="reject"))
    other = any_node.spawn(Member)
    topic = any_node.topic("news")
    topic.subscribe(deaf, other)
    reached = [topic.publish(n) for n in range(200)]
    heard = other.call.take_heard()
    assert [published.message for published in heard] == list(range(200))
    assert set(reached) <= {1, 2}
    deaf.stop()
    other.stop()


# -- selection -----------------------------------------------------------------------------------------------------


def test_actors_are_selected_by_what_their_names_say_in_every_process(any_node: al.Node) -> None:
    one = any_node.spawn(Searcher, name="one", metadata={"tier": 1, "capabilities": ["plan", "search"]})
    two = any_node.spawn(Member, name="two", metadata={"tier": 1, "capabilities": ["search"]})
    three = any_node.spawn(Member, name="three")
    assert any_node.select(tier=1) == three.call.select(tier=1) == [one, two]
    assert any_node.select(tier=1, capabilities=["search", "plan"]) == [one]
    assert any_node.select(Searcher) == any_node.select(Searcher, tier=1) == [one]
    assert three.call.describe("two", {"tier": 2, "note": "x"}) == {"tier": 2, "capabilities": ["search"], "note": "x"}
    assert three.call.select(tier=2) == any_node.select(tier=2) == [two]
    assert any_node.update_metadata("nobody", {"tier": 2}) is None
    for ref in (one, two, three):
        ref.stop()
    assert any_node.select(tier=1) == []


def test_a_selection_that_finds_too_few_says_what_was_searched(any_node: al.Node) -> None:
    one = any_node.spawn(Member, name="one", metadata={"tier": 1})
    with pytest.raises(al.NothingFound, match=r"at least 1\).*1 with tier=1, 0 with capabilities='fly'"):
        any_node.select(tier=1, capabilities="fly", at_least=1)
    with pytest.raises(al.SpecError, match="no index over 'colour', only over capabilities, class, tier"):
        any_node.select(colour="red")
    with pytest.raises(al.SpecError, match="say what for"):
        any_node.select()
    one.stop()


def test_a_name_that_is_not_found_is_named_with_those_that_come_near(any_node: al.Node) -> None:
    ref = any_node.spawn(Member, name="coordinator")
    assert any_node.find("coordinator") == ref
    with pytest.raises(al.NothingFound, match=r"'cordinator'.*1 names of namespace 'default'.*mean 'coordinator'"):
        any_node.find("cordinator")
    with pytest.raises(al.NothingFound, match="the 0 names of namespace 'shop'"):
        any_node.find(al.via("till", "shop"))
    ref.stop()


def test_a_child_is_selected_by_the_metadata_of_its_specification(eventually: Eventually) -> None:
    child = al.child(Member, name="one", metadata={"tier": 1}, placement=1)
    with al.Node(workers=1, tree=al.Supervisor(children=[child])) as node:
        (one,) = node.select(Member, tier=1)
        os.kill(node.workers[0].pid, signal.SIGKILL)
        eventually(lambda: one.incarnation == 1)
        assert node.select(Member, tier=1) == one.within(20).call.select(tier=1) == [one]


def test_metadata_without_a_name_are_refused(any_node: al.Node) -> None:
    with pytest.raises(al.SpecError, match="metadata: belong to a name"):
        any_node.spawn(Member, metadata={"tier": 1})
    with pytest.raises(al.SpecError, match="metadata: belong to a name"):
        al.child(Member, metadata={"tier": 1})
    with pytest.raises(InvalidMetadata, match="'tier' is indexed"):
        any_node.spawn(Member, name="one", metadata={"tier": {}})
    assert any_node.whereis("one") is None


# -- listeners -----------------------------------------------------------------------------------------------------


def test_a_listener_hears_of_names_and_of_its_group(any_node: al.Node, eventually: Eventually) -> None:
    ears, other = any_node.spawn(Member), any_node.spawn(Member)
    ears.call.listen()
    ears.call.listen("team")
    named = any_node.spawn(Member, name="named", metadata={"tier": 1})
    other.call.join("team", {"n": 1})
    any_node.group("others").join(named)
    named.stop()
    other.stop()
    heard: list[Any] = []
    eventually(lambda: heard.extend(ears.call.take_heard()) or len(heard) >= 4)
    assert heard == [
        al.Registered("named", named, {"tier": 1}),
        al.Joined("team", other, {"n": 1}),
        al.Unregistered("named", named),
        al.Left("team", other),
    ]
    assert any_node.unlisten(ears) is True
    assert any_node.unlisten(ears) is False
    ears.stop()
