"""Without the kernel's list of locks, who holds a segment is whoever lives and noted it, if anybody holds it at all."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest

from actorlab.errors import MissingCapability, StreamBusy
from actorlab.memory import ContextPool, PoolSettings

pytestmark = pytest.mark.process

HOLD = "import sys, pickle; x = pickle.loads(bytes.fromhex(sys.argv[1])).get(); print('held', flush=True); input()"


@pytest.fixture
def pool(without, tmp_path):
    without("proc")
    return ContextPool(tmp_path, "p", 1 << 20)


@pytest.fixture
def holder(pool):
    """A process that holds the one version of the dataset `d`."""
    handle = pool.put("d", b"x" * 10_000)
    command = [sys.executable, "-c", HOLD, pickle.dumps(handle).hex()]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def held_by(pool):
    return [(row.dataset, row.version, row.pid) for row in pool.leases()]


def test_a_living_holder_is_named(pool, holder):
    assert held_by(pool) == [("d", 1, holder.pid)]


def test_a_killed_holder_is_nobody_even_before_its_note_is_removed(pool, holder):
    holder.kill()
    holder.communicate()
    assert held_by(pool) == []


def test_what_nobody_holds_any_more_has_no_holders(pool):
    data = pool.put("e", b"y" * 10_000).get()
    assert held_by(pool) == [("e", 1, os.getpid())]
    del data
    assert held_by(pool) == []


def test_a_stream_that_somebody_writes_is_refused_without_a_name(pool):
    with pool.append_stream("s"):
        with pytest.raises(StreamBusy) as refused:
            pool.append_stream("s")
        assert str(os.getpid()) not in str(refused.value)


def test_memory_without_files_is_refused_and_nothing_is_made(pool, tmp_path):
    with pytest.raises(MissingCapability, match=r"backend: 'memfd' cannot be had here: this system lacks memfd"):
        ContextPool(tmp_path, "q", settings=PoolSettings(backend="memfd"))
    assert os.listdir(tmp_path) == ["p"]
