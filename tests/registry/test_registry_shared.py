"""The shared backend: other processes' view, growth, a full file system, and who may own it."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorlab.errors import RegistryOwned, SegmentCorrupt, SharedMemoryFull
from actorlab.ids import generation_of, index_of, pack
from actorlab.registry import LocalBackend, SharedBackend, SharedReader

A, B = pack(1, 1, 1), pack(1, 2, 1)


@pytest.fixture
def owned(tmp_path: Path) -> Iterator[SharedBackend]:
    backend = SharedBackend.create(tmp_path, partitions=1, capacity=1)
    yield backend
    backend.remove()


def in_a_fork(work: Callable[[], None]) -> int:
    """Start `work` in a forked process and return its pid; it ends with 0, or with 1 if an exception came out."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def ended_well(pid: int) -> bool:
    return os.waitpid(pid, 0)[1] == 0


def test_another_process_reads_without_a_message(owned: SharedBackend, tmp_path: Path) -> None:
    owned.register("till", A, {"a": 1})

    def read() -> None:
        reader = SharedReader.open(tmp_path)
        entry = reader.lookup("till")
        assert entry is not None
        assert (entry.address, entry.metadata) == (A, {"a": 1})
        assert reader.whereis("nobody") is None

    assert ended_well(in_a_fork(read))


def test_a_reader_sees_each_change_at_once(owned: SharedBackend, tmp_path: Path) -> None:
    reader = SharedReader.open(tmp_path)
    for n in range(200):  # through several rebuilds of a table that begins with 64 slots
        owned.register(f"n{n}", pack(1, n + 1, 1))
        assert reader.whereis(f"n{n}") == pack(1, n + 1, 1)
        if n % 3 == 0:
            owned.unregister(f"n{n // 2}")
            assert reader.whereis(f"n{n // 2}") is None
    assert sorted(reader.names()) == sorted(owned.names())
    assert reader.statistics().rebuilds > 1


def test_a_repeated_lookup_needs_no_search_whatever_else_changes(owned: SharedBackend, tmp_path: Path) -> None:
    owned.register("till", A)
    reader = SharedReader.open(tmp_path)
    for n in range(20):
        assert reader.whereis("till") == A
        owned.register(f"other-{n}", B)
    assert reader.statistics().searches == 1
    assert reader.statistics().hit_rate >= 0.85


def test_readers_never_meet_half_a_change(tmp_path: Path) -> None:
    # Each address and metadata say which name and round they belong to, so a mixture shows.
    owner = SharedBackend.create(tmp_path, partitions=2, capacity=1)

    def read() -> None:
        reader = SharedReader.open(tmp_path)
        while reader.whereis("stop") is None:
            for n in range(40):
                entry = reader.lookup(f"name-{n}")
                if entry is not None:
                    assert entry.name == f"name-{n}"
                    assert index_of(entry.address) == n + 1
                    assert entry.metadata == {"n": n, "pad": "x" * (generation_of(entry.address) % 50)}
            for entry in reader.items():
                assert entry.name == f"name-{index_of(entry.address) - 1}" or entry.name == "stop"

    readers = [in_a_fork(read) for _ in range(2)]
    for round_number in range(1, 150):
        for n in range(40):
            owner.register(f"name-{n}", pack(1, n + 1, round_number), {"n": n, "pad": "x" * (round_number % 50)})
        for n in range(40):
            owner.unregister(f"name-{n}")
    assert owner.statistics().rebuilds > 2
    owner.register("stop", A)
    assert all([ended_well(pid) for pid in readers])
    owner.remove()


def test_freed_room_is_used_again(owned: SharedBackend, tmp_path: Path) -> None:
    for n in range(20_000):
        owned.register("till", pack(1, 1, n + 1))
        owned.unregister("till")
    on_disk = sum(file.stat().st_blocks * 512 for file in tmp_path.iterdir())
    assert on_disk < 2**20


def test_only_the_current_tables_remain_as_files(owned: SharedBackend, tmp_path: Path) -> None:
    for n in range(500):
        owned.register(f"n{n}", A)
    assert len(list(tmp_path.iterdir())) == 2


def test_names_with_one_hash_are_told_apart(owned: SharedBackend) -> None:
    one, other = "plumless", "buckeroo"
    assert crc32(one.encode()) == crc32(other.encode())
    owned.register(one, A)
    assert owned.whereis(other) is None
    owned.register(other, B)
    assert (owned.whereis(one), owned.whereis(other)) == (A, B)
    owned.unregister(one)
    assert (owned.whereis(one), owned.whereis(other)) == (None, B)


def test_a_full_file_system_refuses_and_changes_nothing(
    owned: SharedBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    owned.register("till", A, {"a": 1})
    monkeypatch.setattr(os, "posix_fallocate", full)
    kept = ["till"]
    with pytest.raises(SharedMemoryFull, match="nothing was written"):
        for n in range(1000):
            owned.register(f"n{n}", B)
            kept.append(f"n{n}")
    files = sorted(tmp_path.iterdir())
    assert sorted(owned.names()) == sorted(kept)
    with pytest.raises(SharedMemoryFull):
        owned.register("one-more", B)
    assert owned.whereis("one-more") is None
    assert sorted(tmp_path.iterdir()) == files
    assert owned.unregister("till") is True
    monkeypatch.undo()
    owned.register("one-more", B)
    assert sorted(owned.release_owner(B)) == sorted([*kept[1:], "one-more"])


def test_a_registry_that_does_not_fit_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0

    def nearly_full(fd: int, offset: int, length: int) -> None:
        nonlocal made
        made += 1
        if made > 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", nearly_full)
    with pytest.raises(SharedMemoryFull):
        SharedBackend.create(tmp_path, partitions=8)
    assert list(tmp_path.iterdir()) == []


def test_an_adopted_registry_has_every_name_and_its_owners(tmp_path: Path) -> None:
    first = SharedBackend.create(tmp_path, partitions=8, capacity=1)
    for n in range(500):
        first.register(f"n{n}", pack(1, n % 50 + 1, 1), {"n": n})
    for n in range(0, 500, 2):
        first.unregister(f"n{n}")
    before = sorted(first.items())
    first.close()
    second = SharedBackend.adopt(tmp_path)
    assert sorted(second.items()) == before
    assert second.count() == 250
    assert sorted(second.release_owner(pack(1, 2, 1))) == sorted(f"n{n}" for n in range(1, 500, 50))
    old = before[-1]
    again = second.register(old.name, old.address, {"new": 1})
    assert again.version > old.version
    second.remove()


def test_a_living_owner_is_not_replaced(owned: SharedBackend, tmp_path: Path) -> None:
    with pytest.raises(RegistryOwned, match=str(os.getpid())):
        SharedBackend.adopt(tmp_path)
    with pytest.raises(FileExistsError):
        SharedBackend.create(tmp_path)
    owned.register("till", A)


def test_a_fork_of_the_owner_reads_but_does_not_write(owned: SharedBackend) -> None:
    owned.register("till", A)

    def use() -> None:
        assert owned.whereis("till") == A
        with pytest.raises(RuntimeError, match="fork"):
            owned.register("other", B)
        owned.close()

    assert ended_well(in_a_fork(use))
    owned.register("other", B)


def test_a_reader_outlives_the_files(tmp_path: Path) -> None:
    owner = SharedBackend.create(tmp_path, partitions=1)
    owner.register("till", A)
    reader = SharedReader.open(tmp_path)
    owner.remove()
    assert reader.whereis("till") == A
    with pytest.raises(FileNotFoundError):
        SharedReader.open(tmp_path)
    reader.close()


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    owner = SharedBackend.create(tmp_path, partitions=4, capacity=1)
    reader = SharedReader.open(tmp_path)
    for n in range(300):
        owner.register(f"n{n}", A)
        reader.whereis(f"n{n}")
    reader.close()
    owner.remove()
    del owner, reader
    assert len(os.listdir("/proc/self/fd")) <= before  # another test's garbage may have gone meanwhile


@pytest.mark.parametrize("offset", [0, 8, 16, 64])
@pytest.mark.parametrize("file", ["control", "table-0-0"])
def test_bytes_that_are_no_registry_are_not_used(tmp_path: Path, file: str, offset: int) -> None:
    SharedBackend.create(tmp_path, partitions=1).close()
    raw = bytearray((tmp_path / file).read_bytes())
    struct.pack_into("<Q", raw, offset, 0xFFFF_FFFF_FFFF if (file, offset) != ("control", 64) else 0)
    if (file, offset) == ("control", 64):
        raw = raw[:100]
    (tmp_path / file).write_bytes(raw)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(SegmentCorrupt):
        SharedBackend.adopt(tmp_path)
    assert len(os.listdir("/proc/self/fd")) <= before  # another test's garbage may have gone meanwhile


def test_a_slot_that_points_nowhere_is_not_used(tmp_path: Path) -> None:
    SharedBackend.create(tmp_path, partitions=1).close()
    with open(tmp_path / "table-0-0", "r+b") as file:
        file.seek(128)
        file.write(struct.pack("<Q", 1 << 32 | 1000))
    with pytest.raises(SegmentCorrupt, match="behind the tail"):
        SharedBackend.adopt(tmp_path)


def test_a_missing_table_is_corruption_not_absence(tmp_path: Path) -> None:
    SharedBackend.create(tmp_path, partitions=1).close()
    (tmp_path / "table-0-0").unlink()
    with pytest.raises(SegmentCorrupt, match="missing"):
        SharedReader.open(tmp_path)
    with pytest.raises(SegmentCorrupt, match="missing"):
        SharedBackend.adopt(tmp_path)


steps = st.tuples(
    st.sampled_from(["register", "unregister", "update", "release"]), st.integers(0, 60), st.integers(1, 4)
)


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, min_size=30, max_size=200))
def test_the_shared_backend_does_what_the_local_one_does(
    tmp_path_factory: pytest.TempPathFactory, plan: list[tuple[str, int, int]]
) -> None:
    directory = tmp_path_factory.mktemp("model")
    shared, local = SharedBackend.create(directory, 2, 1, is_alive=is_even), LocalBackend(2, is_alive=is_even)
    reader = SharedReader.open(directory)
    for number, (what, name, owner) in enumerate(plan):
        answers = []
        for backend in (shared, local):
            try:
                if what == "register":
                    answers.append(backend.register(f"n{name}", owner, {"m": number % 3}))
                elif what == "unregister":
                    answers.append(backend.unregister(f"n{name}", owner))
                elif what == "update":
                    answers.append(backend.update_metadata(f"n{name}", {"m": number}))
                else:
                    answers.append(backend.release_owner(owner))
            except Exception as error:
                answers.append(repr(error))
        assert answers[0] == answers[1]
        assert reader.lookup(f"n{name}") == local.lookup(f"n{name}")
    assert sorted(reader.items()) == sorted(local.items())
    assert reader.count() == local.count()
    reader.close()
    shared.remove()


def is_even(address: int) -> bool:
    return address % 2 == 0
