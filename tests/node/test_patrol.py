"""Who is put down for not beating; time in which the controller itself stood still blames nobody and hides nobody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

import actorlab as al
from actorlab.node import patrol
from actorlab.transport import BEAT, BEAT2, ROW_U64

BEAT_S, HANG_S = 0.05, 0.6


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """`look(after_s, beats=…)`: the controller looks again after so long; whether it has put the worker down."""
    now, down, words = [100.0], [], [0] * (2 * ROW_U64)
    monkeypatch.setattr(patrol, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(patrol, "is_stopped", lambda process: False)
    monkeypatch.setattr(patrol, "MemoryWatch", lambda *_: SimpleNamespace(look=lambda *_: None))
    monkeypatch.setattr(patrol.Patrol, "put_down", lambda self, *why: down.append(why))
    slot: Any = patrol.Slot(1)
    slot.process = SimpleNamespace(pid=7, has_ended_unseen=lambda: False)
    slot.ready.reply(7)
    slot.beats = (0, now[0], 0, now[0])
    runtime = SimpleNamespace(signs=None, pool_made=lambda folder: None, happened=lambda *_: None)
    options = al.NodeOptions(heartbeat_s=BEAT_S, hang_timeout_s=HANG_S)
    board = SimpleNamespace(u64=words)
    watch: Any = patrol.Patrol
    one = watch({1: slot}, board, options, runtime, tmp_path, lambda number: None, lambda *_: None)

    def look_again(after_s: float, beats: bool = False) -> bool:
        now[0] += after_s
        words[ROW_U64 + BEAT] += beats
        words[ROW_U64 + BEAT2] += beats
        one.look()
        return bool(down)

    return look_again


def test_who_does_not_beat_is_put_down_when_its_time_is_up(look: Callable[..., bool]) -> None:
    assert not any(look(BEAT_S) for _ in range(round(HANG_S / BEAT_S) - 1))
    assert any(look(BEAT_S) for _ in range(2))


def test_a_machine_that_stood_still_puts_nobody_down(look: Callable[..., bool]) -> None:
    for _ in range(50):
        assert not look(BEAT_S, beats=True)
        assert not look(BEAT_S)
        assert not look(100.0)
        assert not look(BEAT_S)


def test_a_machine_that_stands_still_again_and_again_hides_nobody_who_hangs(look: Callable[..., bool]) -> None:
    ticks = round(HANG_S / BEAT_S) + 1
    assert any(look(BEAT_S) or look(10 * BEAT_S) for _ in range(ticks))


@pytest.mark.process
def test_a_replacement_that_is_frozen_before_it_is_ready_is_replaced(eventually: Callable[..., None]) -> None:
    with al.Node(workers=1, spares=1, heartbeat_s=0.05, hang_timeout_s=0.5, start_timeout_s=2.0) as node:
        launcher = node._controller.launcher
        eventually(lambda: launcher.spare_pid)
        spare = psutil.Process(launcher.spare_pid)
        spare.suspend()
        node.kill_worker(1)
        eventually(lambda: node.workers[0].pid == spare.pid)
        eventually(lambda: node.workers[0].pid not in (0, spare.pid))
        node.wait_idle(20)
        assert node.spawn(al.Actor, placement=1).is_alive()
