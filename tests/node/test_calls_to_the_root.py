"""The root supervisor has the first place of the controller, and is called from workers like any other actor."""

from __future__ import annotations

import pytest
from handlers_drill import Asker, Worker

import actorlab as al

pytestmark = pytest.mark.process


def test_a_handler_of_a_worker_calls_the_root_supervisor() -> None:
    with al.Node(workers=1) as node:
        root = node.start(al.DynamicSupervisor("root"))
        asker = node.spawn(Asker)
        assert asker.call.count(root) == 0
        assert asker.call.start_one(root, Worker).call.do(1) == 1
        assert asker.call.count(root) == 1
        assert asker.call.acount(root) == 1
