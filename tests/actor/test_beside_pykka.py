"""Plain Pykka actors and actorlab's hold each other's references and proxies, and talk both ways."""

from __future__ import annotations

import asyncio

import pykka
import pytest

import actorlab as al


class Part:
    pykka_traversable = True

    def __init__(self):
        self.volume = 3

    def louder(self, by):
        self.volume += by
        return self.volume


class Methods:
    kind = "class attribute"

    def __init__(self, friend=None):
        super().__init__()
        self.friend = friend
        self.n = 5
        self.part = Part()

    def add(self, k):
        self.n += k
        return self.n

    def on_receive(self, message):
        return (type(self).__name__, message)

    def ask_friend(self, message):
        return self.friend.ask(message)

    def add_by_proxy(self, k):
        proxy = self.friend.proxy()
        proxy.n = 10
        return proxy.add(k).get(), proxy.n.get(), proxy.part.louder(1).get()

    def meet(self, friend):
        self.friend = friend

    def there_and_back(self):
        """Ask the friend, who asks somebody else."""
        return self.friend.proxy().ask_friend("hello").get()

    def wrong(self):
        raise ValueError("wrong")

    def grow(self):
        self.late = "grown"


class Plain(Methods, pykka.ThreadingActor):
    pass


class Ours(Methods, al.ProcessActor):
    pass


class Light(Methods, al.Actor):
    pass


@pytest.fixture
def plain(node):
    ref = Plain.start()
    yield ref
    ref.stop()


@pytest.fixture(params=[Ours, Light])
def ours(request, node, plain):
    return node.spawn(request.param, plain)


def test_a_plain_actor_asks_one_of_ours(plain, ours):
    plain.proxy().meet(ours).get(timeout=30)
    assert plain.proxy().ask_friend("x").get(timeout=30) == (ours.actor_class.__name__, "x")


def test_one_of_ours_asks_a_plain_actor(ours):
    assert ours.call.ask_friend("x") == ("Plain", "x")


def test_a_plain_actor_uses_a_proxy_of_one_of_ours(plain, ours):
    plain.proxy().meet(ours).get(timeout=30)
    assert plain.proxy().add_by_proxy(2).get(timeout=30) == (12, 12, 4)


def test_one_of_ours_uses_a_proxy_of_a_plain_actor(ours):
    assert ours.call.add_by_proxy(2) == (12, 12, 4)


def test_tells_go_both_ways_and_errors_come_back(plain, ours):
    plain.proxy().meet(ours).get(timeout=30)
    plain.tell("x")
    ours.tell("x")
    with pytest.raises(ValueError, match="wrong"):
        ours.proxy().wrong().get(timeout=30)
    with pytest.raises(ValueError, match="wrong"):
        plain.proxy().wrong().get(timeout=30)


def test_a_question_goes_there_and_back_through_blocking_actors(node, plain):
    ours, third = node.spawn(Ours, plain), node.spawn(Ours)
    plain.proxy().meet(third).get(timeout=30)
    assert ours.call.there_and_back() == ("Ours", "hello")


def test_a_plain_actor_asked_from_our_loop_may_ask_another_of_ours_that_has_a_thread(node, plain):
    # the light actor holds the loop meanwhile: what answers must not need it
    light = node.spawn(Light, plain)
    assert light.call.ask_friend("x") == ("Plain", "x")


def test_start_of_a_class_is_pykkas_spelling(node):
    ref = Ours.start()
    assert isinstance(ref, pykka.ActorRef)
    assert ref in pykka.ActorRegistry.get_all()
    assert ref.stop()
    assert ref not in pykka.ActorRegistry.get_all()


def test_pykkas_registry_stops_both_kinds(node, plain):
    ours = node.spawn(Ours)
    pykka.ActorRegistry.stop_all()
    assert not ours.is_alive()
    assert not plain.is_alive()


def test_a_plain_actors_inbox_and_ours_take_each_others_envelopes(node, plain):
    from pykka import _envelope

    ours = node.spawn(Ours)
    future = pykka.ThreadingFuture()
    ours.actor_inbox.put(_envelope.Envelope("x", reply_to=future))
    assert future.get(timeout=30) == ("Ours", "x")


def test_a_killed_process_actor_leaves_pykkas_registry(node):
    ours = node.spawn(Ours)
    ours.exit("kill")
    node.wait_idle()
    assert ours not in pykka.ActorRegistry.get_all()


def test_proxies_of_ours_can_be_awaited(node):
    ours = node.spawn(Ours)

    async def main():
        proxy = ours.proxy()
        return await proxy.add(1), await proxy.n, await proxy.part.louder(2)

    assert asyncio.run(main()) == (6, 6, 5)


# -- actors in another process


@pytest.fixture(scope="module")
def workers():
    with al.Node(workers=1) as node:
        node.spawn(Light, placement="local").stop()  # so that this process's kernel is there from the start
        yield node


@pytest.mark.process
def test_a_proxy_of_an_actor_in_a_worker_finds_what_is_there(workers):
    proxy = workers.spawn(Ours).proxy()
    assert proxy.add(2).get(timeout=30) == 7
    assert proxy.kind.get(timeout=30) == "class attribute"
    assert proxy.part.louder(2).get(timeout=30) == 5
    assert proxy.part.volume.get(timeout=30) == 5
    proxy.n = 1
    assert proxy.n.get(timeout=30) == 1
    assert "add" in dir(proxy)


@pytest.mark.process
def test_a_proxy_of_an_actor_in_a_worker_sees_attributes_that_come_later(workers):
    proxy = workers.spawn(Ours).proxy()
    with pytest.raises(AttributeError, match="no attribute 'late'"):
        proxy.late  # noqa: B018
    proxy.grow().get(timeout=30)
    assert proxy.late.get(timeout=30) == "grown"


@pytest.mark.process
def test_a_proxy_of_an_actor_in_a_worker_that_is_gone_is_refused(workers):
    ref = workers.spawn(Ours)
    ref.stop()
    with pytest.raises(pykka.ActorDeadError, match="not found"):
        ref.proxy()


@pytest.mark.process
def test_an_async_handler_may_use_a_proxy_of_an_actor_in_a_worker(workers):
    class Local(al.Actor):
        async def go(self, ref):
            return await ref.proxy().add(1)

    assert workers.spawn(Local, placement="local").call.go(workers.spawn(Ours)) == 6


@pytest.mark.process
def test_a_plain_actor_talks_to_one_in_a_worker(workers):
    plain = Plain.start(workers.spawn(Ours))
    assert plain.proxy().add_by_proxy(2).get(timeout=30) == (12, 12, 4)
    plain.stop()


@pytest.mark.process
def test_an_actor_in_a_worker_is_dead_when_its_callers_hear_of_its_crash(workers):
    for _ in range(20):
        ref = workers.spawn(Light)
        with pytest.raises(ValueError, match="wrong"):
            ref.call.wrong()
        assert not ref.is_alive()
