"""Promise 9: a killed worker never blocks another; a killed controller leaves no process and no file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from promise_drill import Recorder, Talker

import actorlab as al

pytestmark = pytest.mark.process

Eventually = Callable[..., None]

CONTROLLER = """
import sys, time
import actorlab as al
if __name__ == "__main__":
    node = al.Node(workers=2)
    print(node.directory, *[worker.pid for worker in node.workers], flush=True)
    time.sleep(60)
"""


def test_a_killed_worker_never_blocks_another(eventually: Eventually) -> None:
    """Promise 9: the others go on, with each other and with its replacement, whatever it was doing."""
    with al.Node(workers=3) as node:
        victims = [node.spawn(Talker, placement=1) for _ in range(3)]
        receivers = [node.spawn(Recorder, placement=worker) for worker in (2, 3)]
        for round_ in range(3):
            for victim in [node.spawn(Talker, placement=1) for _ in range(2)] if round_ else victims:
                for receiver in receivers:
                    victim.cast.talk(receiver, "victim", 2000)
            pid = node.workers[0].pid
            os.kill(pid, signal.SIGKILL)
            for receiver in receivers:
                other = receivers[0] if receiver is receivers[1] else receivers[1]
                assert receiver.within(10).call.ask_of(other, "take", round_) == round_
            eventually(lambda pid=pid: node.workers[0].pid not in (0, pid))
            node.wait_idle(20)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that its adopter has not waited for does not."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def test_a_killed_controller_leaves_no_process_and_no_file(tmp_path: Path, eventually: Eventually) -> None:
    """Promise 9: the last one standing removes the directory."""
    script = tmp_path / "controller.py"
    script.write_text(CONTROLLER)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as controller:
        assert controller.stdout is not None
        directory, *pids = controller.stdout.readline().split()
        assert Path(directory).is_dir()
        controller.kill()
    eventually(lambda: not any(is_alive(int(pid)) for pid in pids))
    eventually(lambda: not Path(directory).exists())
