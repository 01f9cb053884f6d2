"""Workers get the CPUs, priority, environment and directory that were said, and keep them over a recycling."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from surroundings_actors import Looker

import actorlab as al

pytestmark = pytest.mark.process


def seen_by(node: al.Node, worker: int) -> dict[str, Any]:
    found: dict[str, Any] = node.spawn(Looker, placement=worker).call.look()
    return found


def test_each_worker_has_a_cpu_in_turn(tmp_path: Path) -> None:
    usable = sorted(os.sched_getaffinity(0))
    with al.Node(workers=3, worker=al.WorkerOptions(cpus="each")) as node:
        assert [seen_by(node, n)["cpus"] for n in (1, 2, 3)] == [[usable[n % len(usable)]] for n in range(3)]
        node.recycle_worker(2)
        assert seen_by(node, 2)["cpus"] == [usable[1 % len(usable)]]
    assert sorted(os.sched_getaffinity(0)) == usable  # the user's process is left alone


def test_priority_environment_and_directory_are_the_workers_own(tmp_path: Path) -> None:
    for n in (1, 2):
        (tmp_path / f"room-{n}").mkdir()
    room = str(tmp_path / "room-{worker}")
    environment = {"SHOP_SLOT": "slot {worker}", "HOME": "/nowhere"}
    options = al.WorkerOptions(nice=5, environment=environment, directory=room)
    with al.Node(workers=2, worker=options) as node:
        for n in (1, 2):
            seen = seen_by(node, n)
            assert (seen["nice"], seen["slot"], seen["home"]) == (5, f"slot {n}", "/nowhere")
            assert seen["directory"] == str(tmp_path / f"room-{n}")
        node.kill_worker(1)
        node.wait_idle()
        assert seen_by(node, 1)["slot"] == "slot 1"
    assert os.environ.get("SHOP_SLOT") is None


def test_surroundings_that_cannot_be_had_are_named_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(al.WorkerStartError, match=r"CPUs \[9999\] are not among the usable"):
        al.Node(workers=1, worker=al.WorkerOptions(cpus=((9999,),)))
    with pytest.raises(al.WorkerStartError, match="No such file"):
        al.Node(workers=1, worker=al.WorkerOptions(directory=str(tmp_path / "missing")))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"cpus": "some"}, "cpus"),
        ({"cpus": ((),)}, "cpus"),
        ({"cpus": ((-1,),)}, "cpus"),
        ({"nice": 20}, "nice"),
        ({"environment": {"A=B": "x"}}, "environment"),
        ({"environment": {"A": 1}}, "environment"),
        ({"directory": "here"}, "directory"),
    ],
)
def test_options_that_make_no_sense_are_refused(given: dict[str, Any], named: str) -> None:
    with pytest.raises(al.SpecError, match=rf"worker\.{named}"):
        al.WorkerOptions(**given)
