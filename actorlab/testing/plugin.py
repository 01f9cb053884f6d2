"""The pytest plugin: fixtures for suites that test actors.

Edge (pytest hooks); loaded by its entry point in every suite of the environment, so it imports nothing but pytest until
a fixture is used, has no automatic fixture, and every name begins with `actorlab_`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..node import Node
    from .clock import VirtualClock
    from .leaks import LeakCheck
    from .probe import Probe


@pytest.fixture
def actorlab_node() -> Iterator[Node]:
    """A node in this process, without workers. Messages are pickled all the same, as they are between processes."""
    from ..node import Node

    with Node(workers=0, strict_messages=True) as node:
        yield node


@pytest.fixture
def actorlab_workers() -> Iterator[Callable[..., Node]]:
    """`actorlab_workers(2, …)` opens a node of two workers (and NodeOptions, or `tree=`); it is stopped at the end."""
    from ..node import Node

    opened: list[Node] = []

    def open_node(workers: int = 2, **options: Any) -> Node:
        opened.append(Node(workers=workers, **options))
        return opened[-1]

    yield open_node
    for node in reversed(opened):
        node.stop()


@pytest.fixture
def actorlab_clock(actorlab_node: Node) -> Iterator[VirtualClock]:
    """The time of `actorlab_node`: it stands still until the test moves it."""
    from .clock import VirtualClock

    with VirtualClock(actorlab_node) as clock:
        yield clock


@pytest.fixture
def actorlab_probe(actorlab_node: Node) -> Probe:
    """A probe on `actorlab_node`."""
    from .probe import Probe

    return Probe(actorlab_node)


@pytest.fixture
def actorlab_leaks() -> Iterator[LeakCheck]:
    """Fails the test if it leaves a process, a descriptor or a node's directory behind. Name it first."""
    from .leaks import LeakCheck

    check = LeakCheck()
    yield check
    check.check()


@pytest.fixture
def actorlab_eventually() -> Callable[..., None]:
    """`actorlab_eventually(condition, within_s=20)` waits for what another process or thread brings about."""
    from .patience import eventually

    return eventually
