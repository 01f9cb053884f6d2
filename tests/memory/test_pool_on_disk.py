"""A pool on another disk: the same to whoever uses it; gone with its node, or kept, checked and adopted by the next."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from pool_drill import MIB, helper, table

from actorlab.errors import AlreadyRunning, SegmentCorrupt, SegmentGone, UnsafeDirectory
from actorlab.memory import ContextPool, Janitor, PoolSettings, adoption, read_usage, remove_pools


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    (tmp_path / "disk").mkdir(mode=0o700)
    return tmp_path / "disk"


def node(tmp_path: Path, name: str) -> Path:
    """A node's directory, as far as pools know one."""
    (tmp_path / name / "pools").mkdir(parents=True, mode=0o700)
    return tmp_path / name


def opened(where: Path, disk: Path, persist: bool = False) -> ContextPool:
    settings = PoolSettings(64 * MIB, backend="file", directory=str(disk), persist=persist)
    return ContextPool(where / "pools", "p", settings=settings)


def test_its_data_lie_there_and_are_read_as_ever(tmp_path, disk):
    where = node(tmp_path, "a")
    pool = opened(where, disk)
    handle = pool.publish("v", table())
    (folder,) = disk.iterdir()
    assert os.path.realpath(handle.path).startswith(str(folder))
    with helper(pool) as reader:
        reader.take(handle)
        assert pool.leases()[0].pid == reader.pid
    assert handle.get().equals(table())
    (usage,) = read_usage(where)
    assert (usage.backend, usage.live_bytes) == ("file", pool.bytes_shared())
    remove_pools(where)
    assert list(disk.iterdir()) == [], "it goes with its node"
    with pytest.raises(SegmentGone):
        handle.get()


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_place_that_others_could_tamper_with_is_refused(tmp_path, disk, mode):
    disk.chmod(mode)
    if mode == 0o777:
        with pytest.raises(UnsafeDirectory, match="not sticky"):
            opened(node(tmp_path, "a"), disk)
        return
    (disk / "p").mkdir(mode=0o755)
    with pytest.raises(UnsafeDirectory, match="others may enter"):
        opened(node(tmp_path, "a"), disk, persist=True)
    (disk / "p").rmdir()
    (disk / "p").symlink_to(tmp_path)
    with pytest.raises(UnsafeDirectory, match="not a directory"):
        opened(node(tmp_path, "b"), disk, persist=True)


def test_a_place_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UnsafeDirectory, match="No such file"):
        opened(node(tmp_path, "a"), tmp_path / "nowhere")


def test_a_pool_that_is_kept_is_the_next_nodes(tmp_path, disk):
    first = opened(node(tmp_path, "a"), disk, persist=True)
    first.publish("v", table(10))
    first.publish("v", table(20))
    first.close()
    remove_pools(tmp_path / "a")
    second = opened(node(tmp_path, "b"), disk, persist=True)
    assert second.get("v").equals(table(20))
    assert second.get("v", version=1).equals(table(10))
    assert second.publish("v", table(30)).version == 3
    second.close()


def test_two_nodes_cannot_have_one_pool_at_a_time(tmp_path, disk):
    first = opened(node(tmp_path, "a"), disk, persist=True)
    again = opened(tmp_path / "a", disk, persist=True)
    with pytest.raises(AlreadyRunning, match=r"a/pools/p uses"):
        opened(node(tmp_path, "b"), disk, persist=True)
    first.close()
    with pytest.raises(AlreadyRunning):
        opened(tmp_path / "b", disk, persist=True)
    again.close()
    opened(tmp_path / "b", disk, persist=True).close()


def test_a_pool_whose_processes_were_killed_can_be_had_at_once(tmp_path, disk):
    first = opened(node(tmp_path, "a"), disk, persist=True)
    handle = first.publish("v", table())
    with helper(first) as other:
        first.close()
        other.do("pool = ContextPool(directory, name)")
        with pytest.raises(AlreadyRunning):
            opened(node(tmp_path, "b"), disk, persist=True)
        other.signal(signal.SIGKILL)
        other.process.wait()
    second = opened(tmp_path / "b", disk, persist=True)
    assert second.current("v").version == handle.version
    second.close()


def test_what_does_not_hold_what_was_sealed_is_put_aside_and_the_rest_adopted(tmp_path, disk, caplog):
    first = opened(node(tmp_path, "a"), disk, persist=True)
    old, new, other = first.publish("v", table(3000)), first.publish("v", table(4000)), first.publish("w", table(9))
    size = os.path.getsize(new.path)
    with open(new.path, "r+b") as file:  # one bit in the middle of a column, which Arrow does not see
        file.seek(size // 2)
        byte = file.read(1)[0]
        file.seek(size // 2)
        file.write(bytes((byte ^ 1,)))
    first.close()
    second = opened(node(tmp_path, "b"), disk, persist=True)
    assert second.current("v").version == old.version, "the newest that is whole"
    assert second.get("v").equals(table(3000))
    assert second.get("w").equals(table(9))
    assert len(os.listdir(disk / "p" / "quarantine")) == 1
    assert "does not hold what was sealed" in caplog.text
    assert other.version == 1
    second.close()


def test_every_damaged_byte_is_found(tmp_path, disk):
    pool = opened(node(tmp_path, "a"), disk)
    reference = pool.put("v", np.arange(100))
    content = Path(reference.path).read_bytes()
    for at in range(0, len(content), 7):
        handle = pool.put("v", np.arange(100))
        with open(handle.path, "r+b") as file:
            file.seek(at)
            file.write(bytes((content[at] ^ 0x10,)))
        with pytest.raises(SegmentCorrupt, match="put aside"):
            pool.verify(handle)
        with pytest.raises(SegmentGone):
            handle.get()
    sound = pool.put("v", np.arange(100))
    pool.verify(sound)
    assert sound.get()[99] == 99


def test_what_a_killed_writer_left_is_swept_by_the_adoption(tmp_path, disk):
    first = opened(node(tmp_path, "a"), disk, persist=True)
    first.publish("v", table(10))
    with helper(first) as writer:
        writer.do("pool = ContextPool(directory, name)")
        source = (
            "def batches():\n    yield pa.record_batch({'n': [1]})\n"
            "    print('done', flush=True)\n    sys.stdin.read()\n"
            "pool.put('v', batches())"
        )
        writer.do(source)
        first.close()
        writer.kill()
    assert any(name.startswith(".tmp") for name in os.listdir(disk / "p" / "segments"))
    second = opened(node(tmp_path, "b"), disk, persist=True)
    assert not any(name.startswith(".tmp") for name in os.listdir(disk / "p" / "segments"))
    assert second.get("v").equals(table(10))
    second.close()


def test_a_pool_that_another_node_took_while_its_lock_was_shared_out_is_that_node_s(tmp_path, disk, monkeypatch):
    flock, others = fcntl.flock, []
    here, there = node(tmp_path, "a"), node(tmp_path, "b")

    def flock_in_two_steps(fd: int, operation: int) -> None:
        if operation & fcntl.LOCK_SH:  # one lock for another: the kernel gives up the first before it has the second
            monkeypatch.setattr(fcntl, "flock", flock)
            flock(fd, fcntl.LOCK_UN)
            others.append(opened(there, disk, persist=True))
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock_in_two_steps)
    with pytest.raises(AlreadyRunning, match="b/pools/p"):
        opened(here, disk, persist=True)
    (other,) = others
    other.close()


def test_a_version_is_compressed_while_it_is_verified(tmp_path, monkeypatch):
    where = node(tmp_path, "a")
    settings = PoolSettings(16 * MIB, keep_last=5, cold_after_s=1e-9)
    pool = ContextPool(where / "pools", "p", settings=settings)
    old = pool.publish("v", table(10_000))
    pool.publish("v", table(20_000))
    fault = adoption._fault

    def compressed_meanwhile(stored: object) -> str:
        monkeypatch.setattr(adoption, "_fault", fault)
        Janitor(pool.path).look()
        return fault(stored)  # type: ignore[arg-type]

    monkeypatch.setattr(adoption, "_fault", compressed_meanwhile)
    pool.verify(old)
    assert read_usage(where)[0].cold_bytes
    assert old.get().equals(table(10_000))


def test_a_version_dropped_while_it_is_verified_is_gone(tmp_path, disk, monkeypatch):
    pool = opened(node(tmp_path, "a"), disk)
    handle = pool.put("v", table())
    fault = adoption._fault
    monkeypatch.setattr(adoption, "_fault", lambda stored: (pool.drop(handle), fault(stored))[1])
    with pytest.raises(SegmentGone):
        pool.verify(handle)
