"""Promise 10: sealed data never changes and stays readable until released."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from promise_drill import Reader

import actorlab as al

pytestmark = pytest.mark.process


@pytest.fixture
def node() -> Iterator[al.Node]:
    with al.Node(workers=2) as node:
        yield node


def test_sealed_data_cannot_be_written(node: al.Node) -> None:
    """Promise 10: sealed data never changes, not even by whoever put it there."""
    pool = node.pool("p")
    numbers = np.arange(1000)
    handle = pool.put("v1", pa.table({"n": numbers}))
    numbers[0] = 99
    mine = handle.get().column("n").chunk(0)
    assert mine[0].as_py() == 0
    assert not mine.buffers()[1].is_mutable
    reader = node.spawn(Reader, placement=1)
    assert reader.call.try_to_write(handle) == "ValueError"
    assert reader.call.total(handle) == 499_500


def test_sealed_data_stay_readable_until_released(node: al.Node) -> None:
    """Promise 10: a reader that holds it keeps it, after the drop and after another version was put."""
    pool = node.pool("p")
    handle = pool.put("v1", pa.table({"n": list(range(1000))}))
    reader = node.spawn(Reader, placement=2)
    reader.call.keep(handle)
    pool.put("v2", pa.table({"n": [0]}))
    pool.drop(handle)
    assert reader.call.kept_total() == 499_500
