"""A node's pools: the same for the user's process, the controller and actors in workers, and seen from outside."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pool_actors import Follower, Keeper, Watcher

import actorlab as al
from actorlab.errors import AlreadyRunning
from actorlab.memory import read_usage

pytestmark = pytest.mark.process


@pytest.fixture
def node() -> Iterator[al.Node]:
    with al.Node(workers=2) as node:
        yield node


def table(n: int = 1000) -> pa.Table:
    return pa.table({"n": np.arange(n)})


def test_who_holds_what_is_known_by_worker_and_actor(node: al.Node) -> None:
    pool = node.pool("p")
    handle = pool.put("v", table())
    ann, bob, cid = (node.spawn(Keeper, placement=at, name=name) for at, name in ((1, "ann"), (1, None), (2, None)))
    for keeper in (ann, bob, cid):
        assert keeper.call.keep(handle) == 1000
    mine = handle.get()
    assert node.directory is not None
    (usage,) = read_usage(node.directory)
    rows = {row.worker: row for row in usage.leases}
    assert set(rows) == {0, 1, 2}
    assert [row.pid for row in (rows[1], rows[2])] == [worker.pid for worker in node.workers]
    assert [name.split()[0] for name in rows[1].actors] == ["ann", "Keeper"]
    assert rows[0].actors == ()
    assert usage.held_bytes == usage.live_bytes > 0
    del mine


def test_an_actor_puts_and_others_get(node: al.Node) -> None:
    writer, reader = node.spawn(Keeper, placement=1), node.spawn(Keeper, placement=2)
    handle = writer.call.put("p", "v", table(77))
    assert reader.call.keep(handle) == 77
    assert node.pool("p").version("v", 1) == handle
    assert handle.get().num_rows == 77


def test_a_killed_worker_lets_go(node: al.Node, eventually: Callable[..., None]) -> None:
    pool = node.pool("p")
    handle = pool.put("v", table())
    node.spawn(Keeper, placement=1).call.keep(handle)
    assert pool.is_held(handle)
    os.kill(node.workers[0].pid, signal.SIGKILL)
    eventually(lambda: not pool.is_held(handle))
    node.wait_idle()
    pool.drop(handle)
    assert pool.bytes_shared() == 0


def test_subscribers_in_every_process_are_told_whoever_publishes(node: al.Node) -> None:
    pool = node.pool("p")
    followers = [node.spawn(Keeper, placement=at) for at in (1, 2, "local")]
    assert [one.call.follow("p", "v") for one in followers] == [None] * 3
    pool.publish("v", table(10))
    node.wait_idle()  # what different processes publish may come in any order
    followers[0].call.publish("p", "v", table(20))
    node.wait_idle()
    for one in followers:
        assert one.call.heard() == [("v", 1, 10), ("v", 2, 20)]
    followers[1].stop()
    pool.publish("v", table(30))
    node.wait_idle()
    assert followers[0].call.heard()[-1] == ("v", 3, 30)
    assert len(os.listdir(f"{pool.path}/subscribers/v")) == 2


def test_a_subscriber_is_told_after_its_worker_was_replaced() -> None:
    tree = al.Supervisor(children=[al.child(Follower, name="follower", placement=1)])
    with al.Node(workers=1, tree=tree) as node:
        pool = node.pool("p")
        follower = node.whereis("follower")
        assert follower is not None
        follower.call.heard()
        os.kill(node.workers[0].pid, signal.SIGKILL)
        pool.publish("v", table(5))
        node.wait_idle()
        assert follower.call.heard() == [("v", 1, 5)]


def test_a_full_mailbox_does_not_hold_up_a_publisher(node: al.Node, tmp_path: Path) -> None:
    follower = node.spawn(Keeper, placement=1, mailbox=al.Mailbox(capacity=1, overflow="reject"))
    follower.call.follow("p", "v")
    os.mkfifo(tmp_path / "holds")
    follower.cast.hang(str(tmp_path / "holds"))
    with open(tmp_path / "holds", "w"):  # opened when it is in the handler
        follower.tell("in the way")
        for n in range(1, 6):
            assert node.pool("p").publish("v", table(n)).version == n
    node.wait_idle()
    assert [version for _, version, _ in follower.call.heard()] == [1, 2, 3, 4, 5]


def test_the_janitor_frees_what_the_last_reader_let_go(node: al.Node, eventually: Callable[..., None]) -> None:
    pool = node.pool("p")
    handle = pool.put("v", table())
    keeper = node.spawn(Keeper, placement=1)
    keeper.call.keep(handle)
    pool.drop(handle)
    assert pool.bytes_shared() > 0
    keeper.call.let_go()
    eventually(lambda: pool.bytes_shared() == 0)


def test_the_janitor_looks_after_a_pool_that_a_worker_made(eventually: Callable[..., None]) -> None:
    with al.Node(workers=1, pools={"p": al.PoolSettings(keep_last=1)}) as node:
        keeper = node.spawn(Keeper)
        for n in range(1, 4):
            keeper.call.publish("p", "v", table(n))
        pool = node.pool("p")
        assert pool.settings.keep_last == 1
        eventually(lambda: len(pool.versions("v")) == 1)


def test_an_embedded_node_has_pools_and_a_janitor(eventually: Callable[..., None]) -> None:
    with al.Node(workers=0, pools={"p": al.PoolSettings(keep_last=1)}) as node:
        keeper = node.spawn(Keeper)
        keeper.call.follow("p", "v")
        for n in range(1, 4):
            node.pool("p").publish("v", table(n))
        eventually(lambda: len(node.pool("p").versions("v")) == 1)
        assert len(keeper.call.heard()) == 3


def test_a_pool_is_as_it_was_made(node: al.Node) -> None:
    node.pool("p", max_bytes=1 << 20)
    assert node.pool("p").max_bytes == 1 << 20
    with pytest.raises(al.SpecError, match="1,048,576"):
        node.pool("p", max_bytes=1 << 21)
    with pytest.raises(al.SpecError):
        node.pool("p", settings=al.PoolSettings(1 << 20, keep_last=9))


def test_a_pool_may_be_called_like_anything_else_of_the_node(node: al.Node) -> None:
    for name in ("names", "workers", "board"):
        node.pool(name).put("v", table())


def test_files_removed_under_a_running_node_are_an_alarm_and_readers_go_on(caplog: Any, eventually: Any) -> None:
    told: list[Any] = []
    with al.Node(workers=1, on_event=told.append) as node:
        pool = node.pool("p")
        keeper = node.spawn(Keeper)
        handle = pool.put("v", table())
        keeper.call.keep(handle)
        mine = handle.get()
        assert node.directory is not None
        shutil.rmtree(node.directory / "pools")
        assert mine.num_rows == 1000 == keeper.call.keep(handle)
        del mine
        with pytest.raises(al.SegmentGone):
            handle.get()
        again = pool.put("v", table(7))
        assert keeper.call.keep(again, "again") == 7
        hidden = node.directory.with_name("hidden")
        node.directory.rename(hidden)
        eventually(lambda: any(event.kind == "pool_trouble" for event in told))
        hidden.rename(node.directory)


def test_a_pool_on_disk_goes_with_its_node_however_it_ends(tmp_path: Path) -> None:
    settings = al.PoolSettings(backend="file", directory=str(tmp_path))
    with al.Node(workers=1, pools={"p": settings}) as node:
        keeper = node.spawn(Keeper)
        handle = keeper.call.put("p", "v", table(5))
        assert os.path.realpath(handle.path).startswith(str(tmp_path))
        assert handle.get().num_rows == 5
    assert list(tmp_path.iterdir()) == []
    with al.Node(workers=0, pools={"p": settings}) as node:
        node.pool("p").put("v", table(5))
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_node_had_on_disk_goes_when_it_is_swept(
    tmp_path: Path, eventually: Callable[..., None]
) -> None:
    source = (
        "import os, signal, sys, actorlab as al, numpy as np\n"
        "node = al.Node(workers=1)\n"
        "settings = al.PoolSettings(backend='file', directory=sys.argv[1])\n"
        "node.pool('p', settings=settings).put('v', np.arange(9))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", source, str(tmp_path)], capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with al.Node(workers=0), al.Node(workers=1):
        pass  # a node's start sweeps, if the last worker has not by then, or is at it
    eventually(lambda: list(tmp_path.iterdir()) == [])


def test_a_kept_pool_is_the_next_nodes_and_one_nodes_at_a_time(tmp_path: Path) -> None:
    pools = {"p": al.PoolSettings(backend="file", directory=str(tmp_path), persist=True)}
    with al.Node(workers=1, pools=pools) as node:
        node.pool("p").publish("v", table(5))
        keeper = node.spawn(Keeper)
        keeper.call.publish("p", "v", table(6))
        with al.Node(workers=0, pools=pools) as other, pytest.raises(AlreadyRunning):
            other.pool("p")
    with al.Node(workers=1, pools=pools) as node:
        assert node.spawn(Keeper).call.publish("p", "v", table(7)).version == 3
        assert node.pool("p").get("v", version=2).num_rows == 6


def test_a_thousand_readers_meet_no_torn_and_no_missing_version_while_it_is_published(node: al.Node) -> None:
    pool = node.pool("p")
    pool.publish("v", np.zeros(1000))
    readers = node.spawn_many(Watcher, 1000, "p", "v")
    for reader in readers:
        reader.cast.read_on()
    for n in range(1, 60):
        pool.publish("v", np.full(1000, n))
        if n % 7 == 0:
            pool.tidy()
    for reader in readers:
        reader.cast.end()
    node.wait_idle(30.0)
    reports = [reader.call.report() for reader in readers]
    assert [wrong for wrong, _, _ in reports if wrong] == []
    assert min(reads for _, reads, _ in reports) > 0


def test_a_pool_without_files_serves_all_processes_and_outlives_its_writers(eventually: Callable[..., None]) -> None:
    with al.Node(workers=2, pools={"p": al.PoolSettings(backend="memfd")}) as node:
        writer, reader = node.spawn(Keeper, placement=1), node.spawn(Keeper, placement=2)
        handle = writer.within(20.0).call.put("p", "v", table(9))
        os.kill(node.workers[0].pid, signal.SIGKILL)
        node.wait_idle()
        assert reader.call.keep(handle) == 9
        assert os.readlink(handle.path).startswith(f"/proc/{os.getpid()}/fd/")
        assert node.directory is not None
        (usage,) = read_usage(node.directory)
        assert (usage.backend, [row.worker for row in usage.leases]) == ("memfd", [2])
        node.pool("p").drop(handle)
        reader.call.let_go()
        eventually(lambda: node.pool("p").bytes_shared() == 0)
