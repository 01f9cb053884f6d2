"""Append streams on real workers: as messages, in handlers that park, under kills."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stream_drill import Author, BlockingReader, BlockingWatcher, Ignorer, Reader, Stopper, Watcher

import actorlab as al
from actorlab.memory import news

pytestmark = pytest.mark.process

Eventually = Callable[..., None]


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with al.Node(workers=2, preload=("pyarrow",)) as node:
        yield node


@pytest.fixture
def pool(node: al.Node, request: pytest.FixtureRequest) -> Iterator[al.ContextPool]:
    pool = node.pool(f"p{abs(hash(request.node.name)) % 10**8}", 8 << 20)
    yield pool
    pool.remove()


@pytest.fixture
def start(node: al.Node) -> Iterator[Callable[..., Any]]:
    started: list[Any] = []

    def spawn(*args: Any, **keywords: Any) -> Any:
        started.append(node.spawn(*args, **keywords))
        return started[-1]

    yield spawn
    for ref in started:
        ref.stop()


def append(writer: Any, number: int) -> None:
    for _ in range(number):
        writer.append([{"n": writer.position}])


@pytest.mark.parametrize("kind", [Watcher, BlockingWatcher])
@pytest.mark.parametrize("placement", [1, "local"])
def test_an_actor_is_told_of_all_that_is_appended_in_order(
    pool: al.ContextPool, start: Callable[..., Any], eventually: Eventually, kind: type, placement: Any
) -> None:
    with pool.append_stream("s", part_bytes=16384) as writer:
        append(writer, 10)
        watcher = start(kind, pool.stream("s"), placement=placement)
        append(writer, 500)
        eventually(lambda: watcher.call.numbers() == list(range(510)))
        writer.finish()
        eventually(lambda: watcher.call.state()[1])
    assert watcher.call.numbers() == list(range(510))


def test_a_node_is_not_idle_while_an_actor_is_still_to_be_told(
    node: al.Node, pool: al.ContextPool, start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    may_tell = threading.Event()
    tell = news._Ears.tell

    def tell_late(ears: Any, *what: Any) -> None:
        may_tell.wait(60)
        tell(ears, *what)

    monkeypatch.setattr(news._Ears, "tell", tell_late)
    with pool.append_stream("s") as writer:
        watcher = start(Watcher, pool.stream("s"), placement="local")
        ignorer = start(Ignorer, pool.stream("s"), placement="local")
        append(writer, 1)
        with pytest.raises(al.CallTimeout):
            node.wait_idle(timeout=0.1)
        may_tell.set()
        node.wait_idle(timeout=30)
        assert watcher.call.numbers() == [0]
        append(writer, 2)
        node.wait_idle(timeout=30)  # whoever does not read what it was told of keeps nobody waiting
        assert watcher.call.numbers() == [0, 1, 2]
        assert ignorer.is_alive()


def test_a_subscription_can_be_made_for_another_actor(
    node: al.Node, pool: al.ContextPool, start: Callable[..., Any], eventually: Eventually
) -> None:
    watchers = [start(Watcher, placement=placement) for placement in (1, 2, "local")]
    with pool.append_stream("s") as writer:
        append(writer, 5)
        for watcher in watchers:
            pool.stream("s").subscribe(watcher, -2)
        append(writer, 5)
        for watcher in watchers:
            eventually(lambda watcher=watcher: watcher.call.numbers() == list(range(3, 10)))
        with pytest.raises(al.ActorlabError, match="is gone"):
            pool.stream("nothing").subscribe(watchers[0])
        stopped = start(Watcher, placement=1)
        stopped.stop()
        with pytest.raises(al.ActorDied):
            pool.stream("s").subscribe(stopped)


def test_a_busy_actor_has_one_message_waiting_however_much_is_appended(
    node: al.Node, pool: al.ContextPool, start: Callable[..., Any], eventually: Eventually
) -> None:
    with pool.append_stream("s") as writer:
        ignorer = start(Ignorer, pool.stream("s"), placement=1)
        append(writer, 300)
        eventually(lambda: ignorer.call.told() == 1)
        append(writer, 300)
        node.wait_idle()
        assert ignorer.call.told() == 1

        watcher = start(Watcher, pool.stream("s"), placement=1)
        eventually(lambda: len(watcher.call.numbers()) == 600)
        assert watcher.call.state()[0] < 600 / 10, "many batches a message"


def test_who_stops_reading_goes_on_with_the_next_message_until_it_unsubscribes(
    node: al.Node, pool: al.ContextPool, start: Callable[..., Any], eventually: Eventually
) -> None:
    with pool.append_stream("s") as writer:
        append(writer, 100)
        stopper = start(Stopper, pool.stream("s"), 31, placement=2)
        eventually(lambda: len(stopper.call.numbers()) >= 31)
        append(writer, 10)
        node.wait_idle()
        assert stopper.call.numbers() == list(range(32))  # the message in hand when it unsubscribed


def test_a_restarted_actor_subscribes_anew_and_the_old_subscription_is_over(
    node: al.Node, pool: al.ContextPool, eventually: Eventually
) -> None:
    with pool.append_stream("s") as writer:
        stream = pool.stream("s")
        tree = al.Supervisor(children=[al.child(Watcher, stream, "end", name=f"watcher-{pool.name}", placement=1)])
        root = node.start(tree)
        watcher = node.whereis(f"watcher-{pool.name}")
        assert watcher is not None
        append(writer, 3)
        eventually(lambda: watcher.call.numbers() == [0, 1, 2])
        watcher.cast.boom()
        eventually(lambda: watcher.incarnation == 1 and watcher.call.numbers() == [])  # it has subscribed by then
        append(writer, 3)
        eventually(lambda: watcher.call.numbers() == [3, 4, 5])
        root.stop()


@pytest.mark.parametrize("kind", [Reader, BlockingReader])
@pytest.mark.parametrize("way", ["follow", "follow_async"])
def test_a_handler_that_follows_lets_others_run(
    pool: al.ContextPool, start: Callable[..., Any], kind: type, way: str
) -> None:
    with pool.append_stream("s") as writer:
        append(writer, 2)
        readers = [start(kind, placement=1) for _ in range(3)]
        answers = [getattr(reader.request, way)(pool.stream("s")) for reader in readers]
        other = start(Reader, placement=1)
        for _ in range(20):
            append(writer, 5)
            assert other.call.ping() == "pong"
        assert not any(answer.state for answer in answers)
        writer.finish()
        assert [answer.get(timeout=20) for answer in answers] == [list(range(102))] * 3


def test_a_blocking_follow_in_an_async_handler_is_refused_with_advice(
    pool: al.ContextPool, start: Callable[..., Any]
) -> None:
    with pool.append_stream("s"), pytest.raises(al.BlockingCall, match="async for"):
        start(Reader, placement=1).call.follow_wrongly(pool.stream("s"))


def test_a_killed_worker_s_stream_is_taken_up_by_another(
    pool: al.ContextPool, start: Callable[..., Any], node: al.Node, eventually: Eventually
) -> None:
    stream = pool.stream("s")
    author = start(Author, pool, placement=1)
    assert author.call.append(20) == 20
    watcher = start(Watcher, stream, placement=2)
    eventually(lambda: len(watcher.call.numbers()) == 20)
    with pytest.raises(al.StreamBusy) as busy:
        pool.append_stream("s")
    assert busy.value.pid == author.call.pid()
    os.kill(author.call.pid(), signal.SIGKILL)
    eventually(lambda: not author.is_alive())
    heir = start(Author, pool, placement=2)
    assert heir.call.append(20) == 40
    eventually(lambda: watcher.call.numbers() == list(range(40)))
    heir.call.finish()
    eventually(lambda: watcher.call.state()[1])


def test_a_stopped_worker_holds_no_writer_up(
    pool: al.ContextPool, start: Callable[..., Any], eventually: Eventually
) -> None:
    with pool.append_stream("s", part_bytes=8192, max_bytes=65536) as writer:
        watcher = start(Watcher, pool.stream("s"), "start", "skip", placement=2)
        append(writer, 1)
        eventually(lambda: watcher.call.numbers() == [0])
        pid = watcher.call.pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            append(writer, 1000)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert pool.stream("s").bytes <= 65536
        writer.finish()
        eventually(lambda: watcher.call.state()[1])
        seen, missed = watcher.call.numbers(), watcher.call.state()[2]
        assert seen == sorted(set(seen)) and seen[-1] == 1000 and len(seen) + missed == 1001


def test_nothing_of_a_subscription_is_left_when_its_actor_has_ended(
    pool: al.ContextPool, start: Callable[..., Any], eventually: Eventually
) -> None:
    with pool.append_stream("s") as writer:
        watcher = start(Watcher, pool.stream("s"), placement="local")
        append(writer, 1)
        eventually(lambda: watcher.call.numbers() == [0])
        listening = lambda: any(thread.name == "actorlab s" for thread in threading.enumerate())  # noqa: E731
        assert listening()
        watcher.stop()
        eventually(lambda: not listening())


def test_a_stream_s_pool_is_removed_with_its_node(tmp_path: Path) -> None:
    with al.Node(workers=1) as node:
        writer = node.pool("p").append_stream("s")
        append(writer, 3)
        kept = node.pool("p").stream("s").last()
    writer.close()
    assert kept is not None and kept["n"].to_pylist() == [2]


def test_a_stream_of_a_pool_that_is_kept_on_disk_is_taken_up_by_the_next_node(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    settings = al.PoolSettings(max_bytes=1 << 20, backend="file", directory=str(tmp_path), persist=True)
    for life in range(3):
        with al.Node(workers=0) as node:
            pool = node.pool("kept", settings=settings)
            with pool.append_stream("s") as writer:
                assert writer.position == 5 * life
                append(writer, 5)
            assert pool.stream("s").table()["n"].to_pylist() == list(range(5 * (life + 1)))


def test_a_pool_without_files_says_that_it_has_no_streams() -> None:
    settings = al.PoolSettings(max_bytes=1 << 20, backend="memfd")
    with al.Node(workers=0) as node, pytest.raises(al.SpecError, match="append stream"):
        node.pool("memory", settings=settings).append_stream("s")
