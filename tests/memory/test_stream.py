"""Append streams: what is committed is what readers get, whole, in order, once; limits hold and gaps are told."""

from __future__ import annotations

import asyncio
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from actorlab.errors import (
    PoolFull,
    SegmentCorrupt,
    SegmentGone,
    SharedMemoryFull,
    SpecError,
    StreamBusy,
    StreamEnded,
    StreamGap,
)
from actorlab.memory import AppendStream, ContextPool, LeaseRow, PoolSettings, news, read_usage
from actorlab.memory.census import pool_usage

Eventually = Callable[..., None]
MIB, PAGE = 1 << 20, 4096


@pytest.fixture
def pool(tmp_path: Path) -> ContextPool:
    return ContextPool(tmp_path, "logs", max_bytes=64 * MIB)


def batch(n: int, rows: int = 3) -> pa.RecordBatch:
    return pa.record_batch({"n": np.full(rows, n), "text": [f"row {n}.{i}" for i in range(rows)]})


def numbers(batches: Any) -> list[int]:
    return [one["n"][0].as_py() for one in batches]


def now(stream: AppendStream, from_: Any = "start", **keywords: Any) -> list[int]:
    """Return the numbers of the batches that are there now."""
    return numbers(stream.follow(from_, idle_s=0, **keywords))


# -- what is appended is what is read ------------------------------------------------------------------------------


def test_what_is_appended_is_read_in_order(pool: ContextPool) -> None:
    with pool.append_stream("s") as writer:
        assert [writer.append(batch(n)) for n in range(10)] == list(range(10))
        assert writer.position == 10
        got = list(pool.stream("s").follow(idle_s=0))
    assert [one.equals(batch(n)) for n, one in enumerate(got)] == [True] * 10
    assert (pool.stream("s").first, pool.stream("s").end) == (0, 10)


def test_rows_columns_and_tables_are_taken_and_nothing_else(pool: ContextPool) -> None:
    with pool.append_stream("s", schema=pa.schema({"n": pa.int64(), "text": pa.string()})) as writer:
        writer.append([{"n": 1, "text": "a"}, {"n": 2, "text": None}])
        writer.append({"n": [3], "text": ["c"]})
        writer.append(pa.table({"n": pa.chunked_array([[4], [5]]), "text": pa.chunked_array([["d"], ["e"]])}))
        writer.append([])
        assert writer.position == 4
        for wrong in (7, "rows", [1, 2]):
            with pytest.raises(TypeError):
                writer.append(wrong)  # type: ignore[arg-type]
    assert pool.stream("s").table()["n"].to_pylist() == [1, 2, 3, 4, 5]


def test_a_batch_of_another_schema_is_refused_with_both(pool: ContextPool) -> None:
    with pool.append_stream("s") as writer:
        writer.append(batch(0))
        with pytest.raises(SpecError, match=r"x: int64.*n: int64"):
            writer.append(pa.record_batch({"x": [1]}))
    with pytest.raises(SpecError, match="n: int64"):
        pool.append_stream("s", schema=pa.schema({"x": pa.int64()}))
    with pool.append_stream("s") as writer:
        assert writer.schema == batch(0).schema
        assert writer.append(batch(1)) == 1


def test_dictionaries_are_stored_as_plain_values(pool: ContextPool) -> None:
    with pool.append_stream("s") as writer:
        for words in (["a", "b", "a"], ["c"]):
            writer.append(pa.record_batch({"w": pa.array(words).dictionary_encode()}))
        with pytest.raises(SpecError, match="dictionary inside"):
            writer.append(pa.record_batch({"w": pa.array([["a"]], pa.list_(pa.dictionary(pa.int8(), pa.string())))}))
    assert pool.stream("s").table()["w"].to_pylist() == ["a", "b", "a", "c"]


def test_reading_copies_nothing_and_gives_read_only_memory(pool: ContextPool) -> None:
    with pool.append_stream("s") as writer:
        writer.append(pa.record_batch({"n": np.arange(MIB // 8)}))
        before = pa.total_allocated_bytes()
        got = pool.stream("s").last()
        assert got is not None
        assert pa.total_allocated_bytes() == before
        with pytest.raises(ValueError, match="read-only"):
            got["n"].to_numpy()[0] = 1


def test_batches_stay_good_when_the_stream_is_gone(pool: ContextPool) -> None:
    with pool.append_stream("s") as writer:
        writer.append(batch(7))
        got = pool.stream("s").last()
    pool.remove()
    assert got is not None and got.equals(batch(7))
    with pytest.raises(SegmentGone):
        pool.stream("s").follow()


def test_any_reader_of_arrow_streams_reads_a_part(pool: ContextPool) -> None:
    with pool.append_stream("s") as writer:
        for n in range(3):
            writer.append(batch(n))
    (part,) = Path(pool.stream("s").folder).iterdir()
    data = part.read_bytes()[PAGE:]
    assert pa.ipc.open_stream(data).read_all().num_rows == 9


def test_a_stream_is_small_and_travels(pool: ContextPool) -> None:
    stream = pool.stream("s")
    assert pickle.loads(pickle.dumps(stream)) == stream
    assert hash(stream) == hash(pool.stream("s"))
    assert len(pickle.dumps(stream)) < 120 + len(stream.pool)
    with pytest.raises(SpecError):
        pool.stream("../s")


# -- where a reader begins, how long it waits ----------------------------------------------------------------------


def test_a_reader_begins_where_it_says(pool: ContextPool) -> None:
    with pool.append_stream("s", part_bytes=2 * PAGE) as writer:
        for n in range(30):
            writer.append(batch(n))
        stream = pool.stream("s")
        assert len(os.listdir(stream.folder)) > 2
        assert now(stream) == list(range(30))
        assert now(stream, "end") == []
        assert now(stream, -4) == [26, 27, 28, 29]
        assert now(stream, -100) == list(range(30))
        for start in range(31):
            assert now(stream, start) == list(range(start, 30))
        with pytest.raises(SpecError, match="up to 30"):
            stream.follow(31)
        assert stream.table(27)["n"].to_pylist()[::3] == [27, 28, 29]
        last = stream.last()
        assert last is not None and numbers([last]) == [29]


def test_an_empty_stream_has_nothing_and_no_stream_is_an_error(pool: ContextPool) -> None:
    with pytest.raises(SegmentGone):
        pool.stream("s").follow()
    with pool.append_stream("s"):
        assert (now(pool.stream("s")), pool.stream("s").last(), pool.stream("s").table().num_rows) == ([], None, 0)


@pytest.mark.parametrize("lacks", ["", "futex"])
def test_a_reader_that_waits_is_woken_by_what_comes(
    pool: ContextPool, eventually: Eventually, without: Callable[..., None], lacks: str
) -> None:
    without(lacks)
    got: list[int] = []
    with pool.append_stream("s", part_bytes=4 * PAGE) as writer:
        follower = pool.stream("s").follow()
        thread = threading.Thread(target=lambda: got.extend(numbers(follower)))
        thread.start()
        for n in range(100):
            writer.append(batch(n))
            if n % 10 == 0:
                eventually(lambda n=n: follower.position == n + 1)
        writer.finish()
        thread.join(60)
    assert got == list(range(100))


def test_a_reader_in_an_event_loop_blocks_nobody(pool: ContextPool) -> None:
    async def read(stream: AppendStream) -> list[int]:
        return [one["n"][0].as_py() async for one in stream.follow()]

    async def scenario() -> list[list[int]]:
        with pool.append_stream("s", part_bytes=4 * PAGE) as writer:
            readers = [asyncio.create_task(read(pool.stream("s"))) for _ in range(5)]
            for n in range(50):
                writer.append(batch(n))
                await asyncio.sleep(0)
            writer.finish()
            return list(await asyncio.wait_for(asyncio.gather(*readers), 60))

    assert asyncio.run(scenario()) == [list(range(50))] * 5


def test_a_wait_that_is_cancelled_or_over_leaves_nothing_behind(pool: ContextPool, eventually: Eventually) -> None:
    async def scenario() -> None:
        follower = pool.stream("s").follow()
        assert not await follower.wait_async(0.01)
        task = asyncio.create_task(follower.wait_async())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [one async for one in pool.stream("s").follow(idle_s=0.01)] == []

    with pool.append_stream("s"):
        asyncio.run(scenario())
        assert not pool.stream("s").follow().wait(0.01)
        eventually(lambda: not any(thread.name == "actorlab s" for thread in threading.enumerate()))


def test_a_reader_whose_stream_is_removed_while_it_waits_is_told(pool: ContextPool) -> None:
    with pool.append_stream("s") as writer:
        follower = pool.stream("s").follow()
        threading.Timer(0.05, pool.remove).start()
        with pytest.raises(SegmentGone):
            follower.wait(10)
        with pytest.raises(SegmentGone):
            asyncio.run(follower.wait_async(10))
        with pytest.raises(SegmentGone):
            writer.append(batch(0))


def test_a_finished_stream_comes_to_an_end_for_good(pool: ContextPool) -> None:
    with pool.append_stream("s") as writer:
        writer.append(batch(0))
        writer.finish()
        with pytest.raises(ValueError, match="closed"):
            writer.append(batch(1))
    follower = pool.stream("s").follow()
    assert numbers(follower) == [0]
    assert follower.ended and not follower.wait(10)
    with pytest.raises(StreamEnded, match="after 1 batches"):
        pool.append_stream("s")
    with pool.append_stream("t"):  # the lock of the refused one is free
        pass


# -- one writer ----------------------------------------------------------------------------------------------------


def test_there_is_one_writer_and_the_next_goes_on(pool: ContextPool) -> None:
    with pool.append_stream("s") as writer:
        writer.append(batch(0))
        with pytest.raises(StreamBusy, match=f"by process {os.getpid()}"):
            pool.append_stream("s")
        pool.append_stream("other").close()
    with pool.append_stream("s") as writer:
        assert writer.append(batch(1)) == 1
    assert now(pool.stream("s")) == [0, 1]


def test_a_forked_child_does_not_keep_its_parents_lock(pool: ContextPool) -> None:
    writer = pool.append_stream("s")
    until, end = os.pipe()
    up, here = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(end)
        os.write(here, b"x")
        os.read(until, 1)  # alive until the parent has looked
        os._exit(0)
    try:
        os.read(up, 1)
        with pytest.raises(StreamBusy):  # the child let go of its copy, not of the lock
            pool.append_stream("s")
        writer.close()
        pool.append_stream("s").close()
    finally:
        for descriptor in (until, end, up, here):
            os.close(descriptor)
        os.waitpid(pid, 0)


def test_threads_that_share_a_writer_lose_nothing(pool: ContextPool) -> None:
    with pool.append_stream("s", part_bytes=8 * PAGE) as writer:
        given: list[int] = []
        threads = [
            threading.Thread(target=lambda: given.extend(writer.append(batch(1)) for _ in range(50))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(given) == list(range(200))
    assert len(now(pool.stream("s"))) == 200


# -- limits --------------------------------------------------------------------------------------------------------


def test_the_oldest_parts_go_when_there_is_more_than_is_kept(pool: ContextPool) -> None:
    with pool.append_stream("s", part_bytes=4 * PAGE, max_bytes=16 * PAGE) as writer:
        stream = pool.stream("s")
        for n in range(200):
            writer.append(batch(n))
            assert stream.bytes <= 16 * PAGE
        assert 0 < stream.first < 200 and stream.end == 200
        assert now(stream) == list(range(stream.first, 200))


def test_a_reader_that_was_overtaken_is_told_and_goes_on(pool: ContextPool) -> None:
    with pool.append_stream("s", part_bytes=4 * PAGE, max_bytes=16 * PAGE) as writer:
        stream = pool.stream("s")
        writer.append(batch(0))
        told, silent = stream.follow(idle_s=0), stream.follow(idle_s=0, gaps="skip")
        kept = next(told)
        for n in range(1, 500):
            writer.append(batch(n))
        first = stream.first
        with pytest.raises(StreamGap) as gap:
            list(told)
        wanted = gap.value.wanted
        assert (gap.value.first, told.position, told.missed) == (first, first, first - wanted)
        assert numbers(told) == list(range(first, 500))
        assert numbers(silent) == [*range(wanted), *range(first, 500)]
        assert (silent.missed, kept) == (told.missed, batch(0))
        late = stream.follow(1, idle_s=0)
        with pytest.raises(StreamGap, match="no longer keeps batch 1:"):
            next(late)
        assert numbers(late) == list(range(first, 500))


def test_a_batch_larger_than_a_part_gets_a_larger_one(pool: ContextPool) -> None:
    with pool.append_stream("s", part_bytes=4 * PAGE, max_bytes=MIB) as writer:
        writer.append(batch(0))
        writer.append(batch(1, rows=5000))
        writer.append(batch(2))
        with pytest.raises(PoolFull):
            writer.append(batch(3, rows=100_000))
        assert writer.append(batch(3)) == 3
    assert now(pool.stream("s")) == [0, 1, 2, 3]


def test_a_stream_counts_against_its_pool_and_a_full_one_refuses(tmp_path: Path) -> None:
    pool = ContextPool(tmp_path, "small", max_bytes=MIB)
    with pool.append_stream("s", part_bytes=256 * 1024) as writer:
        with pytest.raises(PoolFull) as full:
            for n in range(1000):
                writer.append(batch(n, rows=500))
        end = writer.position
        assert end > 20 and full.value.free_bytes < full.value.needed_bytes
        assert now(pool.stream("s")) == list(range(end))
        assert 0.9 * MIB < pool.stream("s").bytes <= pool.bytes_shared() <= MIB
        with pytest.raises(PoolFull):
            pool.put("d", pa.table({"n": np.arange(20_000)}))
        writer.drop_before(end - 1)
        assert writer.append(batch(end)) == end
    with pool.append_stream("s", part_bytes=256 * 1024, max_bytes=512 * 1024) as writer:
        for n in range(200):
            writer.append(batch(n, rows=500))
        assert pool.stream("s").bytes <= 512 * 1024


def test_what_was_allocated_ahead_is_given_back(pool: ContextPool) -> None:
    with pool.append_stream("s") as writer:
        writer.append(batch(0))
        assert pool.stream("s").bytes > 2 * PAGE
    assert pool.stream("s").bytes == 2 * PAGE


def test_a_full_file_system_is_a_typed_error_and_the_stream_goes_on(pool: ContextPool) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pool.append_stream("s", part_bytes=64 * PAGE) as writer:
        writer.append(batch(0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (PAGE, hard))
        try:
            with pytest.raises((SharedMemoryFull, OSError)) as full:
                for n in range(1, 100):
                    writer.append(batch(n, rows=500))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not isinstance(full.value, PoolFull)
        end = writer.position
        assert writer.append(batch(end)) == end
    assert now(pool.stream("s")) == list(range(end + 1))


def test_parts_can_be_dropped_by_number(pool: ContextPool) -> None:
    with pool.append_stream("s", part_bytes=2 * PAGE) as writer:
        stream = pool.stream("s")
        for n in range(40):
            writer.append(batch(n))
        assert writer.drop_before(0) == 0
        assert writer.drop_before(20) > 0
        assert 0 < stream.first <= 20
        writer.drop_before(40)
        assert now(stream)[-1] == 39 and stream.bytes <= 2 * PAGE


@pytest.mark.parametrize("limits", [{"part_bytes": 100}, {"part_bytes": 1 << 40}, {"max_bytes": MIB}])
def test_limits_that_make_no_sense_are_refused(pool: ContextPool, limits: dict[str, int]) -> None:
    with pytest.raises(SpecError):
        pool.append_stream("s", **limits)  # type: ignore[arg-type]
    assert not os.path.exists(pool.stream("s").folder)


def test_the_account_shows_streams_and_who_reads_them(tmp_path: Path) -> None:
    (tmp_path / "pools").mkdir(mode=0o700)
    pool = ContextPool(tmp_path / "pools", "logs", settings=PoolSettings(max_bytes=MIB))
    with pool.append_stream("events") as writer:
        writer.append(batch(0))
        (usage,) = read_usage(tmp_path)
        size = pool.stream("events").bytes
        assert [(one.name, one.versions, one.live_bytes) for one in usage.datasets] == [("events", 1, size)]
        assert usage.live_bytes == pool.bytes_shared()
        assert usage.leases == ()
        follower = pool.stream("events").follow()
        (usage,) = read_usage(tmp_path)
        assert [(row.dataset, row.version, row.pid, row.stopped) for row in usage.leases] == [
            ("events", 1, os.getpid(), False)
        ]
        follower.close()
        assert read_usage(tmp_path)[0].leases == ()


# -- faults --------------------------------------------------------------------------------------------------------


def damage(pool: ContextPool, at: int, data: bytes) -> None:
    (part,) = Path(pool.stream("s").folder).iterdir()
    with part.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize(
    ("at", "data"),
    [(0, b"nonsense"), (8, b"\x09"), (16, b"\x07"), (64, b"\xff" * 8), (PAGE, b"\x00" * 64), (PAGE + 4, b"\xff" * 64)],
)
def test_a_part_that_is_not_what_was_written_is_refused(pool: ContextPool, at: int, data: bytes) -> None:
    with pool.append_stream("s") as writer:
        writer.append(batch(0))
    damage(pool, at, data)
    with pytest.raises(SegmentCorrupt, match=r"\.part"):
        list(pool.stream("s").follow(idle_s=0))


def test_a_writer_that_finds_a_damaged_part_leaves_it_alone(pool: ContextPool) -> None:
    with pool.append_stream("s") as writer:
        writer.append(batch(0))
    damage(pool, 0, b"nonsense")
    with pytest.raises(SegmentCorrupt):
        pool.append_stream("s")
    with pytest.raises(SegmentCorrupt):  # and the lock is free again
        pool.append_stream("s")


def leases(pool: ContextPool) -> tuple[LeaseRow, ...]:
    usage = pool_usage(pool.path)
    assert usage is not None
    return usage.leases


READER = """
import os, sys, pickle
from actorlab.memory import ContextPool
follower = pickle.loads(bytes.fromhex(sys.argv[1])).follow(gaps=sys.argv[2])
print(follower.position, flush=True)
for batch in follower:
    assert len(set(batch["n"].to_pylist())) == 1, "torn"
    print(batch["n"][0].as_py(), flush=True)
"""


@pytest.fixture
def reader(pool: ContextPool) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(gaps: str = "raise") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", READER, pickle.dumps(pool.stream("s")).hex(), gaps]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout is not None
        assert started[-1].stdout.readline() == "0\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_readers_in_other_processes_follow(pool: ContextPool, reader: Callable[..., subprocess.Popen[str]]) -> None:
    with pool.append_stream("s", part_bytes=8 * PAGE) as writer:
        readers = [reader() for _ in range(3)]
        for n in range(200):
            writer.append(batch(n))
        writer.finish()
        for process in readers:
            said, _ = process.communicate(timeout=30)
            assert list(map(int, said.split())) == list(range(200))
            assert process.returncode == 0


def test_a_stopped_reader_holds_nobody_up_and_goes_on_where_it_was(
    pool: ContextPool, reader: Callable[..., subprocess.Popen[str]]
) -> None:
    with pool.append_stream("s", part_bytes=8 * PAGE, max_bytes=32 * PAGE) as writer:
        slow, other = reader("skip"), reader("skip")
        writer.append(batch(0))
        for process in (slow, other):
            assert process.stdout is not None and process.stdout.readline() == "0\n"
        os.kill(slow.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, slow.pid, os.WSTOPPED)
        assert [row.stopped for row in leases(pool) if row.pid == slow.pid] == [True]
        for n in range(1, 500):
            writer.append(batch(n))
            assert pool.stream("s").bytes <= 32 * PAGE
        assert pool.stream("s").first > 100
        writer.finish()
        said, _ = other.communicate(timeout=30)
        assert said.split()[-1] == "499"
        os.kill(slow.pid, signal.SIGCONT)
        said, _ = slow.communicate(timeout=30)
        got = list(map(int, said.split()))
        assert got == sorted(set(got)) and got[-1] == 499


def test_a_killed_reader_leaves_nothing(pool: ContextPool, reader: Callable[..., subprocess.Popen[str]]) -> None:
    with pool.append_stream("s") as writer:
        process = reader()
        before = os.listdir(pool.stream("s").folder)
        process.kill()
        process.wait()
        writer.append(batch(0))
        assert os.listdir(pool.stream("s").folder) == before


def test_nobody_waits_for_a_listening_thread_that_has_failed(
    pool: ContextPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    failures = [OSError("once"), OSError("twice")]
    newest = news._newest

    def fail_twice(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return newest(*arguments)

    monkeypatch.setattr(news, "_newest", fail_twice)
    monkeypatch.setattr(news, "LOOK_S", 0.01)
    with pool.append_stream("s") as writer:

        async def read() -> list[int]:
            return [one["n"][0].as_py() async for one in pool.stream("s").follow()]

        def write() -> None:
            eventually(lambda: not failures)  # else a reader that begins late finds all there, and waits for nothing
            writer.append(batch(1))
            writer.finish()

        thread = threading.Thread(target=write)
        thread.start()
        assert asyncio.run(asyncio.wait_for(read(), 20)) == [1]
        thread.join()
    assert not failures
    assert "listens to" in caplog.text


def test_what_is_appended_while_listeners_are_called_is_told_at_once(
    pool: ContextPool, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setattr(news, "LOOK_S", 1000.0)
    monkeypatch.setattr(news, "INTERRUPTIBLE_S", 1000.0)
    tell = news._Ears.tell
    heard = threading.Event()

    def tell_and_append(ears: Any, *what: Any) -> None:
        tell(ears, *what)
        if not writer.position:
            writer.append(batch(0))

    with pool.append_stream("s") as writer:
        follower = pool.stream("s").follow()
        monkeypatch.setattr(news._Ears, "tell", tell_and_append)
        follower.on_news(heard.set)
        assert heard.wait(20)
        eventually(lambda: not any(thread.name == "actorlab s" for thread in threading.enumerate()))
