"""Which partition a name belongs to: the same everywhere, and evenly."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from actorlab.registry import LocalBackend, hash_of, partition_of
from actorlab.registry.hashing import home_slot


def test_the_hash_is_the_same_in_every_process() -> None:
    program = "from actorlab.registry import hash_of; print(hash_of('日本'.encode()), hash_of(b'till'))"
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"}
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert told.stdout.split() == [str(hash_of("日本".encode())), str(hash_of(b"till"))]


@pytest.mark.parametrize("pattern", ["agent-{}", "{}", "worker-{:06}", "shard-{}-of-64", "日本-{}"])
def test_numbered_names_spread_evenly(pattern: str) -> None:
    hashes = [hash_of(pattern.format(n).encode()) for n in range(8000)]
    parts = Counter(partition_of(hashed, 8) for hashed in hashes)
    assert max(parts.values()) < 1.3 * min(parts.values())
    slots = Counter(home_slot(hashed, 8, 4096) for hashed in hashes)
    assert max(slots.values()) < 16


@pytest.mark.parametrize("partitions", [0, 257, True, 1.0])
def test_an_impossible_number_of_partitions_is_refused(partitions: int) -> None:
    with pytest.raises(ValueError, match="partitions"):
        LocalBackend(partitions)
