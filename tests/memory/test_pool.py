"""Tables that all processes of a node share: one copy, read-only, readable until released."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from actorlab.errors import PoolFull, SegmentCorrupt, SegmentGone, SharedMemoryFull, UnsafeDirectory
from actorlab.memory import ContextPool, Handle

MIB = 1 << 20


@pytest.fixture
def pool(tmp_path: Path) -> ContextPool:
    return ContextPool(tmp_path, "corpus", max_bytes=64 * MIB)


def table(n: int = 1000) -> pa.Table:
    return pa.table({"n": np.arange(n), "s": [f"row {i}" for i in range(n)]})


def in_child(source: str, *args: object) -> subprocess.CompletedProcess[bytes]:
    prelude = "import os, pickle, signal, sys, pyarrow as pa\nfrom actorlab.memory import ContextPool\n"
    command = [sys.executable, "-c", prelude + source, *map(str, args)]
    return subprocess.run(command, capture_output=True, timeout=60)


def test_what_was_put_is_what_one_gets(pool):
    handle = pool.put("v", table())
    assert handle.get().equals(table())
    assert handle.num_rows == 1000
    assert (handle.version, handle.dataset) == (1, "v")


def test_a_handle_is_small_and_travels(pool):
    handle = pool.put("v", table())
    data = pickle.dumps(handle, 5)
    assert len(data) < 120 + len(handle.pool)
    assert pickle.loads(data) == handle
    assert hash(pickle.loads(data)) == hash(handle)


def test_getting_copies_nothing(pool):
    handle = pool.put("v", pa.table({"n": np.arange(MIB)}))
    before = pa.total_allocated_bytes()
    got = handle.get()
    assert pa.total_allocated_bytes() == before
    mapped = [
        line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines() if handle.path in line
    ]
    assert len(mapped) == 1
    start, end = (int(edge, 16) for edge in mapped[0])
    assert start <= got["n"].chunk(0).buffers()[1].address < end


def test_all_users_in_a_process_share_one_mapping(pool):
    handle = pool.put("v", table())
    first, second = handle.get(), pickle.loads(pickle.dumps(handle)).get()
    assert first is second
    column = first["n"]
    del first, second
    assert handle.get()["n"].equals(column)
    assert Path("/proc/self/maps").read_text().count(handle.path) == 1


def test_the_last_user_unmaps(pool):
    handle = pool.put("v", table())
    got = handle.get()
    assert handle.path in Path("/proc/self/maps").read_text()
    del got
    assert handle.path not in Path("/proc/self/maps").read_text()


def test_an_array_over_the_table_is_read_only(pool):
    array = pool.put("v", pa.table({"n": np.arange(1000)})).get()["n"].chunk(0).to_numpy()
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_a_write_through_the_bare_pointer_kills_only_the_writer(pool):
    handle = pool.put("v", table())
    done = in_child(
        "import ctypes\nh = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        "ctypes.memset(h.get()['n'].chunk(0).buffers()[1].address, 255, 8)\n",
        pickle.dumps(handle).hex(),
    )
    assert done.returncode == -signal.SIGSEGV
    assert handle.get().equals(table())


def test_another_process_reads_the_same_pages(pool):
    handle = pool.put("v", pa.table({"n": np.arange(MIB)}))
    done = in_child(
        "h = pickle.loads(bytes.fromhex(sys.argv[1])); t = h.get()\n"
        "import pyarrow.compute as pc; print(pc.sum(t['n']).as_py(), pa.total_allocated_bytes() < 65536)\n",
        pickle.dumps(handle).hex(),
    )
    assert done.stdout.split() == [str(MIB * (MIB - 1) // 2).encode(), b"True"], done.stderr


def test_a_dropped_version_stays_readable_while_it_is_mapped(pool):
    handle = pool.put("v", table())
    got = handle.get()
    assert pool.drop(handle)
    assert not pool.drop(handle)
    assert got.equals(table())
    assert handle.get() is got
    del got
    with pytest.raises(SegmentGone):
        handle.get()


def test_a_version_is_never_given_out_twice(pool):
    first = pool.put("v", table(1))
    pool.drop(first)
    second = pool.put("v", table(2))
    assert second.version == first.version + 1
    with pytest.raises(SegmentGone):
        first.get()


def test_a_pool_made_anew_under_the_same_name_is_not_mistaken_for_the_old(tmp_path):
    old = ContextPool(tmp_path, "p", MIB)
    handle = old.put("v", table(5))
    kept = handle.get()
    old.remove()
    new = ContextPool(tmp_path, "p", MIB).put("v", table(6))
    assert new.version == handle.version
    assert (new.get().num_rows, handle.get().num_rows) == (6, 5)
    del kept
    with pytest.raises(SegmentGone):
        handle.get()


@pytest.mark.parametrize("make", [lambda t: t, lambda t: t.to_reader(300), lambda t: t.to_batches(300), iter, dict])
def test_tables_readers_and_batches_are_taken_and_nothing_else(pool, make):
    if make is dict:
        with pytest.raises(TypeError, match="Arrow"):
            pool.put("v", {"n": [1]})
    elif make is iter:
        assert pool.put("v", iter(table().to_batches(100))).get().equals(table())
    else:
        assert pool.put("v", make(table())).get().equals(table())


def test_a_stream_with_growing_dictionaries_is_taken(pool):
    batches = [pa.record_batch({"c": pa.array(words).dictionary_encode()}) for words in (["a", "b"], ["c"])]
    got = pool.put("v", pa.RecordBatchReader.from_batches(batches[0].schema, batches)).get()
    assert got["c"].to_pylist() == ["a", "b", "c"]


def test_an_empty_table_is_taken(pool):
    assert pool.put("v", table(0)).get().num_rows == 0


def test_a_table_above_the_quota_is_refused_with_the_numbers(tmp_path):
    pool = ContextPool(tmp_path, "p", max_bytes=MIB)
    kept = pool.put("v", pa.table({"n": np.arange(100_000)}))
    with pytest.raises(PoolFull) as full:
        pool.put("v", pa.table({"n": np.arange(100_000)}))
    assert full.value.needed_bytes == kept.size_bytes
    assert full.value.free_bytes == MIB - kept.size_bytes == pool.bytes_free()
    assert pool.bytes_shared() == kept.size_bytes
    pool.drop(kept)
    pool.put("v", pa.table({"n": np.arange(100_000)}))


def test_a_stream_above_the_quota_is_refused_on_the_way_and_leaves_nothing(tmp_path):
    pool = ContextPool(tmp_path, "p", max_bytes=4 * MIB)
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield pa.record_batch({"n": np.arange(MIB // 8)})

    with pytest.raises(PoolFull):
        pool.put("v", endless())
    assert 2 <= len(taken) <= 4
    assert pool.bytes_free() == 4 * MIB
    assert os.listdir(pool.path) == [".versions"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_full_file_system_is_a_typed_error_and_leaves_nothing(pool, stream):
    data = pa.table({"n": np.arange(MIB)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    try:
        with pytest.raises(SharedMemoryFull) as full:
            pool.put("v", data.to_reader(10_000) if stream else data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not isinstance(full.value, PoolFull)
    assert os.listdir(pool.path) == [".versions"]


def test_a_producer_that_raises_leaves_nothing(pool):
    def broken():
        yield table().to_batches()[0]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pool.put("v", broken())
    assert os.listdir(pool.path) == [".versions"]


def damage_mode(path: str) -> None:
    os.chmod(path, 0o600)


def damage_size(path: str) -> None:
    os.chmod(path, 0o600)
    os.truncate(path, os.path.getsize(path) - 1)
    os.chmod(path, 0o400)


def damage_footer(path: str) -> None:
    os.chmod(path, 0o600)
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.seek(size - 100)
        file.write(b"\xff" * 100)
    os.chmod(path, 0o400)


def damage_content(path: str) -> None:
    size = os.path.getsize(path)
    other = ContextPool(os.path.dirname(path), "other", MIB).put("v", pa.table({"x": [1]}))
    os.chmod(path, 0o600)
    with open(path, "wb") as file:
        file.write(Path(other.path).read_bytes())
    assert os.path.getsize(path) != size
    os.chmod(path, 0o400)


def damage_link(path: str) -> None:
    os.rename(path, path + ".moved")
    os.symlink(path + ".moved", path)


@pytest.mark.parametrize("damage", [damage_mode, damage_size, damage_footer, damage_content, damage_link])
def test_a_file_that_is_not_what_was_sealed_is_refused(pool, damage):
    handle = pool.put("v", table())
    damage(handle.path)
    with pytest.raises((SegmentCorrupt, SegmentGone) if damage is not damage_link else Exception, match=r"\.arrow"):
        handle.get()


def test_another_table_of_the_same_size_is_refused(pool):
    one, two = pool.put("v", pa.table({"a": [1]})), pool.put("v", pa.table({"b": [1]}))
    assert one.size_bytes == two.size_bytes
    os.replace(two.path, one.path)
    with pytest.raises(SegmentCorrupt, match="another table"):
        one.get()


def test_a_directory_that_others_may_enter_is_refused(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("open", "link"):
        with pytest.raises(UnsafeDirectory):
            ContextPool(tmp_path, name, MIB)


@pytest.mark.parametrize("name", ["", "../x", ".hidden", "a/b", "x" * 65, "ä b"])
def test_names_that_could_leave_the_directory_are_refused(pool, name):
    with pytest.raises(ValueError, match="cannot be a name"):
        pool.put(name, table())


def killed_half_way(pool: ContextPool) -> None:
    done = in_child(
        "p = ContextPool(*os.path.split(sys.argv[1]), 64 << 20)\n"
        "def batches():\n"
        "    yield pa.record_batch({'n': list(range(60000))})\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "p.put('v', batches())\n",
        pool.path,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_writer_killed_half_way_is_swept_and_a_living_one_is_not(pool):
    killed_half_way(pool)
    assert pool.bytes_free() < 64 * MIB
    swept = []

    def batches():
        yield table().to_batches()[0]
        swept.append(pool.sweep())

    handle = pool.put("v", batches())
    assert swept == [1]
    assert handle.get().num_rows == 1000
    assert sorted(os.listdir(pool.path)) == [".versions", os.path.basename(handle.path)]


def test_a_full_pool_takes_back_what_a_killed_writer_had_set_aside(tmp_path):
    pool = ContextPool(tmp_path, "p", MIB)
    killed_half_way(pool)
    assert pool.bytes_free() < 600_000
    pool.put("v", pa.table({"n": np.arange(80_000)}))
    assert len(os.listdir(pool.path)) == 2


def test_writers_at_the_same_time_get_different_versions_and_keep_the_quota(tmp_path):
    size = ContextPool(tmp_path, "measure", MIB).put("v", table()).size_bytes
    pool = ContextPool(tmp_path, "p", max_bytes=10 * size)
    done: list[Handle | PoolFull] = []

    def put() -> None:
        for _ in range(5):
            try:
                done.append(pool.put("v", table()))
            except PoolFull as error:
                done.append(error)

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handles = [item for item in done if isinstance(item, Handle)]
    assert len(done) == 20
    assert sorted(handle.version for handle in handles) == list(range(1, 11))
    assert pool.bytes_shared() == 10 * size


def test_importing_memory_does_not_import_pyarrow():
    source = "import sys, actorlab.memory; print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, timeout=60)
    assert done.stdout.strip() == b"False"
