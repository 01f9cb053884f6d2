"""The shared backend's readers: a name looked up in shared memory, without a message, in any process of the node.

Edge; reads only. A reader waits for nobody and holds up nobody; killed at any point it leaves nothing behind.

The cache. Each process remembers where it saw a name: which slot, which word in it, and in which generation of the
table. A record is never overwritten within a generation, so if the generation is current and the slot still holds that
word, the answer still stands; if not, the name is searched for. A name that was freed is thus never answered from the
cache, and other names' changes do not spoil it.
"""

from __future__ import annotations

import os
from pathlib import Path
from zlib import crc32

from ...errors import SegmentCorrupt
from ..contract import Entry, RegistryStatistics
from .shared_files import Control, Table
from .shared_layout import (
    FREED,
    LIVE,
    PLACE_MASK,
    RECORD,
    RECORD_HEAD,
    generation_word,
)

CACHE_NAMES = 65_536

Seen = tuple[int, int, "memoryview[int]", int, int, int, Table]
"""Control word, generation, the table's slots, slot, its word, the address it meant, the table."""


class SharedReader:
    """A `RegistryReader` over the files of a `SharedBackend`. Any thread may read."""

    def __init__(self, directory: Path, control: Control) -> None:
        self._directory = directory
        self._control = control.words
        self._partitions = control.partitions
        self._words = [generation_word(partition) for partition in range(self._partitions)]
        self._cache: dict[str, Seen] = {}
        self._hits = self._searches = self._absent = 0
        self._tables = [self._open(partition) for partition in range(self._partitions)]

    @classmethod
    def open(cls, directory: str | os.PathLike[str]) -> SharedReader:
        """Map the registry in `directory`. Raises FileNotFoundError if there is none, SegmentCorrupt."""
        path = Path(directory)
        return cls(path, Control(path))

    def _open(self, partition: int) -> Table:
        word = self._words[partition]
        while True:
            generation = self._control[word]
            try:
                return Table.open(self._directory, partition, generation)
            except FileNotFoundError:
                # Replaced between the two steps: the control file already names its successor. If it does not,
                # somebody removed the files.
                if self._control[word] == generation:
                    raise SegmentCorrupt(
                        str(self._directory), f"table {partition} of the registry is missing"
                    ) from None

    def _current(self, partition: int) -> Table:
        """Return the partition's table, mapped anew if it was replaced."""
        if not self._tables:
            raise ValueError("the registry is closed")
        table = self._tables[partition]
        if self._control[self._words[partition]] != table.generation:
            table = self._tables[partition] = self._open(partition)
            word = self._words[partition]
            # Else the remembered slots would keep the old table mapped.
            self._cache = {name: seen for name, seen in self._cache.copy().items() if seen[0] != word}
        return table

    def whereis(self, name: str, /) -> int | None:
        """Return a name's address, or None."""
        seen = self._cache.get(name)
        if seen is not None:
            control_word, generation, slots, slot, word, address, _ = seen
            # The generation first: a slot of a replaced table proves nothing, for it is never freed again.
            if self._control[control_word] == generation and slots[slot] == word:
                self._hits += 1
                return address
        seen = self._search(name)
        return None if seen is None else seen[5]

    def lookup(self, name: str, /) -> Entry | None:
        """Return a name's entry, or None."""
        seen = self._cache.get(name)
        if seen is not None and self._control[seen[0]] == seen[1] and seen[2][seen[3]] == seen[4]:
            self._hits += 1
        else:
            seen = self._search(name)
            if seen is None:
                return None
        address, version, _, metadata = seen[6].record(seen[4])
        return Entry(name, address, version, metadata)

    def _search(self, name: str) -> Seen | None:
        """Find a name in its table, and remember where it was."""
        if not self._tables:
            raise ValueError("the registry is closed")
        self._searches += 1
        try:
            key = name.encode()
        except UnicodeEncodeError:
            self._absent += 1
            return None
        hashed = crc32(key)  # hashing.py's rules, written out: each call of a function would cost 60 ns
        partition = hashed % self._partitions
        table = self._tables[partition]
        control_word = self._words[partition]
        if self._control[control_word] != table.generation:
            table = self._current(partition)
        slots, mask = table.slots, table.mask
        slot = hashed // self._partitions & mask
        while word := slots[slot]:
            if word >> 32 == hashed and word != FREED:
                start = table.arena + ((word & PLACE_MASK) << 3)
                address, _, name_bytes, _, _ = RECORD.unpack_from(table.bytes, start)
                start += RECORD_HEAD
                if table.bytes[start : start + name_bytes] == key:
                    seen = control_word, table.generation, slots, slot, word, address, table
                    if len(self._cache) >= CACHE_NAMES:
                        self._cache.clear()
                    self._cache[name] = seen
                    return seen
            slot = slot + 1 & mask
        self._absent += 1
        self._cache.pop(name, None)
        return None

    def names(self) -> list[str]:
        """Return the names, in no order."""
        return [entry.name for entry in self.items()]

    def items(self) -> list[Entry]:
        """Return the entries, in no order."""
        found: dict[str, Entry] = {}
        for partition in range(self._partitions):
            table = self._current(partition)
            for word in table.slots.tolist():
                if word > FREED:
                    address, version, key, metadata = table.record(word)
                    name = key.decode()
                    # A name freed and registered again while we walk may be met twice: the later one stands.
                    known = found.get(name)
                    if known is None or known.version < version:
                        found[name] = Entry(name, address, version, metadata)
        return list(found.values())

    def count(self) -> int:
        """Return how many names are registered; one off, perhaps, beside a change or after the owner was killed."""
        return sum(self._current(partition).words[LIVE] for partition in range(self._partitions))

    def forget(self) -> None:
        """Drop the cache: the next lookups search. For measurements."""
        self._cache.clear()

    def statistics(self) -> RegistryStatistics:
        """Return counts; `bytes_reserved` are addresses, of which the file system holds what was allocated."""
        count = self.count()
        return RegistryStatistics(
            backend="shared",
            names=count,
            partitions=self._partitions,
            cache_hits=self._hits,
            searches=self._searches,
            absent=self._absent,
            rebuilds=sum(table.generation for table in self._tables),
            bytes_reserved=sum(len(table.bytes) for table in self._tables),
        )

    def close(self) -> None:
        """Let go of the mappings; what another thread is still reading stays mapped until it has read it."""
        self._control = memoryview(b"").cast("Q")
        self._tables = []
        self._cache = {}
