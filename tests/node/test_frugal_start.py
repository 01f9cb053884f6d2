"""What a node does not spend: library pages nobody needs, huge pages for a byte, workers that stand idle."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import psutil
import pytest
from lazy_drill import Allocator, Searcher

import actorlab as al
from actorlab.node import code_pages

pytestmark = pytest.mark.process


def file_pages(pid: int) -> int:
    """Return the kB of files that a process alone has mapped."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    found = re.search(r"^Pss_File: +(\d+)", rollup, re.M)
    assert found is not None
    return int(found[1])


def test_unchanged_library_pages_go_and_come_back_when_needed() -> None:
    pid = os.fork()
    if pid == 0:
        try:
            import numpy as np
            import pyarrow as pa
            import pyarrow.compute as pc

            assert pc.sum(pa.array(np.arange(10))).as_py() == 45
            before = file_pages(os.getpid())
            given = code_pages.give_back_code()
            after = file_pages(os.getpid())
            assert given > 1 << 20 and after < before
            assert pc.sum(pa.array(np.arange(1000))).as_py() == 499500
            assert pa.array(["a", "b"]).to_pylist() == ["a", "b"]
            assert float(np.linalg.det(np.eye(3))) == 1.0
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_forkserver_keeps_no_library_pages() -> None:
    with al.Node(workers=1, preload=("numpy", "pyarrow")) as node:
        node.wait_idle()
        servers = [child for child in psutil.Process().children() if child.name() == "al-forkserver"]
        assert servers and all(file_pages(server.pid) < 4096 for server in servers)


def test_a_worker_that_allocates_a_little_gets_no_huge_pages() -> None:
    with al.Node(workers=1, preload=("pyarrow",)) as node:
        assert node.spawn(Allocator).call.huge_kb() == 0


@pytest.mark.parametrize("number", [1, 3, 10, 1001])
def test_actors_alike_are_spread_over_all_workers(number: int) -> None:
    with al.Node(workers=3) as node:
        refs = node.spawn_many(Searcher, number, None)
        assert len(refs) == number
        spread = Counter(ref.home for ref in refs)
        assert max(spread.values()) <= -(-number // 3)
        assert {ref.home for ref in node.spawn_many(Searcher, 4, None, placement=2)} == {2}
