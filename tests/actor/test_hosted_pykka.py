"""Plain Pykka actors, started as they are: in workers, under supervisors, with all that Pykka's references do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pykka
import pytest
from plain_drill import Derived, Plain, Refuses

import actorlab as al
from actorlab.actor import hosted

pytestmark = pytest.mark.process

Eventually = Callable[..., None]


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with al.Node(workers=2, call_timeout_s=20.0) as made:
        yield made


def test_a_plain_actor_runs_in_a_worker_with_asks_tells_and_proxies(node: al.Node) -> None:
    ref: Any = node.spawn(Plain, 5, placement=1)
    assert isinstance(ref, pykka.ActorRef)
    assert ref.ask("hello") == ("heard", "hello")
    proxy = ref.proxy()
    assert proxy.add(2).get() == 7
    assert proxy.n.get() == 7
    proxy.n = 1
    assert (proxy.n.get(), proxy.events.get()) == (1, ["started"])
    assert proxy.pid().get() == node.workers[0].pid
    assert ref.call.add(1) == 2
    assert ref.stop()
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("gone")


def test_pykkas_error_rule_holds(node: al.Node, eventually: Eventually) -> None:
    ref: Any = node.spawn(Plain, placement=2)
    with pytest.raises(ValueError, match="as told"):
        ref.ask("fail")
    assert ref.ask("still here") == ("heard", "still here")
    ref.tell("fail")
    eventually(lambda: not ref.is_alive())


def test_inheritance_and_nested_classes_work_as_they_did(node: al.Node) -> None:
    derived: Any = node.spawn(Derived, 1, placement=1)
    inner: Any = node.spawn(Plain.Inner, placement=2)
    assert derived.proxy().add(1).get() == 20
    assert inner.ask("?") == "inner"
    derived.stop()
    inner.stop()


def test_plain_actors_of_this_process_and_of_workers_talk_both_ways(node: al.Node) -> None:
    here = Plain.start()
    there: Any = node.spawn(Plain, friend=None, placement=1)
    asks: Any = node.spawn(Plain, friend=there, placement=2)
    assert asks.proxy().ask_friend("across").get() == ("heard", "across")
    mine = Plain.start(friend=asks)
    assert mine.proxy().ask_friend("hi").get(timeout=30) == ("heard", "hi")
    for ref in (here, mine, there, asks):
        ref.stop()


def test_a_supervisor_keeps_a_plain_actor_alive_over_its_workers_death(eventually: Eventually) -> None:
    tree = al.Supervisor(children=[al.child(Plain, 5, name="plain", placement=1)])
    with al.Node(workers=1, tree=tree) as node:
        ref: Any = node.find("plain")
        assert ref.proxy().add(1).get() == 6
        ref.proxy().die()
        eventually(lambda: ref.incarnation == 1)
        assert ref.within(30).call.add(1) == 6


def test_a_plain_actor_that_does_not_start_is_told_to_who_starts_it(node: al.Node) -> None:
    with pytest.raises(RuntimeError, match="no"):
        node.spawn(Refuses, placement=1)


def test_what_workers_could_not_import_is_refused(node: al.Node) -> None:
    class Local(pykka.ThreadingActor): ...

    with pytest.raises(al.SpecError, match="put it into a module"):
        node.spawn(Local)  # type: ignore[type-var]
    with pytest.raises(al.SpecError, match="is no actor"):
        node.spawn(int)  # type: ignore[type-var]


def test_our_own_classes_are_what_they_are() -> None:
    class Own(al.Actor): ...

    assert hosted(Own) is Own
    assert hosted(Plain) is hosted(Plain)
    assert issubclass(hosted(Plain), Plain)
