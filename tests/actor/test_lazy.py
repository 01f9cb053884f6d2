"""Lazy values: built once in a process, by whoever asks first, and gone with the last who has them."""

from __future__ import annotations

import gc
import os
import pickle
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import actorlab as al
from actorlab.actor import lazy_rows

Eventually = Callable[..., None]


class Index:
    """What a build makes; can be weakly referenced."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts


class Gate:
    """What the builds of one test do, as it says: how often, when they may end, and how."""

    def __init__(self) -> None:
        self.built: Counter[Any] = Counter()
        self.began = threading.Semaphore(0)
        self.open = threading.Event()
        self.open.set()
        self.error: BaseException | None = None
        self.threads: set[int] = set()

    def pass_through(self, what: Any) -> None:
        self.built[what] += 1
        self.threads.add(threading.get_ident())
        self.began.release()
        assert self.open.wait(30)
        if self.error is not None:
            raise self.error


GATE = Gate()


@pytest.fixture(autouse=True)
def gate(eventually: Eventually) -> Iterator[Gate]:
    GATE.__init__()  # type: ignore[misc]
    yield GATE
    GATE.open.set()
    gc.collect()
    eventually(lambda: lazy_rows() == [])  # the thread that built may not quite have let go


def build(*parts: Any) -> Index:
    GATE.pass_through(parts if parts != ([1],) else "list")
    return Index(*parts)


def build_list(*parts: Any) -> list[Any]:
    GATE.pass_through(parts)
    return list(parts)


def waiting_for_build() -> list[Any]:
    """Return who waits for the one build that is under way."""
    (future,) = (one for one in gc.get_objects() if type(one) is al.Future and one.what == "lazy build")
    return list(future._waiters)


class User(al.Actor):
    reply_errors = (ZeroDivisionError, al.CallTimeout, al.BlockingCall)

    def __init__(self, recipe: Any) -> None:
        self.index = recipe

    def use(self, timeout_s: float | None = None) -> int:
        return id(self.index.get(timeout_s))

    async def use_async(self) -> int:
        return id(await self.index)

    async def use_wrongly(self) -> int:
        return id(self.index.get())

    def let_go(self) -> None:
        self.index.release()

    def tie_a_knot(self) -> None:
        self.me = self

    def boom(self) -> None:
        raise ValueError("boom")


class BlockingUser(User):
    blocking = True


def test_nothing_is_built_before_it_is_asked_for(gate: Gate) -> None:
    recipe = al.lazy(build, 1)
    assert (recipe.is_built, gate.built) == (False, {})
    assert recipe.get().parts == (1,)
    assert recipe.is_built


def test_all_who_ask_get_the_same_object(gate: Gate) -> None:
    one, other = al.lazy(build, 1), al.lazy(build, 1)
    assert one == other and hash(one) == hash(other)
    assert one.get() is other.get() is one.get()
    assert gate.built == {(1,): 1}


def test_a_recipe_travels_without_the_value(gate: Gate) -> None:
    recipe = al.lazy(build, 1, 2)
    value = recipe.get()
    copy = pickle.loads(pickle.dumps(recipe))
    assert copy == recipe
    assert len(pickle.dumps(recipe)) < 200
    recipe.release()
    assert [row.holders for row in lazy_rows()] in ([], [0])
    assert copy.get() is value


@pytest.mark.parametrize("make", [build, build_list])
def test_the_value_goes_with_the_last_recipe_that_got_it(
    gate: Gate, eventually: Eventually, make: Callable[..., Any]
) -> None:
    one, other = al.lazy(make, 1), al.lazy(make, 1)
    one.get(), other.get()
    del one
    assert other.is_built
    del other
    eventually(lambda: not al.lazy(make, 1).is_built)
    al.lazy(make, 1).get()
    assert gate.built == {(1,): 2}


def test_who_keeps_only_the_value_keeps_it_for_all(eventually: Eventually) -> None:
    value = al.lazy(build, 1).get()
    assert al.lazy(build, 1).get() is value
    gone = weakref.ref(value)
    del value
    eventually(lambda: gone() is None)


def test_release_lets_go_and_get_takes_it_again(gate: Gate, eventually: Eventually) -> None:
    recipe = al.lazy(build_list, 1)
    assert recipe.get() == [1]
    recipe.release()
    eventually(lambda: not recipe.is_built)
    assert recipe.get() == [1]
    assert gate.built == {(1,): 2}


def test_different_arguments_and_types_are_different_values() -> None:
    recipes = [*(al.lazy(build, argument) for argument in (1, True, 1.0, "1")), al.lazy(build_list, 1)]
    assert len({id(recipe.get()) for recipe in recipes}) == 5


@pytest.mark.parametrize("nameless", [lambda: Index(), Index(1).__init__])
def test_a_function_without_a_name_needs_one(nameless: Any) -> None:
    with pytest.raises(TypeError, match="named"):
        al.lazy(nameless).get()


def test_an_unhashable_argument_needs_a_name() -> None:
    with pytest.raises(TypeError, match=r"unhashable.*named"):
        al.lazy(build, [1]).get()
    one, other = al.lazy(build, [1]).named("a"), al.lazy(lambda: None).named("a")
    assert one.get() is other.get()


def test_threads_that_ask_at_once_wait_for_one_build(gate: Gate, eventually: Eventually) -> None:
    gate.open.clear()
    got: list[Index] = []
    recipes = [al.lazy(build, 1) for _ in range(8)]
    threads = [threading.Thread(target=lambda recipe=recipe: got.append(recipe.get())) for recipe in recipes]
    for thread in threads:
        thread.start()
    assert gate.began.acquire(timeout=30)
    assert [(row.built, row.holders) for row in lazy_rows()] == [(False, 0)]
    gate.open.set()
    for thread in threads:
        thread.join(30)
    assert len(set(map(id, got))) == 1 and len(got) == 8
    assert gate.built == {(1,): 1}
    assert [(row.what, row.built, row.holders, row.actors) for row in lazy_rows()] == [("lazy build", True, 8, ())]


def test_keys_do_not_wait_for_each_other(gate: Gate) -> None:
    slow = al.lazy(build, "slow")
    gate.open.clear()
    thread = threading.Thread(target=slow.get)
    thread.start()
    assert gate.began.acquire(timeout=30)
    quick = al.lazy(Index, "quick").get()
    assert quick.parts == ("quick",)
    assert not slow.is_built
    gate.open.set()
    thread.join(30)


def test_a_build_that_raises_raises_for_all_and_may_be_tried_again(
    node: al.Node, gate: Gate, eventually: Eventually
) -> None:
    gate.open.clear()
    gate.error = ZeroDivisionError("no index")
    users = [node.spawn(kind, al.lazy(build, 1)) for kind in (User, User, User, BlockingUser)]
    answers = [users[0].request.use_async()] + [user.request.use() for user in users[1:]]
    assert gate.began.acquire(timeout=30)
    eventually(lambda: len(waiting_for_build()) == 4)
    gate.open.set()
    for answer in answers:
        with pytest.raises(ZeroDivisionError, match="no index"):
            answer.get(timeout=30)
    assert gate.built == {(1,): 1}
    gate.error = None
    assert len({user.call.use() for user in users}) == 1
    assert gate.built == {(1,): 2}


def test_a_parked_handler_lets_others_run(node: al.Node, gate: Gate) -> None:
    gate.open.clear()
    users = [node.spawn(kind, al.lazy(build, 1)) for kind in (User, User, BlockingUser)]
    waiting = [users[0].request.use(), users[1].request.use_async(), users[2].request.use()]
    assert gate.began.acquire(timeout=30)
    other = node.spawn(User, al.lazy(build_list))
    other.call.let_go()  # the kernel's thread is free
    assert not any(answer.state for answer in waiting)
    gate.open.set()
    assert len({answer.get(timeout=30) for answer in waiting}) == 1
    assert gate.built == {(1,): 1}
    assert not gate.threads & set(node.runtime.kernels)
    assert [(row.holders, row.actors) for row in lazy_rows()] == [(3, ("BlockingUser", "User", "User"))]


def test_a_blocking_get_in_an_async_handler_is_refused_with_advice(node: al.Node, gate: Gate) -> None:
    user = node.spawn(User, al.lazy(build, 1))
    with pytest.raises(al.BlockingCall, match="await lazy"):
        user.call.use_wrongly()
    assert not gate.built
    assert user.call.use_async() == user.call.use_wrongly()  # what is built can be had anywhere


def test_who_waits_may_give_up_and_the_build_goes_on(node: al.Node, gate: Gate, eventually: Eventually) -> None:
    gate.open.clear()
    user = node.spawn(User, al.lazy(build, 1))
    with pytest.raises(al.CallTimeout):
        user.call.use(0.01)
    late = user.request.use()
    eventually(lambda: waiting_for_build())  # else what nobody waits for is dropped when it is built
    gate.open.set()
    late.get(timeout=30)
    assert gate.built == {(1,): 1}


def test_what_nobody_waits_for_any_more_is_dropped(gate: Gate, eventually: Eventually) -> None:
    gate.open.clear()
    with pytest.raises(al.CallTimeout):
        al.lazy(build, 1).get(0.01)
    gate.open.set()
    eventually(lambda: lazy_rows() == [])


@pytest.mark.parametrize("kind", [User, BlockingUser])
@pytest.mark.parametrize("end", ["stop", "crash", "kill"])
def test_an_actor_that_ends_lets_go_even_as_part_of_a_cycle(
    node: al.Node, gate: Gate, eventually: Eventually, kind: type[User], end: str
) -> None:
    users = [node.spawn(kind, al.lazy(build_list, 1)) for _ in range(3)]
    for user in users:
        user.call.use()
        user.call.tie_a_knot()
    gc.disable()
    try:
        for left, user in zip((2, 1, 0), users, strict=True):
            assert [row.holders for row in lazy_rows()] == [left + 1]
            if end == "stop":
                user.stop()
            elif end == "crash":
                user.cast.boom()
            else:
                node.runtime.signal(user.address, ("exit", user.address, 0, "kill", "exit"))
            eventually(lambda left=left: sum(row.holders for row in lazy_rows()) == left)
        assert not al.lazy(build_list, 1).is_built
    finally:
        gc.enable()


def build_two(first: Any) -> Any:
    return Index(al.lazy(build, first).get())


def build_itself() -> Any:
    return al.lazy(build_itself).get()


def build_a() -> Any:
    GATE.pass_through("a")
    return al.lazy(build_b).get()


def build_b() -> Any:
    GATE.pass_through("b")
    return al.lazy(build_a).get()


def test_one_value_may_need_another(gate: Gate) -> None:
    assert al.lazy(build_two, 1).get().parts[0].parts == (1,)


def test_a_value_that_needs_itself_is_refused(gate: Gate) -> None:
    with pytest.raises(RecursionError, match="build_itself"):
        al.lazy(build_itself).get(30)
    with pytest.raises(RecursionError, match="neither"):
        al.lazy(build_a).get(30)


def test_a_forked_child_builds_for_itself_what_its_parent_was_building(gate: Gate) -> None:
    done = al.lazy(build, "done")
    value = done.get()
    assert gate.began.acquire(timeout=30)
    gate.open.clear()
    thread = threading.Thread(target=al.lazy(build, "under way").get)
    thread.start()
    assert gate.began.acquire(timeout=30)
    pid = os.fork()
    if pid == 0:
        try:
            GATE.open = threading.Event()
            GATE.open.set()
            ours = al.lazy(build, "under way").get(30)
            os._exit(0 if ours.parts == ("under way",) and done.get() is value else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    gate.open.set()
    thread.join(30)


def test_where_no_thread_can_begin_whoever_asks_next_tries_again(monkeypatch):
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    recipe = al.lazy(build, 1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError) as refused:
            recipe.get()
    assert recipe.get(timeout_s=20).parts == (1,)
    assert refused  # what it was refused with has been kept until here
