"""Files that are written whole, and the log of group members, after every step of who writes: the old or the new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from logged_memory import Logged
from replayed_memory import Log

from actorlab.actor.snapshot import State
from actorlab.actor.snapshot_store import NodeStore, Store, store_at
from actorlab.node.handover import Handover, handover_path, read_handover, write_handover
from actorlab.registry import MembershipReader, Memberships, membership_log
from actorlab.registry.membership_log import JOINED, LEFT, Change, MembershipLog

BOTH = pytest.mark.parametrize("backwards", [False, True], ids=["up", "down"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "played"
    folder.mkdir(mode=0o700)
    return folder


# ---- the log of group members


def changes() -> list[list[Change]]:
    """Batches of changes: members come, change their metadata and go, so many that the log is written anew."""
    found: list[list[Change]] = []
    for n in range(12):
        found.append([(JOINED, f"g:group {n % 3}", 100 + n, bytes([n]) * (n * 7 % 40)), (JOINED, "t:all", n + 1, b"")])
        if n > 2:
            found.append([(LEFT, "t:all", n - 1, b""), (LEFT, f"g:group {(n - 2) % 3}", 98 + n, b"")])
        found.append([(JOINED, "t:all", n + 1, b"again" * n)])
    return found


def apply(memberships: Memberships, batch: list[Change]) -> None:
    for what, key, address, packed in batch:
        memberships.join(key, address, packed) if what == JOINED else memberships.leave(key, address)


def rows_of(memberships: Memberships) -> list[Any]:
    return sorted(memberships.rows())


def changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Log, list[list[Any]]]:
    """The stores of the log's writer; and what was true before each batch, and after the last."""
    monkeypatch.setattr(membership_log, "_LEAST_BYTES", 600)
    monkeypatch.setattr(membership_log, "_STEP_BYTES", 256)
    monkeypatch.setattr(membership_log, "_SLACK", 2)
    memberships, expected = Memberships(), [[]]
    with Logged(folder) as logged:
        log = MembershipLog(folder)
        for number, batch in enumerate(changes()):
            logged.note("begins", number)
            log.append(batch, memberships)
            apply(memberships, batch)
            logged.note("done", number)
            expected.append(rows_of(memberships))
        assert log.generation > 1
        log.close()
    return logged.log, expected


def follow(log: Log, expected: list[list[Any]], base: Path, backwards: bool = False) -> None:
    alive = None
    for prefix in log.prefixes(base, backwards=backwards):
        if not any(name.startswith("members-") for name in prefix.stage.names):
            continue
        alive = alive or MembershipReader(prefix.live)
        may_be = expected[len(prefix.said("done"))], expected[len(prefix.said("begins"))]
        assert rows_of(alive.current()) in may_be, prefix
        new = MembershipReader(prefix.copy())
        assert rows_of(new.current()) == rows_of(alive.current()), prefix
        new.close()
    assert alive is not None
    alive.close()


@BOTH
def test_readers_of_the_log_of_members_see_a_batch_whole_or_not_at_all_after_any_store(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    follow(*changed(folder, monkeypatch), tmp_path / "replay", backwards)


@pytest.mark.parametrize(
    ("early", "late"),
    [
        ("self._segment.buf[start:end] = data", "self._words[_TAIL] = self._tail = self._tail + len(data)"),
        ("self._words[_TAIL] = self._tail = len(data)", "old_words[_SUCCESSOR] = self._generation"),
    ],
    ids=["tail before records", "successor before it is whole"],
)
def test_a_writer_of_members_that_publishes_too_early_is_found_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, early: str, late: str
) -> None:
    log, expected = changed(folder, monkeypatch)
    last = log.store_by(late, 2 if "tail" in late else 0)
    first = max(at for at in log.stores if at < last and early in log.steps[at].where)
    with pytest.raises((AssertionError, KeyError, UnicodeDecodeError, IndexError)):
        follow(log.swapped(first, last), expected, tmp_path / "replay")


# ---- files that are renamed into their place


def test_a_handover_is_there_whole_or_not_at_all_after_any_system_call(folder: Path, tmp_path: Path) -> None:
    first, second = (Handover(epoch, 7, 8, {2: epoch}, [], list(range(900))) for epoch in (1, 2))
    with Logged(folder, only_calls=True) as logged:
        for number, handover in enumerate((first, second)):
            logged.note("begins", number)
            write_handover(folder, 1, handover)
            logged.note("done", number)
            if number == 0:
                handover_path(folder, 1).unlink()
                logged.note("taken", True)
    for prefix in logged.log.prefixes(tmp_path / "replay"):
        copy = prefix.copy()
        begun, done = len(prefix.said("begins")), len(prefix.said("done"))
        if handover_path(copy, 1).exists():
            assert read_handover(copy, 1) == (first, second)[begun - 1], prefix
        else:
            assert done == 0 or (done == 1 and "unlink" in prefix.where) or prefix.said("taken"), prefix
            assert done < 2
        write_handover(copy, 1, second)
        assert read_handover(copy, 1) == second


STATES: list[Any] = [{"n": 1}, {"n": list(range(3000))}, {"n": 2}]


@pytest.mark.parametrize("kind", ["node", "arrow", "tables"])
def test_a_snapshot_is_the_old_or_the_new_after_any_system_call(folder: Path, tmp_path: Path, kind: str) -> None:
    def store(at: Path) -> Store:
        return NodeStore(at) if kind == "node" else store_at(str(at / "kept.arrows"))

    states = [pa.table({"n": [n] * 1000}) for n in range(3)] if kind == "tables" else STATES
    with Logged(folder, only_calls=True) as logged:
        for number, state in enumerate(states):
            logged.note("saves", number)
            store(folder).save("5", "app:Clerk", state)
            logged.note("saved", number)
        store(folder).drop("5")
        logged.note("dropped", True)
    seen = []
    for prefix in logged.log.prefixes(tmp_path / "replay"):
        copy = prefix.copy()
        found = store(copy).load("5")
        begun, done = len(prefix.said("saves")), len(prefix.said("saved"))
        if found is None:
            assert done in (0, 3), prefix
        else:
            assert any(found == State(states[which - 1]) for which in {begun, done} if which), prefix
            seen.append(begun)
        store(copy).save("5", "app:Clerk", states[1])
        assert store(copy).load("5") == State(states[1])
    assert set(seen) == {1, 2, 3}
