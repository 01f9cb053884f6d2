"""Pool: what it costs to read shared data, to put the same again, and to publish under a thousand readers.

Edge (files, processes); beside bare Arrow on the same file, in the same run.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import actorlab as al
from actorlab.memory import ContextPool

from .pool_readers import FollowedPool
from .sample import Row, Sample, latency, time_each

MB = 1 << 20
TABLE_BYTES = 200 * MB
COLUMNS = 16
READERS = 1_000
PUBLISHES = 100


def table(size_bytes: int = TABLE_BYTES, first: int = 0) -> Any:
    import numpy as np
    import pyarrow as pa

    rows = size_bytes // COLUMNS // 8
    return pa.table({f"c{i}": np.arange(first + i, first + i + rows) for i in range(COLUMNS)})


@contextlib.contextmanager
def pool() -> Iterator[ContextPool]:
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="actorlab-bench-") as folder:
        yield ContextPool(folder, "bench", 4 * TABLE_BYTES)


def get_mapped() -> Sample:
    with pool() as here:
        handle = here.put("v", table())
        kept = handle.get()
        sample = latency(time_each(lambda _: handle.get(), 20_000, warm_up=100))
        assert kept is handle.get()
        return sample


def get_not_mapped() -> Sample:
    with pool() as here:
        handle = here.put("v", table())
        return latency(time_each(lambda _: handle.get(), 500, warm_up=10))  # each result is let go at once


def arrow_mapped() -> Sample:
    """Building the table anew on a mapping that is there: what Arrow has for it."""
    import pyarrow as pa

    with pool() as here, pa.memory_map(here.put("v", table()).path) as file:
        return latency(time_each(lambda _: pa.ipc.open_file(file).read_all(), 500, warm_up=10))


def arrow_not_mapped() -> Sample:
    import pyarrow as pa

    def read(path: str) -> None:
        with pa.memory_map(path) as file:
            pa.ipc.open_file(file).read_all()

    with pool() as here:
        path = here.put("v", table()).path
        return latency(time_each(lambda _: read(path), 500, warm_up=10))


def put_new() -> Sample:
    return _put(same=False)


def put_same() -> Sample:
    return _put(same=True)


def _put(same: bool) -> Sample:
    with pool() as here:
        tables = [table(first=n * (not same)) for n in range(4)]
        here.put("v", tables[0])
        times = []
        for one in tables[1:]:
            began = time.perf_counter_ns()
            handle = here.put("v", one)
            times.append(time.perf_counter_ns() - began)
            if not same:
                here.drop(handle)
        sample = latency(times)
        return Sample(sample.value / 1e3, sample.n)


def arrow_write() -> Sample:
    """Arrow writing the same table to a file of shared memory."""
    import pyarrow as pa

    data, times = table(), []
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="actorlab-bench-") as folder:
        for n in range(3):
            began = time.perf_counter_ns()
            with pa.OSFile(f"{folder}/{n}", "wb") as file, pa.ipc.new_file(file, data.schema) as writer:
                writer.write_table(data)
            times.append(time.perf_counter_ns() - began)
    return Sample(latency(times).value / 1e3, 3)


def look_up_and_get_under_publishing() -> Sample:
    """A look-up and get while versions of 1 MB are published; in 1,000 actors of two workers, all reading all the time.

    Fails if a reader met a version that was torn, missing or older than one it had seen.
    """
    with al.Node(workers=2) as node:
        here = node.pool("bench")
        here.publish("v", table(MB))
        readers = node.spawn_many(FollowedPool, READERS, "bench", "v")
        for one in readers:
            one.cast.read_on()
        for n in range(1, PUBLISHES):
            here.publish("v", table(MB, first=n))
            time.sleep(0.01)
        for one in readers:
            one.cast.end()
        times: list[int] = []
        for one in readers:
            wrong, taken = one.within(60.0).call.report()
            assert not wrong, wrong
            times += taken
        return latency(times)


def look_up_and_get_at_rest() -> Sample:
    with pool() as here:
        here.publish("v", table(MB))
        return latency(time_each(lambda _: here.get("v"), 2_000, warm_up=10))


ROWS = (
    Row("pool_get_mapped", "µs", get_mapped, 5.0, peers=(("bare Arrow, mapped", arrow_mapped),)),
    Row("pool_get_not_mapped", "µs", get_not_mapped, 400.0, peers=(("bare Arrow, memory_map", arrow_not_mapped),)),
    Row("pool_put_200MB", "ms", put_new, peers=(("bare Arrow, a file", arrow_write),)),
    Row("pool_put_200MB_again", "ms", put_same, peers=(("bare Arrow, a file", arrow_write),)),
    Row(
        "pool_get_under_publishing",
        "µs",
        look_up_and_get_under_publishing,
        peers=(("the same, nobody publishing", look_up_and_get_at_rest),),
    ),
)
