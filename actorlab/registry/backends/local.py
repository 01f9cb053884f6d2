"""The local backend: dictionaries in one process.

An edge by contract, with no memory but this process's: for an embedded node, for tests, and as the plainest
statement of the contract. Reading from other threads is safe; other processes see nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

from ...errors import ActorlabError, NameTaken
from ...ids import show
from ..contract import Entry, IsAlive, RegistryStatistics, check_address, pack_metadata, register_each
from ..hashing import check_partitions, hash_of, partition_of
from ..naming import key_bytes
from ..owner import Owners


class LocalBackend:
    """A `RegistryBackend` in this process."""

    def __init__(self, partitions: int = 1, *, is_alive: IsAlive | None = None) -> None:
        self._parts: tuple[dict[str, Entry], ...] = tuple({} for _ in range(check_partitions(partitions)))
        self._versions = [0] * partitions
        self._is_alive = is_alive
        self._owners = Owners()
        self._lock = Lock()
        self._searches = self._absent = 0
        self._closed = False

    def _place(self, key: bytes) -> int:
        if self._closed:
            raise ValueError("the registry is closed")
        return partition_of(hash_of(key), len(self._parts))

    def lookup(self, name: str, /) -> Entry | None:
        """Return a name's entry, or None."""
        try:
            place = self._place(name.encode())
        except UnicodeEncodeError:
            return None
        entry = self._parts[place].get(name)
        self._searches += 1
        if entry is None:
            self._absent += 1
        return entry

    def whereis(self, name: str, /) -> int | None:
        """Return a name's address, or None."""
        entry = self.lookup(name)
        return None if entry is None else entry.address

    def names(self) -> list[str]:
        """Return the names, in no order."""
        return [entry.name for entry in self.items()]

    def items(self) -> list[Entry]:
        """Return the entries, in no order."""
        if self._closed:
            raise ValueError("the registry is closed")
        with self._lock:
            return [entry for part in self._parts for entry in part.values()]

    def count(self) -> int:
        """Return how many names are registered."""
        if self._closed:
            raise ValueError("the registry is closed")
        return sum(map(len, self._parts))

    def statistics(self) -> RegistryStatistics:
        """Return counts; a dictionary has no cache, so every lookup is a search."""
        return RegistryStatistics("local", self.count(), len(self._parts), searches=self._searches, absent=self._absent)

    def register(self, name: str, address: int, metadata: Mapping[str, Any] | None = None) -> Entry:
        """Give `name` to `address`; see the contract."""
        key, packed = key_bytes(name), pack_metadata(metadata)
        check_address(address)
        with self._lock:
            place = self._place(key)
            old = self._parts[place].get(name)
            if old is not None and old.address != address:
                if self._is_alive is None or self._is_alive(old.address):
                    raise NameTaken(name, show(old.address))
                self._owners.discard(old.address, name)
            return self._put(place, old, name, address, packed)

    def _put(self, place: int, old: Entry | None, name: str, address: int, packed: bytes) -> Entry:
        if old is not None and old.address == address and old.packed == packed:
            return old
        self._versions[place] += 1
        entry = self._parts[place][name] = Entry(name, address, self._versions[place], packed)
        self._owners.add(address, name)
        return entry

    def register_many(self, rows: Sequence[tuple[str, int]]) -> list[Entry | ActorlabError]:
        """Register each (name, address); see the contract."""
        return register_each(self, rows)

    def unregister(self, name: str, owner: int | None = None) -> bool:
        """Free `name` and say whether it was taken; see the contract."""
        key = key_bytes(name)
        with self._lock:
            return self._free(self._place(key), name, owner)

    def _free(self, place: int, name: str, owner: int | None) -> bool:
        old = self._parts[place].get(name)
        if old is None or (owner is not None and old.address != owner):
            return False
        del self._parts[place][name]
        self._owners.discard(old.address, name)
        return True

    def update_metadata(self, name: str, metadata: Mapping[str, Any], owner: int | None = None) -> Entry | None:
        """Replace a name's metadata; see the contract."""
        key, packed = key_bytes(name), pack_metadata(metadata)
        with self._lock:
            place = self._place(key)
            old = self._parts[place].get(name)
            if old is None or (owner is not None and old.address != owner):
                return None
            return self._put(place, old, name, old.address, packed)

    def release_owner(self, address: int) -> list[str]:
        """Free every name of `address` and return them."""
        with self._lock:
            return [
                name for name in self._owners.names_of(address) if self._free(self._place(name.encode()), name, None)
            ]

    def release_home(self, home: int, is_dead: Callable[[int], bool] | None = None) -> list[str]:
        """Free the names of all addresses of `home` (of those that `is_dead`) and return them."""
        with self._lock:
            addresses = self._owners.addresses_of(home, is_dead)
        return [name for address in addresses for name in self.release_owner(address)]

    def close(self) -> None:
        """Forget everything. May be called twice."""
        with self._lock:
            self._closed = True
            for part in self._parts:
                part.clear()
            self._owners = Owners()
