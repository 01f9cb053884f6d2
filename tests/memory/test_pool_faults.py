"""What can go wrong around a pool: no room, damaged and strange files, another user, stopped processes, descriptors."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pool_drill import MIB, helper, table, temporaries

from actorlab.errors import SegmentCorrupt, SegmentGone, SharedMemoryError, SharedMemoryFull, UnsafeDirectory
from actorlab.memory import ContextPool, Handle, PoolSettings


@pytest.fixture
def pool(tmp_path: Path) -> ContextPool:
    return ContextPool(tmp_path, "p", max_bytes=64 * MIB)


def rewritten(path: str, change: str) -> None:
    """Replace a sealed file's bytes, as only somebody who is not a pool would."""
    content = bytearray(Path(path).read_bytes())
    if change == "cut":
        del content[len(content) // 2 :]
    elif change == "empty":
        content.clear()
    elif change == "longer":
        content += bytes(4096)
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.truncate(len(content))
        file.write(content)
    os.chmod(path, 0o400)


@pytest.mark.parametrize("change", ["cut", "empty", "longer"])
@pytest.mark.parametrize("data", [table(), np.arange(3000), b"x" * 5000], ids=["table", "array", "bytes"])
def test_a_file_of_another_length_is_refused(pool, change, data):
    handle = pool.put("v", data)
    rewritten(handle.path, change)
    with pytest.raises(SegmentCorrupt):
        handle.get()


@pytest.mark.parametrize("data", [table(50), np.arange(50)], ids=["table", "array"])
def test_a_byte_changed_anywhere_is_refused_or_found_by_the_checksum(pool, data):
    """A `get` never crashes and never gives another type; what it cannot see (a value), `verify` does."""
    reference = Path(pool.put("v", data).path).read_bytes()
    for at in range(0, len(reference), 3):
        handle = pool.put("v", data)
        with open(handle.path, "r+b") as file:
            file.seek(at)
            file.write(bytes((reference[at] ^ 0xFF,)))
        try:
            assert type(handle.get()) is type(data)
        except (SharedMemoryError, pa.ArrowException, ValueError, TypeError, LookupError, AttributeError, ImportError):
            pass
        except Exception as error:  # an unpickling error of whatever kind is told to whoever asked
            assert type(error).__module__ in ("_pickle", "builtins"), repr(error)
        with pytest.raises(SegmentCorrupt):
            pool.verify(handle)


def test_nothing_of_another_user_is_unpickled(pool, monkeypatch):
    handle = pool.put("v", Trap())
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(SegmentCorrupt, match="not a file of this user"):
        handle.get()
    assert not Trap.sprung
    with pytest.raises(UnsafeDirectory, match="not a directory of this user"):
        ContextPool(os.path.dirname(pool.path), "p")


class Trap:
    """Notes that it was unpickled."""

    sprung: list[int] = []

    def __reduce__(self):
        return Trap.spring, ()

    @staticmethod
    def spring() -> None:
        Trap.sprung.append(1)


@pytest.mark.parametrize("mode", [0o777, 0o750, 0o701])
def test_a_directory_that_others_may_enter_is_refused(tmp_path, mode):
    ContextPool(tmp_path, "p")
    (tmp_path / "p").chmod(mode)
    with pytest.raises(UnsafeDirectory, match="others may enter"):
        ContextPool(tmp_path, "p")


def test_a_pool_that_is_a_link_is_refused(tmp_path):
    ContextPool(tmp_path, "p")
    (tmp_path / "q").symlink_to(tmp_path / "p")
    with pytest.raises(UnsafeDirectory):
        ContextPool(tmp_path, "q")


def test_without_descriptors_it_is_a_typed_error_and_the_pool_goes_on(pool):
    handle, taken = pool.put("v", table()), []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 8, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        with pytest.raises(SharedMemoryError, match="Too many open files"):
            handle.get()
        with pytest.raises(OSError, match="Too many open files"):
            pool.put("v", table(5))
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert handle.get().equals(table())
    assert pool.put("v", table(5)).get().num_rows == 5


def test_a_lock_holder_that_is_stopped_is_an_error_for_writers_and_nothing_for_readers(pool, monkeypatch):
    handle = pool.publish("v", table())
    monkeypatch.setattr("actorlab.memory.catalogue._LOCK_TIMEOUT_S", 0.05)
    with helper(pool) as other:
        other.do(
            "pool = ContextPool(directory, name); kept['lock'] = pool.catalogue.locked(); kept['lock'].__enter__()"
        )
        other.signal(signal.SIGSTOP)
        with pytest.raises(SharedMemoryError, match="is a writer stopped"):
            pool.put("v", table(5))
        assert pool.get("v").equals(table())
        assert pool.leases() == ()
        other.kill()
    assert pool.put("v", table(5)).version == 2
    assert temporaries(pool) == []
    assert handle.version == 1


def test_a_node_that_is_gone_has_no_pool_to_write_to(tmp_path):
    pools = tmp_path / "node" / "pools"
    pools.mkdir(parents=True)
    pool = ContextPool(pools, "p")
    handle = pool.put("v", table())
    kept = handle.get()
    shutil.rmtree(tmp_path / "node")
    with pytest.raises(SegmentGone):
        pool.put("v", table())
    with pytest.raises(SegmentGone):
        pool.publish("v", table())
    assert not (tmp_path / "node").exists()
    assert not pool.drop(handle)
    assert kept.equals(table())


def test_a_writer_stopped_half_way_counts_and_one_that_is_killed_does_not(pool):
    with helper(pool) as writer:
        writer.do("pool = ContextPool(directory, name)")
        writer.do(
            "def batches():\n    yield pa.record_batch({'n': np.arange(100_000)})\n"
            "    print('done', flush=True)\n    sys.stdin.read()\n"
            "pool.put('v', batches())"
        )
        writer.signal(signal.SIGSTOP)
        pool.tidy()
        assert pool.bytes_free() <= 64 * MIB - 800_000
        assert pool.put("v", table()).get().num_rows == 1000
        writer.kill()
    pool.tidy()
    assert pool.bytes_free() == 64 * MIB - pool.bytes_shared()


FULL = """
import os, sys, numpy as np
from actorlab.errors import PoolFull, SharedMemoryFull
from actorlab.memory import ContextPool
pool = ContextPool(sys.argv[1], "p", 1 << 30)
kept = [pool.put("v", np.arange(100_000)).get()]
said = []
def endless():
    import pyarrow as pa
    while True:
        yield pa.record_batch({"n": np.arange(100_000)})
for data in (np.arange(1_000_000), np.zeros(1_000_000), endless()):
    try:
        pool.put("w", data)
    except SharedMemoryFull as error:
        said.append((type(error).__name__, "nothing was written" in str(error), error.needed_bytes > error.free_bytes))
assert kept[0][-1] == 99_999
assert [name for name in os.listdir(pool.catalogue.segments) if name.startswith(".")] == []
again = pool.put("w", np.arange(10)).get()
print(said)
"""


def test_a_small_file_system_that_is_full_is_a_typed_error_and_never_a_crash(tmp_path):
    """A tmpfs of 4 MB, mounted in a name space of the test's own, or of the user's where that needs no rights."""
    command = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    script = f'mount -t tmpfs -o size=4m none "{tmp_path}" && exec "{sys.executable}" -c "$SOURCE" "{tmp_path}"'
    environment = os.environ | {"SOURCE": FULL, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([*command, "sh", "-c", script], capture_output=True, text=True, timeout=60, env=environment)
    assert done.stdout.strip() == str([("SharedMemoryFull", True, True)] * 3), done.stderr


def test_a_handle_of_a_pool_that_never_was_is_gone(tmp_path):
    with pytest.raises(SegmentGone):
        Handle(str(tmp_path / "nowhere"), "v", 1, 2, 3, 4, 5).get()


def test_settings_are_those_of_whoever_was_first(tmp_path):
    pools = [ContextPool(tmp_path, "p", settings=PoolSettings(keep_last=3)), ContextPool(tmp_path, "p")]
    assert {pool.settings.keep_last for pool in pools} == {3}
    assert not issubclass(SharedMemoryFull, SegmentGone)
