"""The index over metadata: a selection says what the names say, through every change of them."""

from __future__ import annotations

import random

import pytest

from actorlab.errors import InvalidMetadata, SharedMemoryFull
from actorlab.ids import pack
from actorlab.registry import IndexedBackend, LocalBackend, Memberships, NameChange, index_keys, select
from actorlab.registry.membership_log import JOINED, Change

A, B = pack(1, 1, 1), pack(1, 2, 1)
FIELDS = ("tier", "capabilities", "class")


@pytest.fixture
def names() -> IndexedBackend:
    return IndexedBackend(LocalBackend(), fields=FIELDS)


def chosen(names: IndexedBackend, **criteria: object) -> list[int]:
    return select(names.current(), criteria)[0]


def test_a_name_is_found_by_each_of_its_values_and_by_all(names: IndexedBackend) -> None:
    names.register("a", A, {"tier": 1, "capabilities": ["plan", "search"], "other": object.__name__})
    names.register("b", B, {"tier": 1, "capabilities": ("search",)})
    assert chosen(names, tier=1) == [A, B]
    assert chosen(names, tier=1, capabilities="plan") == [A]
    assert chosen(names, capabilities={"plan", "search"}) == [A]
    assert chosen(names, tier="1") == []


def test_new_metadata_replace_the_old_in_the_index(names: IndexedBackend) -> None:
    names.register("a", A, {"tier": 1})
    names.update_metadata("a", {"tier": 2})
    assert (chosen(names, tier=1), chosen(names, tier=2)) == ([], [A])
    names.register("a", A)
    assert chosen(names, tier=2) == []


def test_merging_changes_what_it_names_and_nothing_else(names: IndexedBackend) -> None:
    names.register("a", A, {"tier": 1, "capabilities": ["plan"], "note": "x"})
    entry = names.merge_metadata("a", {"tier": 2, "note": None})
    assert entry is not None and entry.metadata == {"tier": 2, "capabilities": ["plan"]}
    assert chosen(names, tier=2, capabilities="plan") == [A]
    assert names.merge_metadata("nobody", {"tier": 2}) is None


def test_an_actor_of_two_names_stays_while_one_of_them_says_so(names: IndexedBackend) -> None:
    names.register("a", A, {"tier": 1})
    names.register("b", A, {"tier": 1})
    names.unregister("a")
    assert chosen(names, tier=1) == [A]
    names.unregister("b")
    assert chosen(names, tier=1) == []


def test_a_value_that_cannot_be_indexed_is_refused_and_nothing_changes(names: IndexedBackend) -> None:
    names.register("a", A, {"tier": 1})
    with pytest.raises(InvalidMetadata, match=r"'tier' is indexed, and holds \{\}"):
        names.register("a", A, {"tier": {}})
    with pytest.raises(InvalidMetadata):
        names.update_metadata("a", {"capabilities": [["nested"]]})
    assert (chosen(names, tier=1), names.lookup("a").metadata) == ([A], {"tier": 1})  # type: ignore[union-attr]


def test_an_actors_class_is_indexed_without_being_written_into_its_metadata() -> None:
    names = IndexedBackend(LocalBackend(), fields=FIELDS, class_of=lambda address: f"app:Class{address & 1}")
    entry = names.register("a", A, {"tier": 1})
    names.register("plain", B)
    assert entry.metadata == {"tier": 1}
    assert chosen(names, **{"class": f"app:Class{A & 1}"}) == [A]


def test_the_index_is_what_a_scan_of_all_names_finds() -> None:
    chance = random.Random(3)
    names = IndexedBackend(LocalBackend(8), fields=FIELDS)
    addresses = [pack(1 + n % 2, n, 1) for n in range(30)]
    for _ in range(4_000):
        name, address = f"n{chance.randrange(40)}", chance.choice(addresses)
        metadata = {"tier": chance.randrange(3), "capabilities": chance.sample("abcd", chance.randrange(4))}
        owner = names.whereis(name)
        match chance.randrange(6):
            case 0:
                names.unregister(name)
            case 1:
                names.release_owner(address)
            case 2 if chance.random() < 0.1:
                names.release_home(1, lambda address: address & 2 == 0)
            case 3:
                names.update_metadata(name, metadata)
            case _:
                names.register(name, owner or address, metadata)
        for key in (*index_keys("tier", chance.randrange(3)), *index_keys("capabilities", chance.choice("abcd"))):
            scanned = {
                entry.address
                for entry in names.items()
                if key in [k for field, value in entry.metadata.items() for k in index_keys(field, value)]
            }
            assert set(names.current().members(key)) == scanned


def test_listeners_hear_every_change_in_order_and_only_what_they_listen_to() -> None:
    heard: list[tuple[list[int], NameChange]] = []
    names = IndexedBackend(LocalBackend(), announce=lambda who, change: heard.append((who, change)))
    names.register("before", A)
    names.join("l:names", [(B, b"")])
    names.register("a", A)
    names.register("a", A)
    names.join("g:team", [(A, b"")])
    names.join("l:group:team", [(B, b"")])
    names.leave("g:team", [A])
    names.release_owner(A)
    names.leave("l:names", [B])
    names.register("after", A)
    assert [(who, change[:3]) for who, change in heard] == [
        ([B], ("registered", "a", A)),
        ([B], ("left", "team", A)),
        ([B], ("unregistered", "a", A)),
        ([B], ("unregistered", "before", A)),
    ]


class FullLog:
    """A log in shared memory that has no room while `full`."""

    def __init__(self) -> None:
        self.full = False
        self.published: list[Change] = []

    def append(self, changes: list[Change], before: Memberships) -> None:
        if self.full:
            raise SharedMemoryFull("a log", 1, 0, "/dev/shm")
        self.published += changes

    def close(self) -> None:
        pass


def test_without_room_nobody_joins_and_nothing_changes() -> None:
    log = FullLog()
    names = IndexedBackend(LocalBackend(), log, FIELDS)  # type: ignore[arg-type]
    names.register("a", A, {"tier": 1})
    log.full = True
    with pytest.raises(SharedMemoryFull):
        names.join("g:team", [(A, b"")])
    with pytest.raises(SharedMemoryFull):
        names.register("b", B, {"tier": 1})
    with pytest.raises(SharedMemoryFull):
        names.update_metadata("a", {"tier": 2})
    assert names.whereis("b") is None
    assert names.lookup("a").metadata == {"tier": 1}  # type: ignore[union-attr]
    assert (chosen(names, tier=1), names.current().addresses("g:team")) == ([A], [])


def test_without_room_the_dead_leave_all_the_same_and_replicas_hear_of_it_later() -> None:
    log = FullLog()
    names = IndexedBackend(LocalBackend(), log, FIELDS)  # type: ignore[arg-type]
    names.register("a", A, {"tier": 1})
    names.join("g:team", [(A, b""), (B, b"")])
    log.full = True
    names.release_owner(A)
    assert (chosen(names, tier=1), names.current().addresses("g:team")) == ([], [B])
    log.full = False
    names.join("g:team", [(B, b"new")])
    replica = Memberships()
    for what, key, address, packed in log.published:
        replica.join(key, address, packed) if what == JOINED else replica.leave(key, address)
    assert sorted(replica.rows()) == sorted(names.current().rows())
