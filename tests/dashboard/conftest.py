"""A node in one process and its dashboard in another; shared by a module's tests, which only look."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from command_line import Command
from dashboard_face import Face
from watched_shop import running_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    with running_shop(tmp_path_factory.mktemp("shop")) as command:
        yield command


def start(*options: str) -> Face:
    """Start a dashboard of the shop and wait until it can be opened."""
    command = Command("dashboard", "shop", "--port", "0", "--json", *options)
    assert command.process.stdout is not None
    line = command.process.stdout.readline()
    assert line, command.end()
    return Face(command, json.loads(line)["address"])


@pytest.fixture
def open_dashboard(shop: Command) -> Iterator[Callable[..., Face]]:
    """`open_dashboard("--host", …)` starts one more dashboard of the shop; it ends with the test."""
    started: list[Face] = []

    def open_one(*options: str) -> Face:
        started.append(start(*options))
        return started[-1]

    yield open_one
    for face in started:
        with face.command:
            pass


@pytest.fixture(scope="module")
def face(shop: Command) -> Iterator[Face]:
    """The shop's dashboard, as it is without options."""
    face = start()
    with face.command:
        yield face
