"""Workers above their limits of memory are named, shed load or are killed; and the others hear why."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from memory_actors import Hog

import actorlab as al
from actorlab.errors import MissingCapability
from actorlab.node.footprint import anonymous_bytes
from actorlab.telemetry import Event

pytestmark = pytest.mark.process

Eventually = Callable[..., None]
MB = 1 << 20


class Heard(list[Event]):
    def kinds(self) -> list[str]:
        return [event.kind for event in self]

    def of(self, kind: str) -> list[Event]:
        return [event for event in self if event.kind == kind]


def node_with(heard: Heard, tree: al.Supervisor | None = None, workers: int = 2, **limits: object) -> al.Node:
    return al.Node(
        workers=workers,
        tree=tree,
        heartbeat_s=0.05,
        on_event=heard.append,
        memory=al.MemoryLimits(**limits),  # type: ignore[arg-type]
    )


def test_what_a_process_allocates_is_counted_and_what_it_shares_is_not() -> None:
    before = anonymous_bytes(os.getpid())
    block = os.urandom(1 << 20) * 64
    after = anonymous_bytes(os.getpid())
    assert before is not None and after is not None
    assert 60 * MB < after - before < 90 * MB
    del block


def test_below_what_is_asked_about_the_upper_bound_will_do() -> None:
    size = anonymous_bytes(os.getpid(), 1 << 60)
    exact = anonymous_bytes(os.getpid())
    assert size is not None and exact is not None and size >= exact // 2


def test_of_a_process_that_has_ended_nothing_is_known() -> None:
    assert anonymous_bytes(2**22 + 1) is None


def test_a_limit_that_nobody_can_see_exceeded_is_refused(
    without: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    without("proc")

    def refused(self: psutil.Process) -> None:
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, "memory_full_info", refused)
    with pytest.raises(MissingCapability, match=r"memory.hard_bytes: 125,829,120 cannot be kept to here"):
        node_with(Heard(), hard_bytes=120 * MB)


@pytest.mark.parametrize("lacks", ["", "proc"])
def test_above_the_soft_limit_a_worker_is_named_once(
    eventually: Eventually, without: Callable[..., None], lacks: str
) -> None:
    without(lacks)
    heard = Heard()
    with node_with(heard, soft_bytes=120 * MB) as node:
        hog = node.spawn(Hog, placement=1)
        hog.call.grow(150)
        eventually(lambda: "worker_memory_high" in heard.kinds())
        hog.tell("goes on")
        assert hog.call.all() == ["goes on"]
        hog.call.shrink()
        eventually(lambda: "worker_memory_normal" in heard.kinds())
    [event] = heard.of("worker_memory_high")
    assert event.fields["worker"] == 1 and event.fields["anonymous_bytes"] > event.fields["limit_bytes"] == 120 * MB


def test_a_worker_that_sheds_refuses_what_comes_from_outside_until_it_is_well_again(
    eventually: Eventually, tmp_path: Path
) -> None:
    heard = Heard()
    with node_with(heard, soft_bytes=120 * MB, on_soft="shed") as node:
        hog, other, third = (node.spawn(Hog, placement=1) for _ in range(3))
        gate = tmp_path / "open"
        other.cast.hold(str(gate))
        other.tell("queued before")
        queued = other.request.all()
        hog.call.grow(150)
        eventually(lambda: "worker_memory_high" in heard.kinds())

        def refused() -> bool:
            try:
                third.call.all()
            except al.MailboxFull as full:
                assert full.reason == "memory" and full.delivery == "never"
                return True
            return False

        eventually(refused)
        third.tell("lost")
        eventually(lambda: "shed" in [letter.reason for letter in node.dead_letters])
        with pytest.raises(al.WorkerShedding, match="worker 1"):
            node.spawn(Hog, placement=1)
        assert {node.spawn(Hog).home for _ in range(4)} == {2}
        gate.touch()
        assert queued.get(timeout=30) == ["queued before"]  # what waits is handled
        node.runtime.signal(hog.address, ("exit", hog.address, 0, "kill", "exit"))  # signals pass, and memory goes
        eventually(lambda: "worker_memory_normal" in heard.kinds())
        eventually(lambda: not refused())
        node.spawn(Hog, placement=1)


def test_above_the_hard_limit_a_worker_is_killed_and_that_is_one_incident(eventually: Eventually) -> None:
    heard = Heard()
    tree = al.Supervisor(children=[al.child(Hog, name=f"hog{n}", placement=1) for n in range(20)], max_restarts=1)
    with node_with(heard, tree, hard_bytes=120 * MB) as node:
        hog = node.whereis("hog0")
        assert hog is not None
        pid = hog.call.pid()
        down = node.monitor(hog)
        hog.cast.grow(200)
        assert down.get(timeout=30).reason.why == "memory_limit"
        eventually(lambda: hog.within(20).call.pid() != pid)
        assert all(node.whereis(f"hog{n}") is not None for n in range(20))
    assert len(heard.of("worker_died")) == 1
    assert heard.of("worker_died")[0].fields["why"] == "memory_limit"
    [event] = heard.of("worker_memory_limit")
    assert event.fields["limit_bytes"] == 120 * MB


def test_a_worker_is_the_first_to_go_where_memory_runs_out() -> None:
    with al.Node(workers=1) as node:
        mine = int(Path("/proc/self/oom_score_adj").read_text())
        theirs = int(Path(f"/proc/{node.workers[0].pid}/oom_score_adj").read_text())
    assert theirs == min(1000, mine + 200)


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"soft_bytes": 5}, "soft_bytes"),
        ({"hard_bytes": "1GiB"}, "hard_bytes"),
        ({"soft_bytes": 200 * MB, "hard_bytes": 100 * MB}, "below hard_bytes"),
        ({"soft_bytes": 200 * MB, "on_soft": "explode"}, "on_soft"),
        ({"on_soft": "shed"}, "no soft_bytes"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, object], named: str) -> None:
    with pytest.raises(al.SpecError, match=named):
        al.MemoryLimits(**limits)  # type: ignore[arg-type]
