"""Who is put down for not beating; time in which the controller itself stood still blames nobody and hides nobody."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

import actorlab as al
from actorlab.node import patrol
from actorlab.testing import poll
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

    def look_again(after_s: float, beats: bool = False, loop: bool = True) -> bool:
        now[0] += after_s
        words[ROW_U64 + BEAT] += beats and loop
        words[ROW_U64 + BEAT2] += beats
        one.look()
        return bool(down)

    look_again.patrol, look_again.process = one, slot.process  # type: ignore[attr-defined]
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


def test_who_gets_on_is_neither_interrupted_nor_put_down_for_an_order_that_has_to_wait(look: Any) -> None:
    sent: list[int] = []
    look.process.send_signal = sent.append
    for _ in range(20):
        assert not look(BEAT_S, beats=True)
        look.patrol.interrupt(1, "one does not start")
        look.patrol.put_down_if_held(1, "one does not start")
        assert not look(0.0) and sent == []
    for _ in range(patrol.HELD_BEATS + 1):  # from here on somebody holds the loop, while its helper thread beats
        assert not look(BEAT_S, beats=True, loop=False)
    look.patrol.interrupt(1, "one does not start")
    assert sent == [signal.SIGUSR1] and not look(0.0)
    look.patrol.put_down_if_held(1, "one does not start")
    assert look(0.0)


@pytest.mark.process
def test_a_worker_that_dies_while_it_is_killed_leaves_no_verdict_to_its_successor(
    eventually: Callable[..., None],
) -> None:
    heard: list[Any] = []
    with al.Node(workers=1, on_event=heard.append) as node:
        pid = node.workers[0].pid

        class Judged(patrol.Slot):
            def __setattr__(self, name: str, value: Any) -> None:
                if name == "verdict" and value == "by hand":
                    os.kill(pid, signal.SIGKILL)  # it dies by itself, just before
                    poll(lambda: node.workers[0].pid not in (0, pid), 1.0)
                super().__setattr__(name, value)

        slot = node._controller.slots[1]
        slot.__class__ = Judged
        node.kill_worker(1, "by hand")
        eventually(lambda: node.workers[0].pid not in (0, pid))
        node.wait_idle(20)
        assert slot.verdict is None
        node._controller.patrol.put_down(1, "hung")  # a verdict that stood would have it live on
        node.wait_idle(20)
        eventually(lambda: [e.fields["why"] for e in heard if e.kind == "worker_died"][1:] == ["hung"])


def test_a_worker_that_ends_while_it_is_to_be_interrupted_is_none_of_the_stops_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slot: Any = patrol.Slot(1)
    slot.process = SimpleNamespace(send_signal=lambda number: False)
    one: Any = patrol.Patrol.__new__(patrol.Patrol)
    one._slots = {1: slot}
    monkeypatch.setattr(patrol.Patrol, "_is_held", lambda *_: True)
    monkeypatch.setattr(patrol.log, "warning", lambda *_: setattr(slot, "process", None))
    one.interrupt(1, "does not stop")


@pytest.mark.process
def test_a_replacement_that_is_frozen_before_it_is_ready_is_replaced(eventually: Callable[..., None]) -> None:
    with al.Node(workers=1, spares=1, heartbeat_s=0.05, hang_timeout_s=4.0, start_timeout_s=8.0) as node:
        launcher = node._controller.launcher
        eventually(lambda: launcher.spare_pid)
        spare = psutil.Process(launcher.spare_pid)
        spare.suspend()
        node.kill_worker(1)
        eventually(lambda: node.workers[0].pid == spare.pid)
        eventually(lambda: node.workers[0].pid not in (0, spare.pid), within_s=40)
        node.wait_idle(30)
        assert node.spawn(al.Actor, placement=1).is_alive()
