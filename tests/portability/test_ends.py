"""Without pidfds no end of a worker is missed, whatever it had forked; and a typo is refused before anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from forking_actors import Forker

import actorlab as al

pytestmark = pytest.mark.process


def test_a_worker_is_replaced_though_a_child_it_forked_in_c_holds_its_pipe_open(without, eventually):
    without("pidfd")
    tree = al.Supervisor(strategy="one_for_one", children=[al.child(Forker, name="forker")])
    with al.Node(workers=1, tree=tree, heartbeat_s=0.05) as node:
        ref = node.whereis("forker")
        before, child = ref.call.pid(), ref.call.fork_in_c()
        try:
            os.kill(before, signal.SIGKILL)
            eventually(lambda: [worker.pid for worker in node.workers] not in ([], [before], [0]), within_s=30.0)
            assert ref.within(30.0).call.pid() != before
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_name_that_is_no_capability_stops_a_node_before_it_makes_anything(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", "import actorlab as al; al.Node(workers=1)"],
        env={**os.environ, "ACTORLAB_WITHOUT": "pidfds", "ACTORLAB_RUNTIME_DIR": str(tmp_path)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 1
    assert "SpecError: ACTORLAB_WITHOUT='pidfds': is no capability: use pidfd, " in ran.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
