"""Subscriptions to a stream, with their kernel and the stream's threads played by the test: one message at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actorlab.actor import Appended, following, owes_news
from actorlab.actor.following import Subscription
from actorlab.errors import StreamGap
from actorlab.memory import ContextPool, StreamWriter
from actorlab.memory.stream_part import Part


class Kernel:
    """Does what is posted when it is told to, and keeps what actors are told."""

    def __init__(self) -> None:
        self.posted: list[Callable[[], None]] = []
        self.told: list[Appended] = []
        self.lifecycle = SimpleNamespace(inform=lambda cell, message: self.told.append(message))

    def post(self, function: Callable[[], None]) -> None:
        self.posted.append(function)

    def turn(self) -> list[Appended]:
        """Do what was posted; return what is told by that."""
        self.told.clear()
        posted, self.posted = self.posted, []
        for function in posted:
            function()
        return list(self.told)


@pytest.fixture
def pool(tmp_path: Path) -> ContextPool:
    return ContextPool(tmp_path, "p", max_bytes=16 << 20)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def writer(pool: ContextPool) -> Iterator[StreamWriter]:
    with pool.append_stream("s", part_bytes=8192) as one:
        yield one


@pytest.fixture
def subscribed(pool: ContextPool, kernel: Kernel, writer: StreamWriter) -> Iterator[Subscription]:
    cell: Any = SimpleNamespace(phase="", object=1, incarnation=1, address=-1)
    one = Subscription(kernel, cell, "s", pool.stream("s").follow())  # type: ignore[arg-type]
    following._subscriptions[-1] = [one]
    yield one
    following.end_following(-1)


def append(writer: StreamWriter, number: int, rows: int = 1) -> None:
    for _ in range(number):
        writer.append({"n": [writer.position] * rows})


def test_who_iterates_twice_has_one_message_at_a_time_still(kernel, writer, subscribed, eventually):
    subscribed.arm()
    for n in range(5):
        append(writer, 1)
        eventually(lambda: kernel.posted)
        (message,) = kernel.turn()
        assert [one["n"][0].as_py() for one in message] == [n]
        assert list(message) == []


def test_who_goes_on_behind_a_gap_has_one_message_at_a_time_still(kernel, writer, subscribed):
    append(writer, 10, 500)
    writer.drop_before(10)
    subscribed.arm()
    (message,) = kernel.turn()
    with pytest.raises(StreamGap):
        list(message)
    for _ in message:
        break
    assert len(kernel.turn()) == 1


def test_who_sees_the_end_when_he_iterates_again_is_told_no_more(kernel, writer, subscribed):
    append(writer, 1)
    subscribed.arm()
    (message,) = kernel.turn()
    assert len(list(message)) == 1
    writer.finish()
    assert list(message) == []
    assert message.ended
    assert kernel.turn() == []


def test_who_is_cancelled_while_it_begins_to_listen_listens_no_more(
    kernel, writer, subscribed, monkeypatch, eventually
):
    on_news = subscribed.follower.on_news

    def cancelled_meanwhile(hear: Any) -> Any:
        subscribed.cancel()
        return on_news(hear)

    monkeypatch.setattr(type(subscribed.follower), "on_news", lambda _, hear: cancelled_meanwhile(hear))
    subscribed.arm()
    eventually(lambda: not any(thread.name == "actorlab s" for thread in threading.enumerate()))


def test_another_kernel_subscribes_while_one_looks_whether_it_owes_news(kernel, subscribed, monkeypatch):
    def subscribe_meanwhile(self: Subscription, kernel: Any) -> bool:
        following._subscriptions.setdefault(-2, [])
        return False

    monkeypatch.setattr(Subscription, "owes", subscribe_meanwhile)
    try:
        assert not owes_news(kernel)
    finally:
        following._subscriptions.pop(-2, None)


def test_a_kernel_may_look_while_a_thread_reads_on_in_the_next_part(kernel, writer, subscribed, monkeypatch):
    append(writer, 10, 500)
    reader, close, looked = subscribed.follower, Part.close, []

    def look_meanwhile(part: Part) -> None:
        close(part)
        looked.append(reader.has_news())

    monkeypatch.setattr(Part, "close", look_meanwhile)
    while reader.take() is not None:
        pass
    assert looked
    monkeypatch.undo()
    mine = type(reader)._mine

    def left_meanwhile(reader: Any) -> Part:
        part = mine(reader)
        part.close()
        return part

    monkeypatch.setattr(type(reader), "_mine", left_meanwhile)
    assert reader.has_news()
