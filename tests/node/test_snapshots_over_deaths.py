"""States kept by actors' own snapshots: over crashes, deaths of workers, and nodes."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from handlers_drill import Account, DyingInSnapshot, Worker

import actorlab as al

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    children = [al.child(Account, name="account", placement=1), al.child(DyingInSnapshot, name="dying", placement=2)]
    with al.Node(workers=2, call_timeout_s=20.0, tree=al.Supervisor(children=children, max_restarts=1000)) as node:
        for place in (1, 2):
            node.spawn(Worker, placement=place).stop()
        node.wait_idle()
        yield node


def test_a_state_outlives_its_actors_crash_and_its_workers_death(node):
    account = node.whereis("account")
    assert account.call.add(5) == 5
    node.wait_idle()
    account.cast.boom()
    assert account.call.report() == (5, 1)
    account.call.add(2)
    victim = account.call.pid()
    node.wait_idle()
    os.kill(victim, signal.SIGKILL)
    node.wait_idle()
    assert account.call.report() == (7, 2)


def test_killed_in_the_middle_of_a_snapshot_the_one_before_is_there(node):
    dying = node.whereis("dying")
    dying.call.add(10)
    node.wait_idle()
    dying.cast.add(3)
    node.wait_idle()
    assert dying.call.report() == (10, 1)


def test_nothing_is_kept_of_an_actor_that_has_ended_for_good(node):
    folder = node.runtime.directory / "snapshots"
    account = node.spawn(Account)
    before = set(os.listdir(folder))
    account.call.add(1)
    node.wait_idle()
    assert len(set(os.listdir(folder)) - before) == 1
    account.stop()
    node.wait_idle()
    assert set(os.listdir(folder)) == before


class Ledger(al.Actor):
    """Keeps an Arrow table by name."""

    def __init__(self) -> None:
        self.table = pa.table({"n": pa.array([], pa.int64())})

    def snapshot(self) -> Any:
        return self.table

    def restore(self, state: Any) -> None:
        self.table = state

    def note(self, n: int) -> list[int]:
        self.table = pa.concat_tables([self.table, pa.table({"n": [n]})])
        return self.all()

    def all(self) -> list[int]:
        found: list[int] = self.table.column("n").to_pylist()
        return found


@pytest.mark.parametrize("name", ["state.db", "state.sqlite", "state.arrows"])
def test_a_state_with_a_store_is_found_again_by_the_next_node(tmp_path, name):
    store = str(tmp_path / name)
    kind: Any = type("Durable", (Account,), {"snapshots": al.Snapshots(store=store), "__module__": "__main__"})
    for round_ in range(3):
        with al.Node(workers=1) as node:
            account = node.spawn(kind, name="till/1")
            assert account.call.report() == (round_ * 4, round_)
            account.call.add(4)
            account.stop()  # a clean stop keeps what it has become


def test_an_arrow_table_is_kept_as_one_that_anybody_can_read(tmp_path):
    store = str(tmp_path / "ledgers.arrows")
    kind: Any = type("Kept", (Ledger,), {"snapshots": al.Snapshots(every=1, store=store), "__module__": "__main__"})
    with al.Node(workers=1) as node:
        ledger = node.spawn(kind, name="ledger")
        assert ledger.call.note(1) == [1]
        assert ledger.call.note(2) == [1, 2]
        node.wait_idle()
        with pa.OSFile(str(tmp_path / "ledgers.arrows" / "ledger.arrow")) as file:
            assert pa.ipc.open_file(file).read_all().column("n").to_pylist() == [1, 2]
    with al.Node(workers=1) as node:
        assert node.spawn(kind, name="ledger").call.all() == [1, 2]


def test_a_database_says_whose_states_it_keeps(tmp_path):
    path = tmp_path / "state.db"
    kind: Any = type("Durable", (Account,), {"snapshots": al.Snapshots(store=str(path)), "__module__": "__main__"})
    with al.Node(workers=1) as node:
        for name in ("a", "b"):
            node.spawn(kind, name=name).stop()
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name FROM snapshots ORDER BY name").fetchall()
    connection.close()
    assert rows == [("a",), ("b",)]
