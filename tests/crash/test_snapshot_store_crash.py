"""Real processes, killed by SIGKILL where a snapshot is saved: the one before is whole, or the new one is."""

from __future__ import annotations

import os
import signal

import pytest

from actorlab.actor import snapshot_store
from actorlab.actor.snapshot_store import ArrowStore, NodeStore, SqliteStore
from actorlab.transport import arm_crashpoints, crashpoint_labels, kill_at


def stores(folder):
    return {
        "node": NodeStore(folder),
        "arrow": ArrowStore(str(folder / "state.arrows")),
        "sqlite": SqliteStore(str(folder / "state.db")),
    }


def save_and_die(folder, which, label, n):
    """Save 2, 3, … in a child that dies at the n-th pass of `label` (or, without one, in the middle of a save)."""
    pid = os.fork()
    if pid == 0:
        try:
            hook = kill_at(label, n)
            arm_crashpoints(snapshot_store, hook)
            for value in range(2, 10):
                stores(folder)[which].save("actor", "m:C", {"value": value})
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("label", crashpoint_labels(snapshot_store))
@pytest.mark.parametrize("which", ["node", "arrow"])
def test_killed_at_the_rename_one_of_the_two_is_there_whole(tmp_path, which, label, n):
    store = stores(tmp_path)[which]
    store.save("actor", "m:C", {"value": 1})
    save_and_die(tmp_path, which, label, n)
    found = store.load("actor")
    assert found is not None
    assert found.value == {"value": n + (label == "snapshot.renamed")}
    store.save("actor", "m:C", {"value": 100})  # and what was left aside is in nobody's way
    assert store.load("actor").value == {"value": 100}
    store.drop("actor")
    assert store.load("actor") is None


class DiesWhenPickled:
    def __reduce__(self):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("which", ["node", "arrow", "sqlite"])
def test_killed_in_the_middle_of_a_save_the_one_before_is_there(tmp_path, which):
    store = stores(tmp_path)[which]
    store.save("actor", "m:C", {"value": 1})
    pid = os.fork()
    if pid == 0:
        try:
            stores(tmp_path)[which].save("actor", "m:C", [bytes(1_000_000), DiesWhenPickled()])
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert store.load("actor").value == {"value": 1}


def test_a_database_killed_before_its_commit_has_what_it_had(tmp_path):
    store = SqliteStore(str(tmp_path / "state.db"))
    store.save("actor", "m:C", {"value": 1})
    pid = os.fork()
    if pid == 0:
        try:
            connection = SqliteStore(str(tmp_path / "state.db"))._open()
            connection.execute("UPDATE snapshots SET state = x'00'")
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert store.load("actor").value == {"value": 1}
