"""The registry's contract, held against every backend at 1 and at 8 partitions."""

from __future__ import annotations

import pickle
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import actorlab as al
from actorlab.errors import InvalidMetadata, InvalidName, NameTaken, SpecError
from actorlab.ids import pack
from actorlab.node import RegistryOptions
from actorlab.node.view import NodeView
from actorlab.registry import (
    MAX_METADATA_BYTES,
    Entry,
    IndexedBackend,
    LocalBackend,
    MembershipLog,
    Names,
    RegistryBackend,
    RegistryStatistics,
    SharedBackend,
    create_backend,
    via,
)


class Asker(al.Actor):
    def find(self, name: str) -> Any:
        return self.node.whereis(name)


A, B, C = pack(1, 1, 1), pack(1, 2, 1), pack(2, 1, 1)

Make = Callable[..., RegistryBackend]


KINDS = [("local", 1), ("local", 8), ("shared", 1), ("shared", 8), ("indexed", 1), ("indexed", 8), ("stranger", 1)]


@pytest.fixture(params=KINDS, ids=lambda p: f"{p[0]}-{p[1]}")
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    kind, partitions = request.param
    made: list[RegistryBackend] = []

    def make_one(is_alive: Callable[[int], bool] | None = None) -> RegistryBackend:
        below = {"indexed": "shared", "stranger": "sqlite_backend:backend"}.get(kind, kind)
        folder = tmp_path / "registry"
        backend = create_backend(below, folder, partitions=partitions, capacity=8, is_alive=is_alive)
        if kind == "indexed":
            backend = IndexedBackend(backend, MembershipLog(folder), ("a", "tier"))
        made.append(backend)
        return backend

    yield make_one
    for backend in made:
        backend.close()


@pytest.fixture
def names(make: Make) -> RegistryBackend:
    return make()


def test_a_registered_name_is_found(names: RegistryBackend) -> None:
    entry = names.register("till", A, {"tier": 2})
    assert names.whereis("till") == A
    assert names.lookup("till") == entry
    assert (entry.name, entry.address, entry.metadata) == ("till", A, {"tier": 2})


def test_many_names_are_registered_at_once_and_each_is_answered_for(names: RegistryBackend) -> None:
    names.register("till", A)
    answers = names.register_many([("door", B), ("till", B), ("", B), ("desk", C), ("door", C)])
    assert [type(answer) for answer in answers] == [Entry, NameTaken, InvalidName, Entry, NameTaken]
    assert [names.whereis(name) for name in ("till", "door", "desk")] == [A, B, C]


def test_a_name_that_nobody_has_is_not_found(names: RegistryBackend) -> None:
    names.register("till", A)
    assert names.lookup("tills") is None
    assert names.whereis("til") is None


def test_a_name_that_could_not_be_one_is_not_found(names: RegistryBackend) -> None:
    for impossible in ("", "x" * 5000, "a\nb", "\ud800"):
        assert names.lookup(impossible) is None
        assert names.whereis(impossible) is None


def test_a_live_owner_keeps_its_name(names: RegistryBackend) -> None:
    names.register("till", A, {"a": 1})
    with pytest.raises(NameTaken, match=r"1\.1\.1"):
        names.register("till", B, {"b": 1})
    assert names.lookup("till") == Entry("till", A, 1, pickle.dumps({"a": 1}, protocol=5))
    assert names.release_owner(B) == []


def test_a_dead_owner_is_no_obstacle(make: Make) -> None:
    alive = {A, B}
    names = make(is_alive=alive.__contains__)
    first = names.register("till", A, {"a": 1})
    with pytest.raises(NameTaken):
        names.register("till", B)
    alive.remove(A)
    second = names.register("till", B)
    assert names.lookup("till") == second
    assert second.address == B
    assert second.metadata == {}
    assert second.version > first.version
    assert names.release_owner(A) == []
    assert names.release_owner(B) == ["till"]


def test_registering_again_replaces_the_metadata_only(names: RegistryBackend) -> None:
    first = names.register("till", A, {"a": 1})
    second = names.register("till", A, {"a": 2})
    assert second.version > first.version
    assert names.lookup("till") == second
    assert names.register("till", A, {"a": 2}) == second
    assert names.count() == 1
    assert names.release_owner(A) == ["till"]


def test_a_freed_name_is_gone_at_once_even_if_it_was_just_read(names: RegistryBackend) -> None:
    names.register("till", A)
    assert names.whereis("till") == names.whereis("till") == A
    assert names.unregister("till") is True
    assert names.whereis("till") is None
    assert names.lookup("till") is None
    assert names.unregister("till") is False
    names.register("till", B)
    assert names.whereis("till") == B


def test_a_version_never_returns(names: RegistryBackend) -> None:
    seen = []
    for round_number in range(4):
        seen.append(names.register("till", A, {"n": round_number}).version)
        names.unregister("till")
    assert seen == sorted(set(seen))


def test_a_late_unregister_of_a_former_owner_changes_nothing(names: RegistryBackend) -> None:
    names.register("till", B)
    assert names.unregister("till", owner=A) is False
    assert names.whereis("till") == B
    assert names.unregister("till", owner=B) is True


def test_metadata_are_replaced_whole_and_only_where_the_name_is_held(names: RegistryBackend) -> None:
    first = names.register("till", A, {"a": 1, "b": 2})
    second = names.update_metadata("till", {"c": 3})
    assert second is not None
    assert second.address == A
    assert second.metadata == {"c": 3}
    assert second.version > first.version
    assert names.lookup("till") == second
    assert names.update_metadata("till", {"d": 4}, owner=B) is None
    assert names.update_metadata("nobody", {"d": 4}) is None
    assert names.lookup("till") == second


def test_metadata_are_a_copy(names: RegistryBackend) -> None:
    mine = {"tags": ["a"]}
    entry = names.register("till", A, mine)
    mine["tags"].append("b")
    entry.metadata["tags"].append("c")
    found = names.lookup("till")
    assert found is not None
    assert found.metadata == {"tags": ["a"]}


def test_an_entry_travels_by_pickle(names: RegistryBackend) -> None:
    entry = names.register("till", A, {"a": 1})
    assert pickle.loads(pickle.dumps(entry)) == entry


@pytest.mark.parametrize("name", ["", "x" * 201, "é" * 101, "a\nb", "a\x1f", "\x1fa", "a\x1fb\x1fc", "\ud800", 7, None])
def test_an_impossible_name_is_refused(names: RegistryBackend, name: Any) -> None:
    with pytest.raises(InvalidName):
        names.register(name, A)
    assert names.count() == 0


@pytest.mark.parametrize("name", ["x", "x" * 200, "é" * 100, "日本 語", via("till", "shop").key])
def test_any_text_of_up_to_200_bytes_is_a_name(names: RegistryBackend, name: str) -> None:
    names.register(name, A)
    assert names.names() == [name]
    assert names.whereis(name) == A


@pytest.mark.parametrize("metadata", [{"f": lambda: 0}, {"x": b"x" * MAX_METADATA_BYTES}, [("a", 1)], "text", 0])
def test_impossible_metadata_are_refused_and_nothing_changes(names: RegistryBackend, metadata: Any) -> None:
    before = names.register("till", A, {"a": 1})
    with pytest.raises(InvalidMetadata):
        names.register("till", A, metadata)
    with pytest.raises(InvalidMetadata):
        names.update_metadata("till", metadata)
    with pytest.raises(InvalidMetadata):
        names.register("other", A, metadata)
    assert names.items() == [before]


@pytest.mark.parametrize("address", [0, -1, 1 << 64, "1", None, True, 1.0])
def test_an_impossible_address_is_refused(names: RegistryBackend, address: Any) -> None:
    with pytest.raises(ValueError, match="address"):
        names.register("till", address)
    assert names.count() == 0


def test_the_greatest_address_is_kept_whole(names: RegistryBackend) -> None:
    names.register("till", (1 << 64) - 1)
    assert names.whereis("till") == (1 << 64) - 1


def test_snapshots_hold_every_name_once(names: RegistryBackend) -> None:
    entries = {names.register(f"agent-{n}", pack(1, n, 1), {"n": n}) for n in range(100)}
    names.unregister("agent-7")
    entries = {entry for entry in entries if entry.name != "agent-7"}
    assert sorted(names.names()) == sorted(entry.name for entry in entries)
    assert len(names.items()) == names.count() == 99
    assert set(names.items()) == entries


def test_room_grows_and_every_name_stays(names: RegistryBackend) -> None:
    for n in range(3000):
        names.register(f"agent-{n}", pack(1, n, 1), {"n": n})
    assert names.count() == 3000
    for n in range(3000):
        entry = names.lookup(f"agent-{n}")
        assert entry is not None
        assert (entry.address, entry.metadata) == (pack(1, n, 1), {"n": n})


def test_a_death_frees_all_its_names_and_no_others(names: RegistryBackend) -> None:
    for name in ("a", "b", "c"):
        names.register(name, A)
    names.register("d", B)
    names.unregister("b")
    assert sorted(names.release_owner(A)) == ["a", "c"]
    assert names.names() == ["d"]
    assert names.release_owner(A) == []


def test_a_worker_s_death_frees_the_names_of_its_actors_that_stay_dead(names: RegistryBackend) -> None:
    names.register("a", A)
    names.register("b", B)
    names.register("also-b", B)
    names.register("c", C)
    assert names.release_home(1, lambda address: address == A) == ["a"]
    assert sorted(names.names()) == ["also-b", "b", "c"]
    assert sorted(names.release_home(1)) == ["also-b", "b"]
    assert names.release_home(1) == names.release_home(77) == []
    assert names.names() == ["c"]


def test_of_many_that_register_one_name_at_once_one_wins(names: RegistryBackend) -> None:
    barrier = threading.Barrier(8)
    outcomes: list[tuple[str, int]] = []

    def run(number: int) -> None:
        barrier.wait()
        for name in range(20):
            try:
                names.register(f"name-{name}", pack(1, number, 1))
                outcomes.append(("won", name))
            except NameTaken:
                outcomes.append(("lost", name))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for outcome, name in outcomes if outcome == "won") == list(range(20))
    assert len(outcomes) == 160
    assert names.count() == 20


def test_statistics_count_names_and_lookups(names: RegistryBackend) -> None:
    names.register("till", A)
    for _ in range(10):
        names.whereis("till")
    names.whereis("nobody")
    statistics = names.statistics()
    assert statistics.names == 1
    assert statistics.cache_hits + statistics.searches == 11
    assert statistics.absent == 1
    assert 0 <= statistics.hit_rate < 1


def test_closed_is_closed_and_twice_is_once(names: RegistryBackend) -> None:
    names.register("till", A)
    names.close()
    names.close()
    uses: list[Callable[[], object]] = [
        lambda: names.whereis("till"),
        lambda: names.lookup("till"),
        lambda: names.register("till", A),
        lambda: names.unregister("till"),
        names.names,
        names.count,
    ]
    for use in uses:
        with pytest.raises(ValueError, match="closed"):
            use()


class CountingBackend:
    """A backend that does nothing but count what it is asked and pass it on."""

    def __init__(self, inner: RegistryBackend) -> None:
        self.inner = inner
        self.asked: Counter[str] = Counter()

    def lookup(self, name: str, /) -> Entry | None:
        self.asked["lookup"] += 1
        return self.inner.lookup(name)

    def whereis(self, name: str, /) -> int | None:
        self.asked["whereis"] += 1
        return self.inner.whereis(name)

    def names(self) -> list[str]:
        self.asked["names"] += 1
        return self.inner.names()

    def items(self) -> list[Entry]:
        self.asked["items"] += 1
        return self.inner.items()

    def count(self) -> int:
        self.asked["count"] += 1
        return self.inner.count()

    def statistics(self) -> RegistryStatistics:
        self.asked["statistics"] += 1
        return self.inner.statistics()

    def register(self, name: str, address: int, metadata: Mapping[str, Any] | None = None) -> Entry:
        self.asked["register"] += 1
        return self.inner.register(name, address, metadata)

    def unregister(self, name: str, owner: int | None = None) -> bool:
        self.asked["unregister"] += 1
        return self.inner.unregister(name, owner)

    def update_metadata(self, name: str, metadata: Mapping[str, Any], owner: int | None = None) -> Entry | None:
        self.asked["update_metadata"] += 1
        return self.inner.update_metadata(name, metadata, owner)

    def release_owner(self, address: int) -> list[str]:
        self.asked["release_owner"] += 1
        return self.inner.release_owner(address)

    def release_home(self, home: int, is_dead: Callable[[int], bool] | None = None) -> list[str]:
        self.asked["release_home"] += 1
        return self.inner.release_home(home, is_dead)

    def close(self) -> None:
        self.asked["close"] += 1
        self.inner.close()


def test_nothing_that_the_client_does_goes_round_the_contract() -> None:
    counting = CountingBackend(LocalBackend())
    backend: RegistryBackend = counting  # the whole contract, and a type checker says so
    client = Names(reader=backend, writer=IndexedBackend(backend), memberships=IndexedBackend(backend))
    client.register("till", A, {"a": 1})
    client.register(via("till", "shop"), B)
    client.update_metadata("till", {"a": 2})
    assert client.whereis("till") == A
    assert client.whereis(via("till", "shop")) == B
    assert client.lookup("till") is not None
    assert client.names("shop") == [via("till", "shop")]
    assert len(client.items()) == client.count() == client.statistics().names == 2
    assert client.unregister("till") is True
    assert client.whereis("till") is None
    assert counting.asked == Counter(
        register=2, update_metadata=1, whereis=3, lookup=2, names=1, items=1, count=1, statistics=1, unregister=1
    )


def test_a_backend_is_chosen_by_its_name(tmp_path: Path) -> None:
    assert isinstance(create_backend("local", tmp_path), LocalBackend)
    shared = create_backend("shared", tmp_path, partitions=1)
    assert isinstance(shared, SharedBackend)
    shared.remove()
    assert list(tmp_path.iterdir()) == []
    for kind, why in (
        ("native", "local, shared or module:attribute"),
        ("no.such:backend", "cannot be imported"),
        ("sqlite_backend:entry", "no kind of backend: it has no create"),
    ):
        with pytest.raises(SpecError, match=why):
            create_backend(kind, tmp_path)


@pytest.mark.process
def test_a_node_keeps_its_names_in_a_strangers_backend() -> None:
    options = RegistryOptions("sqlite_backend:backend")
    with al.Node(workers=1, registry=options) as node:
        till = node.spawn(Asker, name="till", metadata={"tier": 1})
        asker = node.spawn(Asker)
        assert asker.call.find("till") == node.whereis("till") == till
        assert node.select(tier=1) == [till]
        assert node.directory is not None
        with NodeView(node.directory) as view:
            assert [row.name for row in view.actors() if row.name] == ["till"]
        till.stop()
        assert asker.call.find("till") is None
