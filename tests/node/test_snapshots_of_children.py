"""Snapshots that a child's specification asks for, in a file or in code: over crashes, deaths, hand-overs and nodes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from handlers_drill import Account, Savings

import actorlab as al
from actorlab.config import load

pytestmark = pytest.mark.process

Eventually = Callable[..., None]


def opened(folder: Path, start: str, snapshots: str) -> al.Node:
    """Open a node on a file with one child, `account`."""
    file = folder / "app.toml"
    child = f'name = "account"\nstart = "handlers_drill:{start}"\nsnapshots = {snapshots}\n'
    file.write_text(f'[node]\nworkers = 1\ncall_timeout = "20s"\n[[supervisor.children]]\n{child}')
    file.chmod(0o644)
    loaded = load(file)
    return al.Node(loaded.node, tree=loaded.tree)


def account_of(node: al.Node) -> al.ActorRef[Any]:
    account = node.whereis("account")
    assert account is not None
    return account


@pytest.mark.parametrize("store", ["state.db", "state.arrows"])
def test_a_child_of_a_file_comes_back_with_its_state_after_crashes_and_in_the_next_node(
    tmp_path: Path, store: str
) -> None:
    snapshots = f'{{ every = 1, store = "{tmp_path / store}" }}'
    with opened(tmp_path, "Savings", snapshots) as node:
        account = account_of(node)
        assert account.call.add(5) == 5
        node.wait_idle()
        account.cast.boom()
        assert account.call.report() == (5, 1)
        account.call.add(1)
        node.wait_idle()
        node.kill_worker(1)
        assert account.call.report() == (6, 2)
        node.recycle_worker(1)  # who moves goes on with its snapshots
        assert account.call.add(1) == 7
        node.wait_idle()
        node.kill_worker(1)
        assert account.call.report()[0] == 7
    with opened(tmp_path, "Savings", snapshots) as node:
        assert account_of(node).call.report()[0] == 7
    assert (tmp_path / store).exists()


def test_a_child_says_where_and_its_class_still_says_when(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    child = al.child(Account, name="account", snapshots=al.Snapshots(store=str(path)))
    for before in (0, 3):
        with al.Node(workers=1, call_timeout_s=20.0, tree=al.Supervisor(children=[child])) as node:
            account = account_of(node)
            assert account.call.report()[0] == before
            account.call.add(3)
            node.wait_idle()
            connection = sqlite3.connect(path)
            assert connection.execute("SELECT name FROM snapshots").fetchall() == [("account",)]
            connection.close()


def test_the_nodes_own_store_takes_the_place_of_the_classes(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    kind: Any = type("Durable", (Account,), {"snapshots": al.Snapshots(every=1, store=str(path))})
    kind.__module__ = "__main__"  # so that it travels by value
    tree = al.Supervisor(children=[al.child(kind, name="account", snapshots=al.Snapshots(store="node"))])
    with al.Node(workers=1, call_timeout_s=20.0, tree=tree) as node:
        account = account_of(node)
        account.call.add(3)
        node.wait_idle()
        account.cast.boom()
        assert account.call.report() == (3, 1)
    assert not path.exists()


def test_a_changed_setting_restarts_the_child_which_finds_its_state_in_the_same_store(tmp_path: Path) -> None:
    def tree(**rule: Any) -> al.Supervisor:
        rule.setdefault("store", str(tmp_path / "state.db"))
        return al.Supervisor(children=[al.child(Savings, name="account", snapshots=al.Snapshots(**rule))])

    with al.Node(workers=1, call_timeout_s=20.0, tree=tree(every=1)) as node:
        account_of(node).call.add(3)
        said = [str(change) for change in node.amend(tree(every=5))]
        assert said == ["restart account: snapshots changed"]
        assert account_of(node).call.report() == (3, 1)
        assert node.amend(tree(every=5)) == ()
        node.amend(tree(every=5, store=str(tmp_path / "other.arrows")))
        assert account_of(node).call.report() == (0, 0)


def test_the_copies_of_a_partition_keep_their_states_in_the_node() -> None:
    copies = al.child(Savings, snapshots=al.Snapshots(every=1))
    tree = al.Supervisor(children=[al.PartitionSupervisor(copies, partitions=2, name="shards")])
    with al.Node(workers=1, call_timeout_s=20.0, tree=tree) as node:
        shards = node.whereis("shards")
        assert shards is not None
        refs = [row.ref for row in shards.call.which_children()]
        for n, ref in enumerate(refs):
            ref.call.add(n + 1)
        node.wait_idle()
        for ref in refs:
            ref.cast.boom()
        assert [ref.call.report() for ref in refs] == [(1, 1), (2, 1)]


def test_a_store_that_others_may_write_to_is_not_restored_from(tmp_path: Path) -> None:
    store = tmp_path / "state.arrows"
    child = al.child(Savings, name="account", snapshots=al.Snapshots(every=1, store=str(store)))
    tree = al.Supervisor(children=[child])
    with al.Node(workers=1, call_timeout_s=20.0, tree=tree):
        pass  # its stop keeps what it was
    file = store / "account.arrow"
    assert store.stat().st_mode & 0o777 == 0o700 and file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o666)
    with pytest.raises(al.StartError, match=r"account\.arrow cannot be read \(it may be written by everybody"):
        al.Node(workers=1, call_timeout_s=20.0, tree=tree)
    file.chmod(0o600)
    store.chmod(0o777)
    with pytest.raises(al.StartError, match=r"state\.arrows may be written by everybody \(mode 777\)"):
        al.Node(workers=1, call_timeout_s=20.0, tree=tree)
    store.chmod(0o700)
    with al.Node(workers=1, call_timeout_s=20.0, tree=tree) as node:
        assert account_of(node).call.report() == (0, 1)
