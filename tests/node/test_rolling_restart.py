"""A whole node gets new code, worker by worker: nothing is lost, and whoever cannot move stops it."""

from __future__ import annotations

import importlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
from moving_actors import Counter, Locked, begin_recycling

import actorlab as al
from actorlab.cli import main
from actorlab.node import wish

pytestmark = pytest.mark.process

SHOP = """
import os
import actorlab as al

class Till(al.Actor):
    def __init__(self):
        self.sales = []
    def sell(self, n):
        self.sales.append(n)
        return len(self.sales)
    def all(self):
        return self.sales
    def version(self):
        return {version!r}
    def pid(self):
        return os.getpid()
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, ModuleType]]:
    file = tmp_path / "corner_shop.py"
    file.write_text(SHOP.format(version="one"))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield file, importlib.import_module("corner_shop")
    sys.modules.pop("corner_shop", None)


def test_new_code_serves_and_every_sale_is_there_in_order(shop: tuple[Path, ModuleType]) -> None:
    file, module = shop
    tree = al.Supervisor(children=[al.child(module.Till, name=f"till{n}", placement=1 + n % 2) for n in range(6)])
    patient = al.Mailbox(timeout_s=60.0)  # for a machine that does much else meanwhile
    with al.Node(workers=2, tree=tree, spares=1, mailbox=patient) as node:
        tills = [node.whereis(f"till{n}") for n in range(6)]
        over = threading.Event()
        sold = [0] * 6

        def sell() -> None:
            while not over.is_set():
                for n, till in enumerate(tills):
                    till.cast.sell(sold[n])  # type: ignore[union-attr]
                    sold[n] += 1

        thread = threading.Thread(target=sell)
        thread.start()
        assert {till.call.version() for till in tills} == {"one"}  # type: ignore[union-attr]
        before = {worker.pid for worker in node.workers}
        file.write_text(SHOP.format(version="two, and longer"))
        pids = node.rolling_restart()
        over.set()
        thread.join(20)
        assert pids == [worker.pid for worker in node.workers] and not before & set(pids)
        for n, till in enumerate(tills):
            assert till is not None and till.within(20).call.version() == "two, and longer"
            assert till.within(20).call.all() == list(range(sold[n]))
            assert till.incarnation == 0
        node.kill_worker(1)  # and a replacement has the new code too
        node.wait_idle(20)
        assert tills[0].within(20).call.version() == "two, and longer"  # type: ignore[union-attr]


def test_one_that_cannot_move_stops_it_and_it_can_be_tried_again() -> None:
    with al.Node(workers=2) as node:
        locked = node.spawn(Locked, placement=2)
        before = [worker.pid for worker in node.workers]
        with pytest.raises(al.NotMovable, match="Locked"):
            node.rolling_restart()
        now = [worker.pid for worker in node.workers]
        assert now[0] != before[0] and now[1] == before[1]
        locked.stop()
        assert len(node.rolling_restart()) == 2


def test_a_worker_that_is_being_recycled_already_is_recycled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, asked = tmp_path / "open", threading.Event()
    with al.Node(workers=1) as node, ThreadPoolExecutor() as pool:
        node.spawn(Counter, placement=1).cast.hold(str(gate))
        while not gate.with_name("open.held").exists():
            time.sleep(0.001)
        recycled = begin_recycling(node, 1)  # its successor may have been forked before the code changed
        recycler = node._controller.recycler
        begin = recycler.begin
        monkeypatch.setattr(recycler, "begin", lambda *how: (begin(*how), asked.set())[0])
        restarted = pool.submit(node.rolling_restart)
        assert asked.wait(30)
        joined = begin_recycling(node, 1)
        gate.touch()
        assert [recycled.get(timeout=30)] == [joined.get(timeout=30)] != restarted.result(timeout=30)
        assert node.workers[0].recycles == 2


def test_it_can_be_wished_for_from_outside(capsys: pytest.CaptureFixture[str]) -> None:
    with al.Node(workers=2, name="corner", heartbeat_s=0.05) as node:
        ref = node.spawn(Counter, placement=2)
        ref.call.add(3)
        first = [worker.pid for worker in node.workers]
        assert main(["recycle", "corner", "--worker", "2", "--json"]) == 0
        said = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert said["pids"] == [node.workers[1].pid] and node.workers[0].pid == first[0] != said["pids"][0]
        assert main(["restart", "--rolling", "corner"]) == 0
        assert "all workers recycled" in capsys.readouterr().out
        assert ref.call.state() == (3, 1)
        assert main(["recycle", "corner", "--worker", "7"]) == 1
        assert "no such worker" in capsys.readouterr().err
        assert main(["recycle", "nowhere", "--worker", "1"]) == 3


def test_a_wish_that_nobody_knows_is_refused_and_leaves_nothing(eventually: Callable[..., None]) -> None:
    with al.Node(workers=1, heartbeat_s=0.05) as node:
        assert node.directory is not None
        with pytest.raises(al.StartError, match="does not know how"):
            wish(node.directory, "dance", {}, 10.0)
        with pytest.raises(al.StartError):
            wish(node.directory, "recycle", {"worker": "x"}, 10.0)
        (node.directory / "wish.torn").write_text("{")
        with pytest.raises(al.StartError):
            wish(node.directory, "recycle", {}, 10.0)
        directory = node.directory
        # a look takes the files in any order, and grants in threads: the torn one may go after the last answer has come
        eventually(lambda: not any(path.name.startswith(("wish", "granted")) for path in directory.iterdir()))


def test_a_node_that_is_gone_gives_no_answer(tmp_path: Path) -> None:
    with pytest.raises(al.StartError, match="no answer within"):
        wish(tmp_path, "restart", {}, 0.05)
    assert not list(tmp_path.iterdir())
