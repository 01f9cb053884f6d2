"""Tables that all processes of a node share: one copy, read-only, readable until released."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from actorlab.errors import PoolFull, SegmentCorrupt, SegmentGone, SharedMemoryFull, UnsafeDirectory
from actorlab.memory import ContextPool, Handle, PoolSettings

MIB = 1 << 20


@pytest.fixture
def pool(tmp_path: Path) -> ContextPool:
    return ContextPool(tmp_path, "corpus", max_bytes=64 * MIB)


def table(n: int = 1000) -> pa.Table:
    return pa.table({"n": np.arange(n), "s": [f"row {i}" for i in range(n)]})


def charged(size_bytes: int) -> int:
    """What the file system charges for so many bytes."""
    return -(-size_bytes // 4096) * 4096


def temporaries(pool: ContextPool) -> list[str]:
    return [name for name in os.listdir(os.path.join(pool.path, "data", "segments")) if name.startswith(".")]


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


@pytest.mark.parametrize("make", [lambda t: t, lambda t: t.to_reader(300), lambda t: t.to_batches(300)])
def test_tables_readers_and_batches_are_taken(pool, make):
    assert pool.put("v", make(table())).get().equals(table())


def test_an_iterator_of_batches_is_taken_and_of_nothing_else(pool):
    assert pool.put("v", iter(table().to_batches(100))).get().equals(table())
    with pytest.raises(TypeError, match="Arrow"):
        pool.put("v", iter([1, 2]))


@dataclass
class Model:
    name: str
    weights: np.ndarray
    table: pa.Table


def test_an_object_is_taken_and_its_arrays_are_not_copied(pool):
    handle = pool.put("m", Model("m", np.arange(MIB), table()))
    before = pa.total_allocated_bytes()
    got = handle.get()
    assert (got.name, got.weights[-1], got.table.equals(table())) == ("m", MIB - 1, True)
    assert not got.weights.flags.writeable
    assert got.weights.ctypes.data % 64 == 0
    assert pa.total_allocated_bytes() == before
    got.name = "mine"
    assert handle.get().name == "m"
    assert handle.get().weights.ctypes.data == got.weights.ctypes.data


@pytest.mark.parametrize(
    "data",
    [np.arange(12.0).reshape(3, 4), np.arange(12).reshape(3, 4).T, np.arange(10)[::2], np.zeros((0, 3))],
    ids=["plain", "transposed", "strided", "empty"],
)
def test_an_array_is_what_was_put(pool, data):
    handle = pool.put("a", data)
    np.testing.assert_array_equal(handle.get(), data)
    assert handle.schema == f"numpy.ndarray {data.dtype} {data.shape}"


@pytest.mark.parametrize("data", [b"", b"abc", bytearray(b"abc"), memoryview(b"abc")], ids=repr)
def test_bytes_come_back_as_a_read_only_view(pool, data):
    got = pool.put("b", data).get()
    assert (got, got.readonly) == (data, True)


def test_what_plain_pickle_refuses_goes_by_value_and_what_nothing_can_pickle_is_refused(pool):
    assert pool.put("f", lambda x: x + 1).get()(2) == 3
    with pytest.raises(TypeError, match="can be pickled"):
        pool.put("l", threading.Lock())
    assert temporaries(pool) == []


def test_a_handle_knows_the_schema(pool):
    assert pool.put("v", table()).schema == table().schema


def test_handles_are_ordered_by_version(pool):
    first, second = pool.put("v", table(1)), pool.put("v", table(2))
    assert first < second
    assert {first, second, pickle.loads(pickle.dumps(second))} == {first, second}


def test_the_same_content_is_stored_once(pool):
    handles = [pool.put("v", table()), pool.put("w", table()), pool.put("w", table().to_reader(2000))]
    assert len(set(handles)) == 3
    assert len({os.stat(handle.path).st_ino for handle in handles}) == 1
    assert pool.bytes_shared() == charged(handles[0].size_bytes)
    array = np.arange(1000)
    assert os.path.samefile(pool.put("a", array).path, pool.put("b", array.copy()).path)


def test_one_of_two_that_share_a_segment_is_dropped_and_the_other_stays(pool):
    first, second = pool.put("v", table()), pool.put("w", table())
    pool.drop(first)
    got = second.get()
    pool.drop(second)
    assert pool.bytes_shared() == charged(second.size_bytes), "mapped by us"
    assert got.equals(table())
    del got
    pool.tidy()
    assert pool.bytes_shared() == 0


def test_contents_with_the_same_hash_are_told_apart(pool, monkeypatch):
    class Hash:
        def update(self, data): ...
        def hexdigest(self):
            return "0" * 32

    monkeypatch.setattr("xxhash.xxh3_128", Hash)
    first, second = pool.put("v", table(10)), pool.put("v", pa.table({"n": np.arange(10)[::-1], "s": ["row 0"] * 10}))
    third = pool.put("v", np.arange(3))
    assert [first.get()["n"][0].as_py(), second.get()["n"][0].as_py(), third.get()[2]] == [0, 9, 2]


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
        pool.put("w", pa.table({"n": np.arange(100_000, 200_000)}))
    assert full.value.needed_bytes == charged(kept.size_bytes)
    assert full.value.free_bytes == MIB - charged(kept.size_bytes) == pool.bytes_free()
    assert pool.bytes_shared() == charged(kept.size_bytes)
    pool.drop(kept)
    pool.put("w", pa.table({"n": np.arange(100_000, 200_000)}))


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
    assert temporaries(pool) == []


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
    assert temporaries(pool) == []


def test_a_producer_that_raises_leaves_nothing(pool):
    def broken():
        yield table().to_batches()[0]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pool.put("v", broken())
    assert temporaries(pool) == []


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
    with pytest.raises((SegmentCorrupt, SegmentGone) if damage is not damage_link else Exception, match=r"\.arrow\."):
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
        "p = ContextPool(*os.path.split(sys.argv[1]))\n"
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
        swept.append(pool.tidy())

    handle = pool.put("v", batches())
    assert swept == [1]
    assert handle.get().num_rows == 1000
    assert temporaries(pool) == []


def test_a_full_pool_takes_back_what_a_killed_writer_had_set_aside(tmp_path):
    pool = ContextPool(tmp_path, "p", MIB)
    killed_half_way(pool)
    assert pool.bytes_free() < 600_000
    pool.put("v", pa.table({"n": np.arange(80_000)}))
    assert temporaries(pool) == []


def test_writers_at_the_same_time_get_different_versions_and_keep_the_quota(tmp_path):
    size = charged(ContextPool(tmp_path, "measure", MIB).put("v", table()).size_bytes)
    pool = ContextPool(tmp_path, "p", settings=PoolSettings(10 * size, evict=False))
    done: list[Handle | PoolFull] = []

    def put(who: int) -> None:
        for i in range(5):
            try:
                done.append(pool.put("v", table().slice(0).replace_schema_metadata({"by": f"{who}{i}"})))
            except PoolFull as error:
                done.append(error)

    threads = [threading.Thread(target=put, args=(who,)) for who in range(4)]
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
