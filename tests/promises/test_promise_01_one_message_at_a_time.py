"""Promise 1: an actor handles one message at a time (unless it says `reentrant = True`)."""

from __future__ import annotations

from typing import Any

import pytest
from promise_drill import Narrow, NarrowThread, Recorder

import actorlab as al

pytestmark = pytest.mark.process


@pytest.mark.parametrize("cls", [Narrow, NarrowThread])
def test_handlers_of_one_actor_never_overlap_however_they_wait(node: al.Node, cls: type[Any]) -> None:
    """Promise 1: plain, parked, awaiting and threaded handlers, sent from three processes at once."""
    other = node.spawn(Recorder, placement=2)
    ref = node.spawn(cls, other, placement=1)
    futures = []
    for n in range(60):
        futures.append(ref.request.parked())
        ref.cast.plain()
        if cls is Narrow:
            futures.append(ref.request.awaiting())
        ref.tell(n)
    for future in futures:
        future.get(timeout=20)
    most, done = ref.within(10).call.report()
    assert most == 1
    assert done == 60 * 2 + len(futures)
