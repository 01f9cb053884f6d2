"""One node of two workers a module of promises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from promise_drill import open_all_lanes

import actorlab as al


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with al.Node(workers=2) as node:
        open_all_lanes(node)
        yield node
