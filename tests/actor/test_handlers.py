"""Handlers: who may call what, what their exceptions do, and what must not leak from one message to the next."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pykka
import pytest

import actorlab as al

PLACE: contextvars.ContextVar[str] = contextvars.ContextVar("place", default="nowhere")


class Refused(Exception):
    pass


class Clerk(al.Actor):
    reply_errors = (Refused,)
    motto = "none"

    def __init__(self, start: int = 0) -> None:
        self.n = start

    def add(self, k: int) -> int:
        self.n += k
        return self.n

    async def slowly(self, k: int) -> int:
        await asyncio.sleep(0)
        return self.n + k

    async def slowly_wrong(self) -> None:
        await asyncio.sleep(0)
        raise ValueError("slowly")

    def on_receive(self, message: object) -> object:
        return ("got", message)

    def refuse(self) -> None:
        raise Refused("not today")

    def wrong(self) -> None:
        raise ValueError("wrong")

    def wrong_type_inside(self) -> None:
        len(5)  # type: ignore[arg-type]

    @staticmethod
    def double(k: int) -> int:
        return 2 * k

    @classmethod
    def named(cls) -> str:
        return cls.__name__

    def _private(self) -> None:
        pass

    def thread(self) -> str:
        return threading.current_thread().name


class Blocker(Clerk):
    blocking = True

    async def thread_of_async(self) -> str:
        await asyncio.sleep(0)
        return threading.current_thread().name


@pytest.fixture(params=[Clerk, Blocker])
def clerk(request, node):
    return node.spawn(request.param, 5)


def test_a_call_returns_what_the_method_returns(clerk):
    assert clerk.call.add(2) == 7


def test_a_request_is_a_future_of_the_result(clerk):
    assert clerk.request.add(2).get(timeout=30) == 7
    assert clerk.request(Clerk.add, 1).get(timeout=30) == 8


def test_a_cast_is_handled_before_a_later_call(clerk):
    clerk.cast.add(1)
    assert clerk.call.add(0) == 6


def test_an_async_handler_answers_like_any_other(clerk):
    assert clerk.call.slowly(1) == 6


def test_an_async_handlers_exception_reaches_the_caller(clerk):
    with pytest.raises(ValueError, match="slowly"):
        clerk.call.slowly_wrong()


def test_static_and_class_methods_can_be_called(clerk):
    assert clerk.call.double(4) == 8
    assert clerk.call.named() in ("Clerk", "Blocker")


def test_tell_and_ask_go_to_on_receive(clerk):
    assert clerk.ask("x") == ("got", "x")


def test_actors_share_the_kernels_thread_and_a_blocking_one_has_its_own(node):
    threads = {node.spawn(Clerk).call.thread(), node.spawn(Clerk).call.thread()}
    assert len(threads) == 1
    assert node.spawn(Blocker).call.thread() not in threads


def test_async_handlers_of_a_blocking_actor_run_on_the_kernels_loop(node):
    assert node.spawn(Blocker).call.thread_of_async() == node.spawn(Clerk).call.thread()


# -- wrong calls harm nobody


@pytest.mark.parametrize(
    ("method", "args"), [("missing", ()), ("add", ()), ("add", (1, 2)), ("double", ()), ("on_stop", ()), ("n", ())]
)
def test_a_wrong_call_settles_with_bad_call_and_harms_nobody(clerk, method, args):
    with pytest.raises(al.BadCall) as refused:
        getattr(clerk.call, method)(*args)
    assert refused.value.delivery == "never"
    with pytest.raises(al.BadCall):
        getattr(clerk.request, method)(*args).get(timeout=30)
    assert clerk.call.add(0) == 5


def test_wrong_arguments_of_a_cast_are_a_dead_letter_and_harm_nobody(node, clerk):
    clerk.cast.add("one", "two")
    assert clerk.call.add(0) == 5
    assert [letter.reason for letter in node.dead_letters] == ["bad_call"]


def test_a_type_error_inside_the_handler_is_no_bad_call(clerk):
    with pytest.raises(TypeError) as error:
        clerk.call.wrong_type_inside()
    assert not isinstance(error.value, al.BadCall)


def test_private_names_are_refused_where_they_are_written(clerk):
    for facade in (clerk.call, clerk.cast, clerk.request):
        with pytest.raises(AttributeError, match="private"):
            facade._private  # noqa: B018


def test_names_that_actors_need_are_refused_at_class_creation():
    for name in ("ref", "node", "spawn", "link", "monitor", "exit", "stop", "send_after", "trap_exit", "actor_ref"):
        with pytest.raises(TypeError, match=name):
            type("Bad", (al.Actor,), {name: lambda self: None})


def test_names_that_actors_need_are_refused_from_a_mixin_too():
    class Mixin:
        def link(self):
            pass

    with pytest.raises(TypeError, match=r"gets from .*Mixin link"):
        type("Bad", (Mixin, al.Actor), {})


@pytest.mark.parametrize("wrong", [{"reply_errors": ValueError}, {"reply_errors": ("x",)}, {"on_restart": "maybe"}])
def test_class_attributes_that_make_no_sense_are_refused_at_class_creation(wrong):
    with pytest.raises(TypeError, match=next(iter(wrong))):
        type("Bad", (al.Actor,), wrong)


def test_instance_attributes_of_any_private_name_do_no_harm(node):
    class Grid(al.Actor):
        def __init__(self):
            self._cell = self._timer = self._mine_too = (1, 2)
            self._timer = self.send_after(60, "never")
            self._other = self.send_after(60, "never")

        def who(self):
            return self.ref

    grid = node.spawn(Grid)
    assert grid.call.who() == grid


def test_an_object_that_nobody_started_says_so():
    with pytest.raises(RuntimeError, match="not started"):
        Clerk().ref  # noqa: B018


# -- exceptions


def test_an_exception_reaches_the_caller_and_the_actor_is_dead_at_once(clerk):
    with pytest.raises(ValueError, match="wrong"):
        clerk.call.wrong()
    assert not clerk.is_alive()
    with pytest.raises(al.ActorDied):
        clerk.call.add(1)


def test_reply_errors_are_answers(clerk):
    with pytest.raises(Refused):
        clerk.call.refuse()
    assert clerk.is_alive()
    assert clerk.call.add(0) == 5


def test_an_exception_after_a_tell_ends_an_actor(node, settled):
    class Fragile(al.Actor):
        def on_receive(self, message):
            raise ValueError(message)

    ref = node.spawn(Fragile)
    ref.tell("x")
    settled()
    assert not ref.is_alive()


def test_a_process_actor_lives_on_after_an_ask_and_ends_after_a_tell(node, settled):
    class Fragile(al.ProcessActor):
        def on_receive(self, message):
            raise ValueError(message)

    ref = node.spawn(Fragile)
    with pytest.raises(ValueError, match="asked"):
        ref.ask("asked")
    assert ref.is_alive()
    ref.tell("told")
    settled()
    assert not ref.is_alive()
    with pytest.raises(pykka.ActorDeadError):
        ref.tell("again")


def test_a_process_actor_that_does_not_block_shares_the_kernels_thread(node):
    class Light(al.ProcessActor):
        blocking = False

        def thread(self):
            return threading.current_thread().name

        def wrong(self):
            raise ValueError("an answer")

    light = node.spawn(Light)
    assert light.call.thread() == node.spawn(Clerk).call.thread()
    with pytest.raises(ValueError, match="an answer"):
        light.call.wrong()
    assert light.is_alive()


# -- contexts


class Nomad(al.Actor):
    def on_start(self):
        PLACE.set("at the start")

    def go(self, place):
        PLACE.set(place)

    def go_wrong(self, place):
        PLACE.set(place)
        raise ValueError(place)

    def go_and_wait(self, place, gate):
        PLACE.set(place)
        gate.get()
        return PLACE.get()

    async def go_slowly(self, place):
        PLACE.set(place)
        await asyncio.sleep(0)
        return PLACE.get()

    def where(self):
        return PLACE.get()

    async def where_slowly(self):
        return PLACE.get()


class Settler(Nomad):
    blocking = True


@pytest.mark.parametrize("kind", [Nomad, Settler])
def test_what_a_handler_sets_in_its_context_is_not_seen_by_the_next_message(node, kind):
    nomad, other = node.spawn(kind), node.spawn(kind)
    assert nomad.call.where() == "nowhere"
    nomad.call.go("Rome")
    assert (nomad.call.where(), other.call.where()) == ("nowhere", "nowhere")
    nomad.cast.go("Oslo")
    assert nomad.call.where() == "nowhere"
    assert nomad.call.go_slowly("Bern") == "Bern"
    assert (nomad.call.where(), nomad.call.where_slowly()) == ("nowhere", "nowhere")


@pytest.mark.parametrize("kind", [Nomad, Settler])
def test_a_context_does_not_leak_from_a_handler_that_raised(node, kind):
    nomads = [node.spawn(kind) for _ in range(3)]
    for nomad in nomads:
        nomad.cast.go_wrong("Hell")
    assert node.spawn(kind).call.where() == "nowhere"


def test_a_handler_that_waited_finds_its_own_context(node):
    gate, nomad, other = al.Future(), node.spawn(Nomad), node.spawn(Nomad)
    answer = nomad.request.go_and_wait("Rome", gate)
    other.call.go("Oslo")
    gate.set(None)
    assert answer.get(timeout=30) == "Rome"


# -- strict messages


def test_strict_messages_are_copies_both_ways():
    class Shop(al.Actor):
        def __init__(self):
            self.stock = []

        def put(self, things):
            self.stock = things
            things.append("seal")
            return self.stock

    with al.Node(workers=0, strict_messages=True) as node:
        shop = node.spawn(Shop)
        mine = ["apple"]
        got = shop.call.put(mine)
        assert (mine, got) == (["apple"], ["apple", "seal"])
        got.append("mine")
        assert shop.call.put(["pear"]) == ["pear", "seal"]


def test_strict_messages_refuse_what_cannot_travel_at_the_sender():
    with al.Node(workers=0, strict_messages=True) as node:
        clerk = node.spawn(Clerk)
        for send in (clerk.tell, clerk.ask, clerk.call.add, clerk.cast.add):
            with pytest.raises(al.NotSendable):
                send(threading.Lock())
        assert clerk.call.add(1) == 1


def test_strict_messages_refuse_a_reply_that_cannot_travel():
    class Shop(al.Actor):
        def lock(self):
            return threading.Lock()

        def here(self):
            return True

    with al.Node(workers=0, strict_messages=True) as node:
        shop = node.spawn(Shop)
        with pytest.raises(al.NotSendable):
            shop.call.lock()
        assert shop.call.here()


def test_messages_of_one_process_go_by_reference_otherwise(node):
    thing = object()
    assert node.spawn(Clerk).ask(thing)[1] is thing


class Leaver(al.Actor):
    def leave(self, error):
        raise error

    async def leave_as_task(self, error):
        raise error

    def here(self):
        return True


@pytest.mark.parametrize("method", ["leave", "leave_as_task"])
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_handler_that_exits_ends_its_actor_and_nobody_elses(node, method, error, settled):
    leaver, other = node.spawn(Leaver), node.spawn(Leaver)
    kernel = node.runtime.kernels[leaver.home]
    with pytest.raises(error):
        getattr(leaver.call, method)(error())
    settled()
    assert not leaver.is_alive()
    assert other.call.here()
    assert kernel.running
