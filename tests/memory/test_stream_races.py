"""Streams that are removed and made anew, threads that fail, writers that are killed: nobody is harmed or waits on."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from actorlab.errors import SegmentGone
from actorlab.memory import ContextPool, follower, news
from actorlab.memory.stream_part import Part

MIB = 1 << 20


@pytest.fixture
def pool(tmp_path: Path) -> ContextPool:
    return ContextPool(tmp_path, "logs", max_bytes=64 * MIB)


def batch(n: int, rows: int = 3) -> pa.RecordBatch:
    return pa.record_batch({"n": [n] * rows})


def made_anew(pool: ContextPool) -> ContextPool:
    """Remove a pool, as a logout does, and begin another in its place."""
    pool.remove()
    return ContextPool(Path(pool.path).parent, pool.name, max_bytes=64 * MIB)


# -- a writer whose stream was removed -----------------------------------------------------------------------------


def test_a_writer_of_a_removed_stream_does_not_touch_the_one_made_in_its_place(pool: ContextPool) -> None:
    for end in ("close", "finish", "drop"):
        old = pool.append_stream("s")
        old.append(batch(0))
        pool = made_anew(pool)
        with pool.append_stream("s", part_bytes=8192) as new:
            for n in range(100):
                new.append(batch(n, 50))
            if end == "drop":
                with pytest.raises(SegmentGone):
                    old.drop_before(1000)
            if end == "finish":
                old.finish()
            old.close()
            assert pool.stream("s").table()["n"].to_pylist() == [n for n in range(100) for _ in range(50)]


def test_a_writer_of_a_removed_stream_is_told_so_when_its_part_is_full_too(pool: ContextPool) -> None:
    with pool.append_stream("s", part_bytes=8192) as writer:
        writer.append(batch(0))
        pool.remove()
        with pytest.raises(SegmentGone):
            writer.append(batch(1, 2000))
        pool = made_anew(pool)
        with pytest.raises(SegmentGone):
            writer.append(batch(1, 2000))
        assert pool.catalogue.streams_found() == []


def test_a_stream_removed_while_a_batch_is_appended_is_gone(pool: ContextPool, monkeypatch: pytest.MonkeyPatch) -> None:
    with pool.append_stream("s", part_bytes=8192) as writer:
        monkeypatch.setattr(writer, "_new_part", lambda *what: (pool.remove(), type(writer)._new_part(writer, *what)))
        with pytest.raises(SegmentGone):
            writer.append(batch(1, 2000))


# -- readers that wait ---------------------------------------------------------------------------------------------


def test_a_reader_whose_stream_is_removed_and_made_anew_while_it_waits_is_told(
    pool: ContextPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep, made = threading.Event(), threading.Event()
    sleep = news.sleep_until_changed

    def sleep_meanwhile(*what: Any) -> None:
        asleep.set()
        made.wait(60)
        sleep(*what)

    monkeypatch.setattr(news, "sleep_until_changed", sleep_meanwhile)
    with pool.append_stream("s") as writer:
        writer.append(batch(0))
        old = pool.stream("s").follow()
        old.take()
        gone, heard = threading.Event(), threading.Event()
        old.on_news(gone.set)
        assert asleep.wait(20)
        pool = made_anew(pool)
    with pool.append_stream("s") as writer:
        new = pool.stream("s").follow()
        new.on_news(heard.set)
        made.set()
        assert gone.wait(20)
        with pytest.raises(SegmentGone):
            old.wait(20)
        writer.append(batch(1))
        assert heard.wait(20)


def test_a_thread_that_waits_for_a_stream_that_is_made_anew_is_told(
    pool: ContextPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep_once(*what: Any) -> None:
        monkeypatch.setattr(follower, "sleep_until_changed", lambda *what: pytest.fail("sleeps again"))
        made_anew(pool).append_stream("s").close()

    monkeypatch.setattr(follower, "sleep_until_changed", sleep_once)
    with pool.append_stream("s"), pytest.raises(SegmentGone):
        pool.stream("s").follow().wait()


def test_who_waits_where_a_writer_was_killed_between_two_parts_sleeps_until_the_next_one(
    pool: ContextPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pool.append_stream("s") as writer:
        writer.append(batch(0))
    Part.create(pool.stream("s").folder, 2, 1, 65536, "s").close()  # as a writer that is killed there leaves it
    reader = pool.stream("s").follow()
    reader.take()
    asleep, heard = threading.Event(), threading.Event()
    sleep = news.sleep_until_changed
    monkeypatch.setattr(news, "sleep_until_changed", lambda *what: (asleep.set(), sleep(*what)))
    reader.on_news(heard.set)
    assert asleep.wait(20)
    assert not heard.is_set()
    with pool.append_stream("s") as writer:
        writer.append(batch(1))
        assert heard.wait(20)
    assert reader.take()["n"][0].as_py() == 1


def test_where_no_thread_can_begin_the_next_listener_has_one(
    pool: ContextPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with pool.append_stream("s") as writer:
        reader, heard = pool.stream("s").follow(), threading.Event()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError):
                reader.on_news(heard.set)
        reader.on_news(heard.set)
        writer.append(batch(0))
        assert heard.wait(20)


def test_a_listener_that_fails_keeps_nobody_else_from_being_told(
    pool: ContextPool, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("not now")

    with pool.append_stream("s") as writer:
        reader, heard = pool.stream("s").follow(), threading.Event()
        reader.on_news(fail)
        reader.on_news(fail)
        reader.on_news(heard.set)
        writer.append(batch(0))
        assert heard.wait(20)
    assert "not now" in caplog.text


def test_a_child_forked_while_somebody_begins_to_listen_can_listen(pool: ContextPool) -> None:
    with pool.append_stream("s") as writer:
        pool.stream("s").follow().on_news(int)()  # not the first who listens here
        with news.here._lock:  # as another thread may just have it
            pid = os.fork()
            if pid == 0:
                try:
                    signal.alarm(20)
                    pool.stream("s").follow().on_news(lambda: os._exit(7))
                    signal.pause()
                finally:
                    os._exit(1)
        writer.append(batch(0))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_a_writer_s_position_can_be_asked_while_another_thread_appends(
    pool: ContextPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pool.append_stream("s", part_bytes=8192) as writer:
        writer.append(batch(0))
        mine = writer._mine

        def appended_meanwhile() -> Part:
            monkeypatch.setattr(writer, "_mine", mine)
            part = mine()
            writer.append(batch(1, 2000))  # in another part: the one before is closed
            return part

        monkeypatch.setattr(writer, "_mine", appended_meanwhile)
        assert writer.position in (1, 2)
        assert writer.position == 2
