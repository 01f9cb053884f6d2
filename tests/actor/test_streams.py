"""Streamed replies within one process: in order, never far ahead of their reader, closed when he goes."""

from __future__ import annotations

import asyncio
import gc

import pytest

import actorlab as al
from actorlab.actor import DEAD, signals


class Source(al.Actor):
    def __init__(self):
        self.made = 0
        self.ended = []

    def count(self, n):
        try:
            for i in range(n):
                self.made += 1
                yield i
            return "all"
        finally:
            self.ended.append("count")

    async def acount(self, n, pause_s=0.0):
        try:
            for i in range(n):
                self.made += 1
                await asyncio.sleep(pause_s)
                yield i
        finally:
            self.ended.append("acount")

    async def wait(self, begun):
        try:
            begun.set(None)
            await asyncio.sleep(3600)
            yield "never"
        finally:
            self.ended.append("wait")

    def fail_after(self, n):
        yield from range(n)
        raise ValueError("broken")

    async def afail_after(self, n):
        for i in range(n):
            yield i
        raise ValueError("broken")

    def plain(self):
        return [1, 2]

    def parts(self, gates):
        for gate in gates:
            yield gate.get()

    async def aparts(self, gates):
        for gate in gates:
            yield await gate

    def opened_late(self, begun, gate):
        begun.set(None)
        gate.get(timeout=20)
        return self.count(3)

    def ends_late(self, n, gate):
        yield from range(n)
        gate.get(timeout=20)
        return "late"

    def waits(self, begun, gate):
        try:
            begun.set(None)
            gate.get(timeout=20)
            yield "late"
        finally:
            self.ended.append("waits")

    def open_streams(self):
        return len(self._actorlab_cell.extra.special.streams)

    def made_so_far(self):
        return self.made

    def ends(self):
        return list(self.ended)

    def boom(self):
        raise RuntimeError("boom")


class BlockingSource(Source):
    blocking = True


class ReentrantSource(Source):
    reentrant = True


class Forgiving(Source):
    reply_errors = (ValueError,)


class Reader(al.Actor):
    def read(self, source, method, *args):
        return list(getattr(source.stream, method)(*args))

    async def aread(self, source, method, *args):
        return [item async for item in getattr(source.stream, method)(*args)]

    def read_some(self, source, n):
        for item in source.stream.count(1_000_000):
            if item == n:
                return item

    def hold_stream(self, source):
        self.stream = source.stream.count(1_000_000)
        return next(self.stream)

    def end(self):
        self.stop()


@pytest.fixture(params=[Source, BlockingSource])
def source(request, node):
    return node.spawn(request.param)


METHODS = ["count", "acount"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [0, 1, 7, 5000])
def test_a_thread_reads_all_items_in_order(source, method, n):
    assert list(getattr(source.stream, method)(n)) == list(range(n))


@pytest.mark.parametrize("method", METHODS)
def test_handlers_read_parked_or_as_tasks(node, source, method):
    reader = node.spawn(Reader)
    assert reader.call.read(source, method, 1000) == list(range(1000))
    assert reader.call.aread(source, method, 1000) == list(range(1000))


@pytest.mark.parametrize("method", METHODS)
def test_the_users_loop_reads_without_being_blocked(source, method):
    async def main():
        return [item async for item in getattr(source.stream, method)(1000)]

    assert asyncio.run(main()) == list(range(1000))


def test_a_generators_value_is_there_when_it_is_finished(node):
    stream = node.spawn(Source).stream.count(3)
    assert stream.value is None
    assert list(stream) == [0, 1, 2]
    assert stream.value == "all"


def test_items_can_be_taken_one_by_one(source):
    stream = source.stream.count(3)
    assert [next(stream), next(stream)] == [0, 1]
    assert list(stream) == [2]
    with pytest.raises(StopIteration):
        next(stream)


def test_the_producer_never_runs_far_ahead_of_its_reader(source):
    stream = source.stream.count(1_000_000)
    for _ in range(2000):
        next(stream)
    assert source.call.made_so_far() <= 2000 + 3 * 512
    stream.close()


def test_other_messages_are_handled_between_two_batches(source):
    stream = source.stream.count(100_000)
    next(stream)
    assert source.call.made_so_far() < 100_000
    stream.close()


@pytest.mark.parametrize("method", METHODS)
def test_who_leaves_a_loop_closes_the_generator(source, method, eventually):
    for item in getattr(source.stream, method)(1_000_000):
        if item == 10:
            break
    eventually(lambda: source.call.ends() == [method])


def test_a_stream_that_is_dropped_closes_the_generator(source, eventually):
    stream = source.stream.count(1_000_000)
    next(stream)
    del stream
    gc.collect()
    eventually(lambda: source.call.ends() == ["count"])


def test_an_async_generator_that_waits_is_cancelled_where_it_waits(node, eventually):
    source = node.spawn(Source)

    async def main():
        async for item in source.stream.acount(10, 0.01):
            if item == 1:
                break

    asyncio.run(main())
    gc.collect()
    eventually(lambda: source.call.ends() == ["acount"])
    begun = al.Future()
    endless = source.stream.wait(begun)
    begun.get(timeout=30)
    endless.close()
    eventually(lambda: source.call.ends() == ["acount", "wait"])


def test_a_reader_that_ends_closes_the_generator(node, source, eventually):
    reader = node.spawn(Reader)
    assert reader.call.hold_stream(source) == 0
    reader.stop()
    eventually(lambda: source.call.ends() == ["count"])


def test_a_reader_that_is_killed_closes_the_generator(node, source, eventually):
    reader = node.spawn(Reader)
    assert reader.call.hold_stream(source) == 0
    reader.exit("kill")
    eventually(lambda: source.call.ends() == ["count"])


@pytest.mark.parametrize("method", ["fail_after", "afail_after"])
@pytest.mark.parametrize("n", [0, 1, 3, 600])
def test_an_error_comes_behind_the_items_before_it(node, method, n):
    source = node.spawn(Forgiving)
    got = []
    with pytest.raises(ValueError, match="broken"):
        got.extend(getattr(source.stream, method)(n))
    assert got == list(range(n))
    assert source.call.ends() == []  # it lives: ValueErrors are answers of its


@pytest.mark.parametrize("method", ["fail_after", "afail_after"])
def test_an_error_that_is_no_answer_ends_the_producer_too(node, method):
    source = node.spawn(Source)
    down = node.monitor(source)
    with pytest.raises(ValueError, match="broken"):
        list(getattr(source.stream, method)(2))
    assert "ValueError: broken" in str(down.get(timeout=30).reason)


def test_the_end_of_its_actor_ends_a_stream(source):
    stream = source.stream.count(1_000_000)
    next(stream)
    source.stop()
    with pytest.raises(al.ActorDied):
        list(stream)


def test_the_next_incarnation_knows_nothing_of_the_stream(node):
    tree = al.Supervisor(children=[al.child(Source, name="source", restart="permanent")])
    supervisor = node.start(tree)
    source = node.whereis("source")
    stream = source.stream.count(1_000_000)
    next(stream)
    source.cast.boom()
    with pytest.raises(al.ActorDied, match="incarnation ended"):
        list(stream)
    assert source.call.ends() == []
    supervisor.stop()


@pytest.mark.parametrize("method", ["parts", "aparts"])
def test_what_was_yielded_goes_out_although_the_generator_waits(node, method, eventually):
    """Also when it was fast before, and its batches are large."""
    source = node.spawn(Source)
    gates = [al.Future() for _ in range(60)]
    stream = getattr(source.within(30).stream, method)(gates)
    for gate in gates[:40]:
        gate.set("open")
    assert [next(stream) for _ in range(40)] == ["open"] * 40
    for gate in gates[40:]:
        gate.set("later")
        assert next(stream) == "later"
    assert list(stream) == []


def test_an_item_that_does_not_come_in_time_is_a_timeout_and_may_be_waited_for_again(node, eventually):
    source = node.spawn(Source)
    gate = al.Future()
    stream = source.within(0.02).stream.parts([gate])
    with pytest.raises(al.CallTimeout, match="an item of parts"):
        next(stream)
    gate.set("late")
    found = []
    eventually(lambda: found.extend(one_more(stream)) or found)
    assert found == ["late"]
    stream.close()


def one_more(stream):
    """What a stream gives within its time, if anything."""
    try:
        return [next(stream)]
    except al.CallTimeout:
        return []


def test_the_same_in_a_loop(node):
    source = node.spawn(Source)
    gate = al.Future()

    async def main():
        stream = source.within(0.02).stream.aparts([gate])
        with pytest.raises(al.CallTimeout, match="an item of aparts"):
            await anext(stream)
        gate.set("late")
        while True:
            try:
                return await anext(stream)
            except al.CallTimeout:
                pass

    assert asyncio.run(main()) == "late"


def test_many_streams_of_one_actor_go_on_beside_each_other(node, source):
    streams = [source.stream.count(3000) for _ in range(5)]
    assert [list(items) for items in zip(*streams, strict=True)] == [[n] * 5 for n in range(3000)]


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda ref: ref.stream.nothing(), "no public method 'nothing'"),
        (lambda ref: ref.stream.count(), "missing a required argument: 'n'"),
        (lambda ref: ref.stream.plain(), r"plain\(\) is no generator \(it gives list\): use ref.call.plain"),
    ],
)
def test_what_is_no_stream_is_refused_and_the_actor_unharmed(source, ask, says):
    with pytest.raises(al.BadCall, match=says):
        list(ask(source))
    assert source.call.ends() == []


def test_a_private_name_is_no_stream(source):
    with pytest.raises(AttributeError, match="private"):
        source.stream._count(1)


def test_who_reads_from_himself_is_refused(node):
    class Self(al.Actor):
        def numbers(self):
            yield 1

        def read(self):
            return list(self.ref.stream.numbers())

    with pytest.raises(al.DeadlockDetected):
        node.spawn(Self).call.read()


def test_nothing_is_kept_of_a_stream_that_is_over(node, source, settled, eventually):
    reader = node.spawn(Reader)
    for _ in range(3):
        reader.call.read(source, "count", 1000)
        reader.call.read_some(source, 3)
    kernel = next(k for k in node.runtime.kernels.values() if source.address in k.cells)
    cell = kernel.cells[source.address]
    assert cell.phase != DEAD
    eventually(lambda: cell.extra.special.streams == {})
    eventually(lambda: not (kernel.cells[reader.address].extra.monitors or {}))


@pytest.fixture(params=[Source, BlockingSource, ReentrantSource])
def any_source(request, node):
    return node.spawn(request.param)


@pytest.fixture
def told(monkeypatch):
    """Settles when a producer has been told that its reader is gone."""
    told, close_stream = al.Future(), signals.close_stream
    monkeypatch.setattr(signals, "close_stream", lambda *args: (close_stream(*args), told.set(None)))
    return told


def test_a_method_may_wait_before_it_gives_its_generator(any_source):
    begun, gate = al.Future(), al.Future()
    stream = any_source.stream.opened_late(begun, gate)
    begun.get(timeout=20)
    gate.set(None)
    assert list(stream) == [0, 1, 2]


def test_a_stream_that_is_closed_before_its_generator_is_there_leaves_none(any_source, told, settled):
    begun, gate = al.Future(), al.Future()
    stream = any_source.stream.opened_late(begun, gate)
    begun.get(timeout=20)
    stream.close()
    told.get(timeout=20)
    gate.set(None)
    settled()
    assert any_source.call.open_streams() == 0


def test_who_leaves_while_the_generator_waits_closes_it_when_its_turn_is_over(any_source, told, settled):
    """A reentrant actor is told while one of its handlers is in the generator, where it cannot be closed."""
    begun, gate = al.Future(), al.Future()
    stream = any_source.stream.waits(begun, gate)
    begun.get(timeout=20)
    stream.close()
    told.get(timeout=20)
    if any_source.actor_class.reentrant:
        assert any_source.call.ends() == [], "behind the step that is to close it"
    gate.set(None)
    settled()
    assert any_source.call.ends() == ["waits"]
    assert any_source.call.open_streams() == 0


def test_a_generators_value_is_there_although_it_waited_for_it(any_source):
    """Its items had to go out before, so its end is another batch's."""
    gate = al.Future()
    stream = any_source.stream.ends_late(20, gate)
    assert next(stream) == 0
    if not any_source.actor_class.blocking:  # whose items wait for the end of their batch
        assert [next(stream) for _ in range(19)] == list(range(1, 20))
    gate.set(None)
    list(stream)
    assert stream.value == "late"
