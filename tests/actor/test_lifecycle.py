"""Lives of actors: the handshake of a start, the hooks, what each kind of end runs, and what an end leaves behind."""

from __future__ import annotations

import logging
import queue
import threading

import pykka
import pytest

import actorlab as al
from actorlab.ids import LOCAL_HOME


class Diary(al.Actor):
    """Writes down which hooks run, with the exit reason it sees."""

    def __init__(self, seen):
        self._seen = seen
        self._seen.put("init")

    def on_start(self):
        self._seen.put("start")

    def on_stop(self):
        self._seen.put(("stop", self.exit_reason))

    def on_failure(self, exception_type, exception_value, traceback):
        self._seen.put(("failure", exception_type, str(exception_value), str(self.exit_reason)))

    def on_receive(self, message):
        self._seen.put(message)

    def quit(self, reason="normal"):
        self.stop(reason)

    def wrong(self):
        raise ValueError("wrong")

    def tie(self, other):
        self.link(other)

    def wait(self, gate):
        self._seen.put("in")
        gate.get()


class BlockingDiary(Diary):
    blocking = True


def drain(seen):
    found = []
    while True:
        try:
            found.append(seen.get_nowait())
        except queue.Empty:
            return found


@pytest.fixture(params=[Diary, BlockingDiary])
def diary(request, node, seen):
    return node.spawn(request.param, seen)


# -- hooks


def test_a_start_returns_after_init_and_on_start(diary, seen):
    assert drain(seen) == ["init", "start"]
    assert diary.is_alive()


def test_ref_stop_ends_after_the_messages_before_it_and_runs_on_stop(diary, seen):
    for n in range(3):
        diary.tell(n)
    assert diary.stop() is True
    assert drain(seen)[2:] == [0, 1, 2, ("stop", "normal")]
    assert not diary.is_alive()
    assert diary.stop() is False


def test_self_stop_ends_before_the_next_message(node, diary, seen, settled):
    gate = al.Future()
    diary.request.wait(gate)
    wait_in(seen)
    diary.cast.quit(("shutdown", "done"))
    diary.tell("too late")
    gate.set(None)
    settled()
    assert drain(seen) == [("stop", ("shutdown", "done"))]
    assert [(letter.message, letter.reason) for letter in node.dead_letters] == [("tell 'too late'", "stopped")]


def test_an_exception_runs_on_failure_and_not_on_stop(diary, seen, settled):
    with pytest.raises(ValueError, match="wrong"):
        diary.call.wrong()
    settled()
    assert drain(seen)[2:] == [("failure", ValueError, "wrong", "crashed: ValueError: wrong")]


def test_an_exception_of_an_async_handler_runs_on_failure_too(node, seen, settled):
    class Slow(Diary):
        async def wrong(self):
            raise ValueError("slowly")

    ref = node.spawn(Slow, seen)
    with pytest.raises(ValueError, match="slowly"):
        ref.call.wrong()
    settled()
    assert drain(seen)[2:] == [("failure", ValueError, "slowly", "crashed: ValueError: slowly")]
    assert not node.runtime.kernels[LOCAL_HOME].cells


def test_an_exit_signal_runs_on_stop_with_its_reason(diary, seen, settled):
    diary.exit("shutdown")
    settled()
    assert drain(seen)[2:] == [("stop", "shutdown")]


def test_a_linked_exit_runs_on_stop_with_the_reason_of_the_other(node, diary, seen, keeper, settled):
    diary.call.tie(keeper)
    with pytest.raises(ValueError, match="boom"):
        keeper.call.boom()
    settled()
    assert [(what, str(why)) for what, why in drain(seen)[2:]] == [("stop", "crashed: ValueError: boom")]


def test_a_kill_runs_no_hook(diary, seen, settled):
    diary.exit("kill")
    settled()
    assert drain(seen)[2:] == []
    assert not diary.is_alive()


def test_hooks_may_be_coroutines(node, seen, settled):
    class Slow(al.Actor):
        async def on_start(self):
            seen.put("start")

        async def on_stop(self):
            seen.put("stop")

        async def on_failure(self, *error):
            seen.put("failure")

        def wrong(self):
            raise ValueError

    node.spawn(Slow).stop()
    with pytest.raises(ValueError):
        node.spawn(Slow).call.wrong()
    settled()
    assert drain(seen) == ["start", "stop", "start", "failure"]


def test_a_process_actors_hooks_may_be_coroutines(node, seen):
    class Slow(al.ProcessActor):
        async def on_stop(self):
            seen.put("stop")

    node.spawn(Slow).stop()
    assert drain(seen) == ["stop"]


def test_a_hook_that_fails_is_logged_and_the_actor_ends_all_the_same(node, caplog, settled):
    class Wrong(al.Actor):
        def on_stop(self):
            raise ValueError("in the hook")

    ref = node.spawn(Wrong)
    with caplog.at_level(logging.ERROR):
        assert ref.stop() is True
    assert not ref.is_alive()
    assert "crashed handling on_stop" in caplog.text


def test_a_stop_always_gets_in(node, seen, settled):
    gate = al.Future()
    diary = node.spawn(Diary, seen, mailbox=al.Mailbox(capacity=1, overflow="drop_old"))
    waiting = diary.request.wait(gate)
    wait_in(seen)
    diary.tell("first")
    stopped = diary.stop(block=False)
    diary.tell("second")  # drops the first, not the stop
    gate.set(None)
    assert waiting.get(timeout=30) is None
    assert stopped.get(timeout=30) is True
    assert drain(seen) == [("stop", "normal")]
    assert sorted(letter.reason for letter in node.dead_letters) == ["dropped", "stopped"]


# -- the handshake


class Broken(al.Actor):
    def __init__(self, how):
        how(self)


class BrokenBlocker(Broken):
    blocking = True


class Broken2(al.Actor):
    def __init__(self, how):
        self._how = how

    def on_start(self):
        self._how(self)


@pytest.mark.parametrize("kind", [Broken, BrokenBlocker, Broken2])
def test_a_failing_init_raises_start_error_where_it_was_started_and_leaves_nothing(node, kind):
    def fail(_):
        raise ValueError("no luck")

    with pytest.raises(al.StartError, match="no luck"):
        node.spawn(kind, fail, name="unlucky")
    assert node.whereis("unlucky") is None
    assert not node.runtime.kernels[LOCAL_HOME].cells


@pytest.mark.parametrize("kind", [Broken, BrokenBlocker, Broken2])
def test_ignore_is_no_failure_and_gives_none(node, kind):
    def ignore(_):
        raise al.Ignore

    assert node.spawn(kind, ignore, name="idle") is None
    assert node.whereis("idle") is None
    assert not node.runtime.kernels[LOCAL_HOME].cells


@pytest.mark.parametrize("kind", [Broken, Broken2])
def test_init_timeout_kills_what_does_not_get_ready(node, kind):
    gate = al.Future()
    with pytest.raises(al.InitTimeout, match=r"0\.02 s"):
        node.spawn(kind, lambda _: gate.get(), init_timeout_s=0.02, name="late")
    assert node.whereis("late") is None
    assert not node.runtime.kernels[LOCAL_HOME].cells
    gate.set(None)
    node.wait_idle()
    assert not node.runtime.kernels[LOCAL_HOME].cells


def test_init_timeout_lets_a_blocking_init_go_on_for_nobody(node, clock, eventually):
    entered, leave, left = threading.Event(), threading.Event(), threading.Event()
    refused = []

    def block(_):
        entered.set()
        leave.wait(60)
        left.set()

    def spawn():
        with pytest.raises(al.InitTimeout):
            node.spawn(BrokenBlocker, block, init_timeout_s=5.0)
        refused.append(True)

    spawning = threading.Thread(target=spawn)
    spawning.start()
    assert entered.wait(30)
    clock.advance(5.1)
    spawning.join(30)
    assert refused
    leave.set()
    eventually(left.is_set)
    node.wait_idle()
    assert not node.runtime.kernels[LOCAL_HOME].cells


def test_what_a_failing_init_had_tied_is_let_go(node, keeper, seen, settled):
    def tie_then_fail(actor):
        actor.link(keeper)
        actor.send_after(0.0, "never")
        raise ValueError("no luck")

    keeper.call.trap()
    with pytest.raises(al.StartError):
        node.spawn(Broken, tie_then_fail)
    settled()
    (exit_,) = drain(seen)
    assert isinstance(exit_, al.Exit)
    assert "no luck" in str(exit_.reason)


def test_a_name_has_one_owner_and_is_free_again_after_it(node, keeper):
    first = node.spawn(Diary, queue.SimpleQueue(), name="till")
    with pytest.raises(al.NameTaken):
        node.spawn(Diary, queue.SimpleQueue(), name="till")
    assert node.whereis("till") == first
    first.stop()
    assert node.whereis("till") is None
    assert node.spawn(Diary, queue.SimpleQueue(), name="till").name == "till"


def test_an_actor_can_stop_in_init(node, settled):
    ref = node.spawn(Broken, lambda actor: actor.stop())
    settled()
    assert not ref.is_alive()


def test_self_is_whole_in_init(node):
    found = []
    ref = node.spawn(Broken, lambda actor: found.append((actor.ref, actor.actor_urn, actor.node.whereis("x"))))
    assert found == [(ref, ref.actor_urn, None)]


def test_an_actor_may_spawn_in_its_init_and_call_the_child(node):
    class Parent(al.Actor):
        def __init__(self):
            self.child = self.spawn(Child, 3)
            self.n = self.child.call.double()

        def what(self):
            return self.n

    class Child(al.Actor):
        def __init__(self, n):
            self.n = n

        def double(self):
            return 2 * self.n

    assert node.spawn(Parent).call.what() == 6


def test_a_process_actor_whose_on_start_raises_is_started_and_dead(node, caplog):
    class Early(al.ProcessActor):
        def on_start(self):
            raise ValueError("early")

    ref = node.spawn(Early)
    assert not ref.is_alive()
    assert ref.actor_stopped.wait(30)
    assert ref not in pykka.ActorRegistry.get_all()


def test_a_process_actor_whose_init_raises_raises_the_very_exception(node):
    class Early(al.ProcessActor):
        def __init__(self):
            raise KeyError("early")

    with pytest.raises(KeyError, match="early"):
        node.spawn(Early)


# -- kills


class Stubborn(al.Actor):
    def __init__(self, seen):
        self._seen = seen

    def wait(self, gate):
        self._seen.put("in")
        try:
            gate.get()
        except BaseException as error:
            self._seen.put(type(error).__name__)
            raise

    def wait_twice(self, gate, other):
        self._seen.put("in")
        try:
            gate.get()
        finally:
            self._seen.put("thrown")
            other.get()
            self._seen.put("never")

    def swallow(self, gate):
        self._seen.put("in")
        try:
            gate.get()
        except BaseException:
            self._seen.put("swallowed")
        return "for nobody"

    def call_on(self, ref, gate):
        try:
            ref.call.wait(gate)
        finally:
            self._seen.put("out")

    def on_receive(self, message):
        self._seen.put(message)

    def kill(self, ref):
        self.exit(ref, "kill")
        self._seen.put("still here")


@pytest.fixture
def stubborn(node, seen):
    return node.spawn(Stubborn, seen)


def wait_in(seen):
    """Wait until a handler has begun; what is sent now reaches its kernel when it waits."""
    while seen.get(timeout=30) != "in":
        pass


def test_a_kill_throws_a_waiting_handler_out_once_and_tells_its_caller(node, stubborn, seen, settled):
    gate = al.Future()
    answer = stubborn.request.wait(gate)
    wait_in(seen)
    stubborn.tell("left")
    stubborn.exit("kill")
    with pytest.raises(al.ActorDied) as died:
        answer.get(timeout=30)
    assert died.value.delivery == "unknown"
    settled()
    gate.set(None)
    settled()
    assert drain(seen) == ["Killed"]
    assert sorted(letter.reason for letter in node.dead_letters) == ["crashed_in_flight", "stopped"]


def test_a_killed_handler_that_waits_again_is_abandoned(node, stubborn, seen, settled):
    gate, other = al.Future(), al.Future()
    stubborn.cast.wait_twice(gate, other)
    wait_in(seen)
    stubborn.exit("kill")
    settled()
    gate.set(None)
    other.set(None)
    settled()
    assert drain(seen) == ["thrown"]
    assert node.spawn(Stubborn, seen).stop()


def test_a_killed_handler_that_swallows_it_handles_nothing_more(node, stubborn, seen, settled):
    gate = al.Future()
    answer = stubborn.request.swallow(gate)
    wait_in(seen)
    stubborn.tell("left")
    stubborn.exit("kill")
    settled()
    assert drain(seen) == ["swallowed"]
    with pytest.raises(al.ActorDied):
        answer.get(timeout=30)


def test_a_killed_caller_leaves_its_callee_alone(node, stubborn, seen, settled):
    gate, callee = al.Future(), node.spawn(Stubborn, seen)
    answer = stubborn.request.call_on(callee, gate)
    wait_in(seen)
    stubborn.exit("kill")
    with pytest.raises(al.ActorDied):
        answer.get(timeout=30)
    gate.set(None)
    settled()
    assert drain(seen) == ["out"]
    assert callee.is_alive()


def test_an_actor_that_kills_itself_goes_no_further(node, stubborn, seen, settled):
    answer = stubborn.request.kill(stubborn)
    with pytest.raises(al.ActorDied):
        answer.get(timeout=30)
    settled()
    assert drain(seen) == []
    assert not stubborn.is_alive()


def test_a_callee_that_kills_its_caller_goes_on(node, seen, settled):
    class Caller(al.Actor):
        def ask_for_it(self, killer):
            try:
                killer.call.kill(self.ref)
            finally:
                seen.put("caller out")

    killer, caller = node.spawn(Stubborn, seen), node.spawn(Caller)
    with pytest.raises(al.ActorDied):
        caller.request.ask_for_it(killer).get(timeout=30)
    settled()
    assert sorted(drain(seen)) == ["caller out", "still here"]
    assert killer.is_alive()
    assert not caller.is_alive()


def test_an_async_handler_is_cancelled_by_a_kill(node, seen, settled):
    class Patient(al.Actor):
        async def wait(self, gate):
            seen.put("in")
            try:
                await gate
            except BaseException as error:
                seen.put(type(error).__name__)
                raise

    ref = node.spawn(Patient)
    answer = ref.request.wait(al.Future())
    wait_in(seen)
    ref.exit("kill")
    with pytest.raises(al.ActorDied):
        answer.get(timeout=30)
    settled()
    assert drain(seen) == ["CancelledError"]


def test_a_blocking_actor_that_is_killed_goes_on_for_nobody(node, seen, eventually):
    class Blocker(al.Actor):
        blocking = True

        def wait(self, entered, leave):
            entered.set()
            leave.wait(30)
            seen.put("left")
            return "for nobody"

        def on_receive(self, message):
            seen.put(message)

    ref = node.spawn(Blocker)
    entered, leave = threading.Event(), threading.Event()
    answer = ref.request.wait(entered, leave)
    assert entered.wait(30)
    ref.tell("left over")
    ref.exit("kill")
    with pytest.raises(al.ActorDied):
        answer.get(timeout=30)
    assert not ref.is_alive()
    leave.set()
    assert seen.get(timeout=30) == "left"
    node.wait_idle()
    assert drain(seen) == []


def test_a_nodes_stop_ends_a_handler_that_never_returns(seen):
    with al.Node(workers=0, stop_timeout_s=0.05) as node:
        node.spawn(Stubborn, seen).cast.wait(al.Future())
        wait_in(seen)
    assert seen.get(timeout=30) == "Killed"
    assert drain(seen) == []
