"""The registry after every prefix of its owner's stores and system calls: old state or new, and a successor goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from logged_memory import Logged
from replayed_memory import Log, Prefix
from test_registry_owner_killed import CHANGES, A, is_alive, prepare, states, told

from actorlab.errors import SegmentCorrupt
from actorlab.registry import SharedBackend, SharedReader
from actorlab.registry.backends import shared_partition
from actorlab.registry.backends.shared_layout import CONTROL_FILE, OWNER_STARTED

BOTH = pytest.mark.parametrize("backwards", [False, True], ids=["up", "down"])
EXPECTED = states()


@pytest.fixture(autouse=True)
def _tidied_soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The table is written anew when it has grown full, and when too much in it was freed."""
    monkeypatch.setattr(shared_partition, "SLACK_BYTES", -900)
    yield


def changed(base: Path) -> Log:
    """The stores of an owner that makes all the changes, whose table grows and is tidied meanwhile."""
    folder = base / "played"
    owner = SharedBackend.create(folder, partitions=1, capacity=1, is_alive=is_alive)
    prepare(owner)
    with Logged(folder) as logged:
        for change in CHANGES:
            logged.note("begins", True)
            change(owner)
            logged.note("done", True)
    owner.close()
    return logged.log


def bereave(folder: Path) -> None:
    """Have the owner's process, which is this one, be dead: its number is another's."""
    with open(folder / CONTROL_FILE, "r+b") as control:
        control.seek(OWNER_STARTED * 8)
        control.write((1).to_bytes(8, "little"))


class Witness:
    """A reader that was there before the first change, and what it has seen."""

    def __init__(self) -> None:
        self.reader: SharedReader | None = None
        self.last_version = 0

    def look(self, prefix: Prefix) -> dict[str, object]:
        if self.reader is None:
            self.reader = SharedReader.open(prefix.live)
        begun, done = len(prefix.said("begins")), len(prefix.said("done"))
        before, after = EXPECTED[done], EXPECTED[begun]
        seen = told(self.reader.items())
        for name in before.keys() | after.keys() | seen.keys() | {"nobody"}:
            assert seen.get(name) in (before.get(name), after.get(name)), (prefix, name)
            assert self.reader.whereis(name) == (seen[name][0] if name in seen else None), (prefix, name)
            entry = self.reader.lookup(name)
            assert (None if entry is None else (entry.address, entry.metadata)) == seen.get(name), prefix
        assert abs(self.reader.count() - len(seen)) <= 1
        self.last_version = max([self.last_version, *(entry.version for entry in self.reader.items())])
        return seen

    def succeed(self, prefix: Prefix, seen: dict[str, object], thoroughly: bool) -> None:
        copy = prefix.copy()
        bereave(copy)
        early = SharedReader.open(copy)
        assert told(early.items()) == seen, prefix
        successor = SharedBackend.adopt(copy, is_alive=is_alive)
        assert told(successor.items()) == seen and successor.count() == len(seen), prefix
        if thoroughly:
            for number in range(len(prefix.said("done")), len(CHANGES)):
                CHANGES[number](successor)
                assert told(early.items()) == EXPECTED[number + 1], prefix
        assert successor.register("heir's", A).version > self.last_version, prefix
        assert early.whereis("heir's") == A
        assert "heir's" in successor.release_home(1)
        assert len(list(copy.iterdir())) == 2, prefix
        successor.remove()
        early.close()


def replayed(log: Log, base: Path, backwards: bool = False) -> int:
    witness, looks = Witness(), 0
    try:
        for prefix in log.prefixes(base / f"replay{backwards}", backwards=backwards):
            seen = witness.look(prefix)
            witness.succeed(prefix, seen, prefix.number % 11 == 0)
            looks += 1
    finally:
        if witness.reader is not None:
            witness.reader.close()
    return looks


@BOTH
def test_who_looks_finds_the_old_state_or_the_new_after_any_store_and_so_does_the_successor(
    tmp_path: Path, backwards: bool
) -> None:
    log = changed(tmp_path)
    rebuilt = {step.where for step in log.steps if "= table.generation" in step.where}
    assert len(log.stores) > 300 and rebuilt
    assert replayed(log, tmp_path, backwards) > 200


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RECORD.pack_into(table.bytes", "table.slots[slot] = slot_word(hashed, tail)"),
        ("= key + metadata", "table.slots[slot] = slot_word(hashed, tail)"),
        ("table.words[TAIL] = self._tail", "table.slots[slot] = slot_word(hashed, tail)"),
        ("slots[slot] = slot_word(hashed, tail)", "= table.generation"),
        ("new.words[TAIL] = tail", "= table.generation"),
    ],
    ids=["record", "name", "tail", "copied slot", "copied tail"],
)
def test_an_owner_that_publishes_too_early_is_found_out(tmp_path: Path, one: str, other: str) -> None:
    log = changed(tmp_path)
    late = log.store_by(other)
    early = max(at for at in log.stores if at < late and one in log.steps[at].where)
    with pytest.raises((AssertionError, SegmentCorrupt, IndexError, UnicodeDecodeError)):
        replayed(log.swapped(early, late), tmp_path)


def test_a_founder_stopped_anywhere_leaves_a_registry_or_none(tmp_path: Path) -> None:
    folder = tmp_path / "played"
    folder.mkdir(mode=0o700)
    with Logged(folder) as logged:
        SharedBackend.create(folder, partitions=2, capacity=8).close()
    found = 0
    for prefix in logged.log.prefixes(tmp_path / "replay"):
        copy = prefix.copy()
        if (copy / CONTROL_FILE).exists():
            bereave(copy)
            SharedReader.open(copy).close()
            successor = SharedBackend.adopt(copy)
            found += 1
        else:
            with pytest.raises(FileNotFoundError):
                SharedBackend.adopt(copy)
            successor = SharedBackend.create(copy, partitions=2)
        successor.register("till", A)
        assert SharedReader.open(copy).names() == ["till"], prefix
        assert len(list(copy.iterdir())) == 3, prefix
        successor.remove()
        assert list(copy.iterdir()) == []
    assert found > 3


def test_a_successor_stopped_anywhere_leaves_all_to_the_next(tmp_path: Path) -> None:
    log, tried = changed(tmp_path), 0
    for prefix in log.prefixes(tmp_path / "replay"):
        if prefix.number % (10 if len(prefix.stage.names) > 2 else 70):
            continue
        copy = prefix.copy()
        bereave(copy)
        reader = SharedReader.open(copy)
        seen = told(reader.items())
        with Logged(copy) as again:
            SharedBackend.adopt(copy, is_alive=is_alive).close()
        for second in again.log.prefixes(tmp_path / "again"):
            other = second.copy()
            bereave(other)
            successor = SharedBackend.adopt(other, is_alive=is_alive)
            assert told(successor.items()) == seen, (prefix, second)
            assert len(list(other.iterdir())) == 2
            successor.close()
            tried += 1
        reader.close()
    assert tried > 20
