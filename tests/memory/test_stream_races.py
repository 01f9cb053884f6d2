"""Streams that are removed and made anew, threads that fail, writers that are killed: nobody is harmed or waits on."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from actorlab.errors import SegmentGone
from actorlab.memory import ContextPool

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
