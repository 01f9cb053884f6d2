"""What users write about children is checked before anything runs, and refused by path."""

from __future__ import annotations

import copy
import pickle

import pykka
import pytest

from actorlab.actor import beside
from actorlab.errors import SpecError
from actorlab.supervision import Backoff, ChildSpec, DynamicSupervisor, PartitionSupervisor, Supervisor, child


class Counter(pykka.ThreadingActor):
    pass


class OrderBook(pykka.ThreadingActor):
    pass


def test_positional_and_unknown_keyword_arguments_are_the_actors():
    spec = child(Counter, 5, step=2, name="n", restart="transient")
    assert (spec.args, spec.kwargs, spec.name, spec.restart) == ((5,), {"step": 2}, "n", "transient")


def test_an_argument_that_is_called_like_a_key_goes_through_the_constructor():
    assert ChildSpec(Counter, kwargs={"name": "for the actor"}).name is None


def test_defaults_are_otps():
    spec, top = child(Counter), Supervisor()
    assert (spec.restart, spec.shutdown, spec.significant) == ("permanent", 5.0, False)
    assert (top.strategy, top.max_restarts, top.max_seconds, top.shutdown) == ("one_for_one", 3, 5.0, "infinity")
    assert (top.auto_shutdown, top.placement) == ("never", None)


@pytest.mark.parametrize("actor", [object, Counter.__init__, "Counter", None, int])
def test_a_class_that_is_no_actor_is_refused(actor):
    with pytest.raises(SpecError, match="not a class of actors"):
        child(actor)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"restart": "transiant"}, "child 'c': restart: .*did you mean 'transient'"),
        ({"restart": 1}, "child 'c': restart"),
        ({"shutdown": "brutal"}, "child 'c': shutdown: .*did you mean 'brutal_kill'"),
        ({"shutdown": -1}, "child 'c': shutdown"),
        ({"shutdown": True}, "child 'c': shutdown"),
        ({"significant": True}, "child 'c': significant: a permanent child never ends"),
        ({"significant": 1, "restart": "transient"}, "child 'c': significant"),
        ({"placement": "worker 1"}, "child 'c': placement"),
        ({"placement": 0}, "child 'c': placement"),
        ({"mailbox": 10}, "child 'c': mailbox"),
        ({"init_timeout_s": 0}, "child 'c': init_timeout_s"),
        ({"redeliver": -1}, "child 'c': redeliver"),
        ({"redeliver": 1.5}, "child 'c': redeliver"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused_by_child_and_key(keys, said):
    with pytest.raises(SpecError, match=said):
        child(Counter, name="c", **keys)


@pytest.mark.parametrize("name", ["", 3])
def test_a_name_is_a_text_that_is_not_empty(name):
    with pytest.raises(SpecError, match="name"):
        child(Counter, name=name)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"strategy": "rest_for_on"}, "Supervisor: strategy: .*did you mean 'rest_for_one'"),
        ({"max_restarts": -1}, "Supervisor: max_restarts"),
        ({"max_restarts": 1.5}, "Supervisor: max_restarts"),
        ({"max_seconds": 0}, "Supervisor: max_seconds"),
        ({"auto_shutdown": "any"}, "Supervisor: auto_shutdown: .*did you mean 'any_significant'"),
        ({"restart": "never", "name": "top"}, "Supervisor 'top': restart"),
        ({"placement": "controller"}, "Supervisor: placement"),
        ({"backoff": 1.0}, "Supervisor: backoff"),
        ({"children": child(Counter)}, "Supervisor: children"),
        ({"children": [Counter]}, r"children\[0\] 'child': must be al.child"),
    ],
)
def test_a_supervisors_key_that_makes_no_sense_is_refused_by_name(keys, said):
    with pytest.raises(SpecError, match=said):
        Supervisor(**keys)


def test_children_without_a_name_are_called_after_their_class_and_numbered():
    top = Supervisor(children=[child(Counter), child(OrderBook), child(Counter), child(Counter, name="counter#2")])
    assert top.ids == ("counter", "order_book", "counter#3", "counter#2")


def test_supervisors_without_a_name_are_called_after_what_they_are():
    top = Supervisor(children=[Supervisor(), DynamicSupervisor(), PartitionSupervisor(Counter, partitions=2)])
    assert top.ids == ("supervisor", "dynamic_supervisor", "partition_supervisor")


def test_two_children_of_one_name_are_refused():
    with pytest.raises(SpecError, match=r"children\[1\] 'a': name: is that of children\[0\]"):
        Supervisor(children=[child(Counter, name="a"), DynamicSupervisor("a")])


def test_a_significant_child_needs_a_supervisor_to_whom_it_matters():
    key = child(Counter, name="k", restart="transient", significant=True)
    with pytest.raises(SpecError, match=r"children\[0\] 'k': significant: .*auto_shutdown='never'"):
        Supervisor(children=[key])
    assert Supervisor(children=[key], auto_shutdown="any_significant").children == (key,)


def test_a_place_beside_a_child_must_name_an_earlier_one():
    first, second = child(Counter, name="a"), child(Counter, name="b", placement=beside("a"))
    assert Supervisor(children=[first, second]).ids == ("a", "b")
    with pytest.raises(SpecError, match=r"children\[0\] 'b': placement: beside\('a'\) must name an earlier child"):
        Supervisor(children=[second, first])


def test_a_partition_supervisor_has_numbered_copies_with_the_same_arguments():
    shards = PartitionSupervisor(Counter, 7, partitions=3, name="shards", step=2)
    assert shards.ids == ("0", "1", "2")
    assert [(c.args, c.kwargs) for c in shards.children] == [((7,), {"step": 2})] * 3


def test_a_partition_supervisor_hands_out_the_number_on_request():
    shards = PartitionSupervisor(Counter, partitions=3, with_partition="shard")
    assert [c.kwargs for c in shards.children] == [{"shard": 0}, {"shard": 1}, {"shard": 2}]


def test_the_copies_keys_come_from_a_child_spec():
    shards = PartitionSupervisor(child(Counter, 1, restart="transient"), partitions=2)
    assert [(c.args, c.restart) for c in shards.children] == [((1,), "transient")] * 2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: PartitionSupervisor(Counter, partitions=0), "partitions"),
        (lambda: PartitionSupervisor(Counter, partitions=2, with_partition="1x"), "with_partition"),
        (lambda: PartitionSupervisor(Counter, partitions=2, with_partition="n", n=1), "with_partition"),
        (lambda: PartitionSupervisor(child(Counter), 1, partitions=2), "arguments"),
        (lambda: PartitionSupervisor(child(Counter, name="x"), partitions=2), "name"),
        (lambda: PartitionSupervisor(int, partitions=2), "not a class of actors"),
        (lambda: PartitionSupervisor(Counter, partitions=2, strategy="some_for_one"), "strategy"),
        (lambda: DynamicSupervisor(max_children=-1), "max_children"),
        (lambda: DynamicSupervisor("jobs", max_restarts="3"), "DynamicSupervisor 'jobs': max_restarts"),
    ],
)
def test_partitioned_and_dynamic_keys_are_checked_too(make, said):
    with pytest.raises(SpecError, match=said):
        make()


def test_a_key_goes_to_the_same_copy_in_every_process():
    shards = PartitionSupervisor(Counter, partitions=8)
    assert [shards.partition_of(key) for key in ("alice", "bob", 17)] == [7, 0, 2]
    assert {shards.partition_of(n) for n in range(200)} == set(range(8))


def test_specifications_travel_and_stay_as_they_are():
    top = Supervisor(
        children=[child(Counter, 1), DynamicSupervisor("jobs"), PartitionSupervisor(Counter, partitions=2)],
        backoff=Backoff(first_s=1),
    )
    assert pickle.loads(pickle.dumps(top)) == top == copy.deepcopy(top)
    assert pickle.loads(pickle.dumps(top)).ids == top.ids
    with pytest.raises(AttributeError):
        top.strategy = "one_for_all"
