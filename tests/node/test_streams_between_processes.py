"""Streamed replies between processes: whole and in order, and ended on both sides when either goes away."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from handlers_drill import Source, StreamReader

import actorlab as al

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with al.Node(workers=2) as node:
        for place in (1, 2):
            node.spawn(Source, placement=place).stop()
        node.wait_idle()
        yield node


@pytest.fixture
def source(node):
    ref = node.spawn(Source, placement=2)
    yield ref
    ref.stop()


@pytest.fixture
def reader(node):
    ref = node.spawn(StreamReader, placement=1)
    yield ref
    ref.stop()


@pytest.mark.parametrize("method", ["count", "acount"])
def test_all_items_arrive_in_order_whoever_reads(source, reader, method):
    expected = list(range(20_000))
    assert reader.within(20).call.read(source, method, 20_000) == expected
    assert reader.within(20).call.aread(source, method, 20_000) == expected
    assert list(getattr(source.stream, method)(20_000)) == expected

    async def main():
        return [item async for item in getattr(source.stream, method)(20_000)]

    assert asyncio.run(main()) == expected


def test_large_items_go_a_few_at_a_time(source, reader):
    got = reader.within(20).call.read(source, "blobs", 20, 300_000)
    assert [(len(blob), blob[0]) for blob in got] == [(300_000, n) for n in range(20)]


def test_an_error_of_the_generator_reaches_the_reader_typed_behind_its_items(node, source):
    got = []
    down = node.monitor(source)
    with pytest.raises(LookupError, match="nothing there"):
        got.extend(source.stream.bad())
    assert got == [1]
    assert "LookupError" in str(down.get(timeout=30).reason)


def test_an_item_that_cannot_travel_is_an_error_at_the_reader(source):
    with pytest.raises(al.NotSendable):
        list(source.stream.locks())


def test_what_is_no_stream_is_refused(source):
    with pytest.raises(al.BadCall, match="no public method"):
        list(source.stream.nothing())


def test_a_reader_that_leaves_closes_the_generator(source, reader, tmp_path, eventually):
    path = tmp_path / "closed"
    assert reader.call.leave(source, str(path)) == 5000
    eventually(path.exists)


def test_a_reader_that_is_killed_closes_the_generator(source, reader, tmp_path, eventually):
    path = tmp_path / "closed"
    assert reader.call.open_and_keep(source, str(path)) == 0
    reader.exit("kill")
    eventually(path.exists)


def test_a_users_thread_that_leaves_closes_the_generator(source, tmp_path, eventually):
    path = tmp_path / "closed"
    with source.stream.count(10**9, str(path)) as stream:
        assert next(stream) == 0
    eventually(path.exists)


def test_a_reader_whose_worker_is_killed_closes_the_generator(node, source, tmp_path, eventually):
    path = tmp_path / "closed"
    reader = node.spawn(StreamReader, placement=1)
    victim = reader.call.pid()
    assert reader.call.open_and_keep(source, str(path)) == 0
    os.kill(victim, signal.SIGKILL)
    eventually(path.exists)
    node.wait_idle()
    assert source.call.pid()


def test_a_producer_whose_worker_is_killed_ends_the_stream(node, reader):
    source = node.spawn(Source, placement=2)
    stream = source.stream.count(10**9)
    assert next(stream) == 0
    os.kill(source.call.pid(), signal.SIGKILL)
    with pytest.raises(al.ActorDied):
        for _ in stream:
            pass
    node.wait_idle()


def test_a_producer_that_is_killed_ends_the_stream(node, tmp_path: Path):
    source = node.spawn(Source, placement=2)
    stream = source.stream.count(10**9)
    assert next(stream) == 0
    source.exit("kill")
    with pytest.raises(al.ActorDied):
        for _ in stream:
            pass
