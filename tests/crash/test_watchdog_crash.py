"""A worker SIGKILLed between two stores of its watchdog: who is seen to hold the loop is seen with the time since."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import pytest

from actorlab.ids import pack
from actorlab.node import watchdog
from actorlab.transport import BUSY_FROM, CURRENT, ROW_U64, Board, arm_crashpoints, crashpoint_labels, kill_at

SLOT = 3
HOLDER = pack(SLOT, 5, 1)


def held_and_over(path):
    """Be a watchdog whose loop is held by somebody, and comes free again."""
    asked = []
    kernel = SimpleNamespace(
        home=SLOT,
        ident=0,
        post=asked.append,
        current=SimpleNamespace(name="holder", address=HOLDER),
        admission=SimpleNamespace(publish_depths=lambda: None),
        runtime=SimpleNamespace(report=lambda *_: None),
    )
    signs = SimpleNamespace(beat=lambda: None, turned=lambda: None)
    watch = watchdog.LoopWatch(kernel, Board.open(path), SLOT, 1e-9, 1.0, signs)
    watch.beat()
    watch.beat()  # unanswered
    asked.pop()()
    watch.beat()


@pytest.mark.parametrize("label", crashpoint_labels(watchdog))
def test_who_is_seen_to_hold_a_loop_is_seen_with_the_time_since(tmp_path, label):
    Board.create(tmp_path / "board").close()
    pid = os.fork()
    if pid == 0:
        try:
            arm_crashpoints(watchdog, kill_at(label, 1))
            held_and_over(tmp_path / "board")
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    board = Board.open(tmp_path / "board")
    holder, since = board.u64[SLOT * ROW_U64 + CURRENT], board.u64[SLOT * ROW_U64 + BUSY_FROM]
    assert holder == (HOLDER if label in ("held.said", "held.over") else 0)
    assert bool(since) == (label not in ("held.since", "held.never"))
    board.occupy(SLOT, os.getpid())  # a process that is dead holds nothing
    assert (board.u64[SLOT * ROW_U64 + CURRENT], board.u64[SLOT * ROW_U64 + BUSY_FROM]) == (0, 0)
    board.close()
