"""The shared backend: names in shared memory, written by one process and read by all.

Edge; lives in the process that owns the registry (the controller). Readers elsewhere open a `SharedReader` on the same
directory. The owner may be killed between any two stores: the marks `crash:` name the places, and a test kills it at
each of them. Readers then see the state before or after the change in hand, and `adopt` takes the files over.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from ...errors import ActorlabError, NameTaken, RegistryOwned
from ...ids import show
from ...memory import Segment, encode_header, start_time_of
from ..contract import Entry, IsAlive, RegistryStatistics, check_address, pack_metadata, register_each
from ..hashing import check_partitions, hash_of, partition_of
from ..naming import key_bytes
from ..owner import Owners
from .shared_files import Control
from .shared_layout import (
    CONTROL_FILE,
    CONTROL_MAGIC,
    LAYOUT_VERSION,
    OWNER_PID,
    OWNER_STARTED,
    TABLE_PREFIX,
    control_bytes,
    generation_word,
    table_name,
)
from .shared_partition import Partition, write_table
from .shared_reader import SharedReader


class SharedBackend:
    """A `RegistryBackend` in the files of a directory. Made by `create` or `adopt`; writes in that process only."""

    def __init__(self, directory: Path, is_alive: IsAlive | None) -> None:
        self._directory = directory
        self._is_alive = is_alive
        self._pid = os.getpid()
        self._lock = Lock()
        self._owners = Owners()
        self._control: Control | None = Control(directory, writable=True)
        control = self._control
        # Killed among these: a pid that is dead, or not as old as it says, so the next may adopt.
        # crash: owner_next
        control.words[OWNER_STARTED] = start_time_of(self._pid) or 0
        # crash: owner_started
        control.words[OWNER_PID] = self._pid
        # crash: owner_written
        try:
            self._parts = [Partition(directory, n, control) for n in range(control.partitions)]
            for part in self._parts:
                for name, address in part.recover():
                    self._owners.add(address, name)
            self._reader = SharedReader.open(directory)
        except BaseException:
            # crash: owner_undo
            control.words[OWNER_PID] = 0
            # crash: owner_undone
            raise

    @classmethod
    def create(
        cls,
        directory: str | os.PathLike[str],
        partitions: int = 8,
        capacity: int = 1024,
        *,
        is_alive: IsAlive | None = None,
    ) -> SharedBackend:
        """Make an empty registry in `directory` (made too, 0700, if it is missing) and own it.

        `capacity` is how many names fit before the first table grows; none is a limit. Raises FileExistsError if
        there is a registry, SharedMemoryFull.
        """
        check_partitions(partitions)
        path = Path(directory)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (path / CONTROL_FILE).exists():
            raise FileExistsError(f"there is a registry in {path}: adopt it, or remove it")
        _remove_files(path)
        try:
            for partition in range(partitions):
                write_table(path, partition, 0, capacity // partitions + 1, 0).close()
            # Last, for it is what makes the tables a registry.
            Segment.create(
                path / CONTROL_FILE,
                control_bytes(partitions),
                what="a registry",
                header=encode_header(CONTROL_MAGIC, LAYOUT_VERSION, partitions),
            ).close()
            # crash: control_linked
            return cls(path, is_alive)
        except BaseException:
            _remove_files(path)
            raise

    @classmethod
    def adopt(cls, directory: str | os.PathLike[str], *, is_alive: IsAlive | None = None) -> SharedBackend:
        """Take over the registry of an owner that was killed or has closed it.

        What had been published is there; what had not, is not. Raises FileNotFoundError if none was ever completed,
        RegistryOwned if the owner lives, SegmentCorrupt. That check catches mistakes; it is no election: two that
        adopt in the same instant are kept apart by whoever starts them.
        """
        path = Path(directory)
        control = Control(path)
        pid, started = control.words[OWNER_PID], control.words[OWNER_STARTED]
        if pid and start_time_of(pid) == started:
            raise RegistryOwned(str(path), pid)
        current = {table_name(n, control.words[generation_word(n)]) for n in range(control.partitions)}
        for file in _files(path):
            if file.name not in current and file.name != CONTROL_FILE:
                # crash: leftover_found
                file.unlink(missing_ok=True)
                # crash: leftover_removed
        return cls(path, is_alive)

    def _part_of(self, key: bytes) -> tuple[Partition, int]:
        if os.getpid() != self._pid:
            raise RuntimeError("this registry is written by the process that made it, not by its fork")
        if not self._parts:
            raise ValueError("the registry is closed")
        hashed = hash_of(key)
        return self._parts[partition_of(hashed, len(self._parts))], hashed

    def register(self, name: str, address: int, metadata: Mapping[str, Any] | None = None) -> Entry:
        """Give `name` to `address`; see the contract."""
        key, packed = key_bytes(name), pack_metadata(metadata)
        check_address(address)
        with self._lock:
            part, hashed = self._part_of(key)
            old = part.find(key, hashed)
            if old is not None:
                owner = old[0]
                if owner == address and old[2] == packed:
                    return Entry(name, address, old[1], packed)
                if owner != address and (self._is_alive is None or self._is_alive(owner)):
                    raise NameTaken(name, show(owner))
            version = part.put(key, hashed, address, packed)
            if old is not None and old[0] != address:
                self._owners.discard(old[0], name)
            self._owners.add(address, name)
            return Entry(name, address, version, packed)

    def register_many(self, rows: Sequence[tuple[str, int]]) -> list[Entry | ActorlabError]:
        """Register each (name, address); see the contract."""
        return register_each(self, rows)

    def unregister(self, name: str, owner: int | None = None) -> bool:
        """Free `name` and say whether it was taken; see the contract."""
        with self._lock:
            return self._free(name, owner)

    def _free(self, name: str, owner: int | None) -> bool:
        key = key_bytes(name)
        part, hashed = self._part_of(key)
        address = part.free(key, hashed, owner)
        if address is None:
            return False
        self._owners.discard(address, name)
        return True

    def update_metadata(self, name: str, metadata: Mapping[str, Any], owner: int | None = None) -> Entry | None:
        """Replace a name's metadata; see the contract."""
        key, packed = key_bytes(name), pack_metadata(metadata)
        with self._lock:
            part, hashed = self._part_of(key)
            old = part.find(key, hashed)
            if old is None or (owner is not None and old[0] != owner):
                return None
            version = old[1] if old[2] == packed else part.put(key, hashed, old[0], packed)
            return Entry(name, old[0], version, packed)

    def release_owner(self, address: int) -> list[str]:
        """Free every name of `address` and return them."""
        with self._lock:
            return [name for name in self._owners.names_of(address) if self._free(name, address)]

    def release_home(self, home: int, is_dead: Callable[[int], bool] | None = None) -> list[str]:
        """Free the names of all addresses of `home` (of those that `is_dead`) and return them."""
        with self._lock:
            addresses = self._owners.addresses_of(home, is_dead)
        return [name for address in addresses for name in self.release_owner(address)]

    def lookup(self, name: str, /) -> Entry | None:
        """Return a name's entry, or None, by the path that every reader takes."""
        return self._reader.lookup(name)

    def whereis(self, name: str, /) -> int | None:
        """Return a name's address, or None, by the path that every reader takes."""
        return self._reader.whereis(name)

    def names(self) -> list[str]:
        """Return the names, in no order."""
        return self._reader.names()

    def items(self) -> list[Entry]:
        """Return the entries, in no order."""
        return self._reader.items()

    def count(self) -> int:
        """Return how many names are registered."""
        return self._reader.count()

    def statistics(self) -> RegistryStatistics:
        """Return counts of this process's reads and of the tables."""
        return self._reader.statistics()

    def close(self) -> None:
        """Let go of the memory. The files stay, for readers and for an `adopt`. May be called twice."""
        with self._lock:
            if self._control is not None and os.getpid() == self._pid:
                # crash: owner_leaves
                self._control.words[OWNER_PID] = 0
                # crash: owner_left
            self._control = None
            for part in self._parts:
                part.close()
            self._parts = []
            self._reader.close()

    def remove(self) -> None:
        """Close, and remove the files. Readers that have them mapped keep the last state."""
        self.close()
        _remove_files(self._directory)


def _files(directory: Path) -> list[Path]:
    """Return the registry's files, the drafts of killed owners among them; the control file first."""
    kinds = (CONTROL_FILE, f"{TABLE_PREFIX}*", f".{CONTROL_FILE}.*.tmp", f".{TABLE_PREFIX}*.tmp")
    return [file for kind in kinds for file in directory.glob(kind)]


def _remove_files(directory: Path) -> None:
    # The control file first: without it nobody opens the tables.
    for file in _files(directory):
        # crash: file_next
        file.unlink(missing_ok=True)
        # crash: file_removed
