"""A node in another process, looked at once; and looks like it that never were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from command_line import Command
from watched_shop import running_shop

from actorlab.observe import Snapshot, snapshot


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    with running_shop(tmp_path_factory.mktemp("shop")) as command:
        yield command


@pytest.fixture(scope="module")
def look(shop: Command) -> Snapshot:
    """A real look at the shop."""
    return snapshot("shop", interval_s=0.05)
