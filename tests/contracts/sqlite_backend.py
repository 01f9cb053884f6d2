"""A registry backend as a stranger would write one: names in sqlite, owned by one process and read by all.

Slow and short; it is here to be held against the contract, and to be put into a node.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from actorlab.errors import ActorlabError, NameTaken
from actorlab.ids import home_of, show
from actorlab.registry import Entry, IsAlive, RegistryBackend, RegistryReader, RegistryStatistics, pack_metadata
from actorlab.registry.contract import check_address, register_each
from actorlab.registry.naming import key_bytes

FILE = "names.sqlite"
ROW = "name, address, version, packed"


def entry(row: tuple[Any, ...] | None) -> Entry | None:
    return None if row is None else Entry(row[0], int(row[1]), row[2], row[3])


class Sqlite:
    """Reader and owner in one."""

    def __init__(self, path: Path, is_alive: IsAlive | None, *, owner: bool) -> None:
        if not owner and not path.exists():
            raise FileNotFoundError(path)
        self._db: sqlite3.Connection | None = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._is_alive, self._lock, self._searches, self._absent = is_alive, Lock(), 0, 0
        if owner:
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = off")
            self._db.execute("create table names (name primary key, address text, home int, version int, packed blob)")
            self._db.execute("create table version (last int)")
            self._db.execute("insert into version values (0)")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._db is None:
                raise ValueError("the registry is closed")
            yield self._db

    def lookup(self, name: str, /) -> Entry | None:
        with self._open() as db:
            self._searches += 1
            try:
                found = entry(db.execute(f"select {ROW} from names where name = ?", (name,)).fetchone())
            except UnicodeEncodeError:
                found = None
            self._absent += found is None
            return found

    def whereis(self, name: str, /) -> int | None:
        found = self.lookup(name)
        return None if found is None else found.address

    def items(self) -> list[Entry]:
        with self._open() as db:
            return [Entry(r[0], int(r[1]), r[2], r[3]) for r in db.execute(f"select {ROW} from names")]

    def names(self) -> list[str]:
        return [found.name for found in self.items()]

    def count(self) -> int:
        return len(self.items())

    def statistics(self) -> RegistryStatistics:
        return RegistryStatistics("sqlite", self.count(), 1, searches=self._searches, absent=self._absent)

    def _put(self, db: sqlite3.Connection, name: str, address: int, packed: bytes) -> Entry:
        old = entry(db.execute(f"select {ROW} from names where name = ?", (name,)).fetchone())
        if old is not None and old.address != address and (self._is_alive is None or self._is_alive(old.address)):
            raise NameTaken(name, show(old.address))
        if old is not None and (old.address, old.packed) == (address, packed):
            return old
        db.execute("begin")
        (version,) = db.execute("update version set last = last + 1 returning last").fetchone()
        row = (name, str(address), home_of(address), version, packed)
        db.execute("insert or replace into names values (?, ?, ?, ?, ?)", row)
        db.execute("commit")
        return Entry(name, address, version, packed)

    def register(self, name: str, address: int, metadata: Mapping[str, Any] | None = None) -> Entry:
        key_bytes(name)
        packed = pack_metadata(metadata)
        check_address(address)
        with self._open() as db:
            return self._put(db, name, address, packed)

    def register_many(self, rows: Sequence[tuple[str, int]]) -> list[Entry | ActorlabError]:
        return register_each(self, rows)

    def unregister(self, name: str, owner: int | None = None) -> bool:
        key_bytes(name)
        with self._open() as db:
            if owner is None:
                return db.execute("delete from names where name = ?", (name,)).rowcount > 0
            return db.execute("delete from names where name = ? and address = ?", (name, str(owner))).rowcount > 0

    def update_metadata(self, name: str, metadata: Mapping[str, Any], owner: int | None = None) -> Entry | None:
        packed = pack_metadata(metadata)
        key_bytes(name)
        found = self.lookup(name)
        if found is None or (owner is not None and found.address != owner):
            return None
        with self._open() as db:
            return self._put(db, name, found.address, packed)

    def release_owner(self, address: int) -> list[str]:
        with self._open() as db:
            found = db.execute("delete from names where address = ? returning name", (str(address),)).fetchall()
            return sorted(name for (name,) in found)

    def release_home(self, home: int, is_dead: Callable[[int], bool] | None = None) -> list[str]:
        with self._open() as db:
            rows = db.execute("select distinct address from names where home = ?", (home,)).fetchall()
        addresses = [int(address) for (address,) in rows]
        return [n for address in addresses if is_dead is None or is_dead(address) for n in self.release_owner(address)]

    def close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()
            self._db = None


class SqliteKind:
    """What the configuration names."""

    def create(
        self, directory: str, /, *, partitions: int = 8, capacity: int = 1024, is_alive: IsAlive | None = None
    ) -> RegistryBackend:
        Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)
        return Sqlite(Path(directory, FILE), is_alive, owner=True)

    def open_reader(self, directory: str, /) -> RegistryReader:
        return Sqlite(Path(directory, FILE), None, owner=False)


backend = SqliteKind()
