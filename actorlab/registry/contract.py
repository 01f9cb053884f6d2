"""The registry's contract: what every backend promises, and the one test suite holds it to.

Pure; implemented by `backends/`, relied upon by the client and the node. Nobody talks to a backend but through
these methods.

**One writer.** The writing methods are called in the process that created (or adopted) the backend; each is done
when it returns, and blocks only for memory. A request from elsewhere is carried there by the node. **Any reader.**
The reading methods never wait for the writer and never see half a change: each answers with a state that held at
some moment between call and return. **One owner a name** (P8): of two registrations of one name, the second gets
`NameTaken` until the first owner's name is freed; freeing is what death does (`release_owner`, `release_home`).
An owner that `is_alive` denies is already no obstacle. `is_alive` is called while the backend is locked: it must
not call back.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

from ..errors import ActorlabError, InvalidMetadata
from ..ids import NOBODY
from ..lean_dataclass import dataclass

MAX_METADATA_BYTES = 4096

IsAlive = Callable[[int], bool]
"""Whether the actor at an address still lives, or will live again at the same address."""


class Entry(NamedTuple):
    """What a name stands for. Immutable, hashable and picklable; `metadata` is a new dict each time it is read.

    `version` grows with every change of the same name's entry and never returns, not even when the name was free
    in between; versions of different names cannot be compared.
    """

    name: str
    address: int
    version: int
    packed: bytes = b""

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata that were registered, as a copy of one's own."""
        return cast("dict[str, Any]", pickle.loads(self.packed)) if self.packed else {}


@dataclass(frozen=True, slots=True)
class RegistryStatistics:
    """A backend as one process sees it. The four counts of lookups are this process's own.

    `cache_hits`: answered from what was seen before and is still true. `searches`: looked for in the table;
    `absent` of them found nothing. `rebuilds`: tables written anew to grow or to drop what was freed.
    """

    backend: str
    names: int
    partitions: int
    cache_hits: int = 0
    searches: int = 0
    absent: int = 0
    rebuilds: int = 0
    bytes_reserved: int = 0

    @property
    def hit_rate(self) -> float:
        """The share of lookups that needed no search; 0 before the first."""
        lookups = self.cache_hits + self.searches
        return self.cache_hits / lookups if lookups else 0.0


class RegistryReader(Protocol):
    """Reading, from any process."""

    def lookup(self, name: str, /) -> Entry | None:
        """Return a name's entry, or None. A string that could not be a name is one that nobody has."""

    def whereis(self, name: str, /) -> int | None:
        """Return a name's address, or None: `lookup` without the rest, and the path that must be fast."""

    def names(self) -> list[str]:
        """Return the names, in no order. A name that stays registered throughout is there exactly once."""

    def items(self) -> list[Entry]:
        """Return the entries, in no order, under the same rule as `names`."""

    def count(self) -> int:
        """Return how many names are registered; beside a change being made it may be one off."""

    def statistics(self) -> RegistryStatistics:
        """Return counts for people and dashboards."""

    def close(self) -> None:
        """Let go of memory and files. May be called twice; anything else afterwards is an error."""


class RegistryWriter(Protocol):
    """The requests that any process may make; the client needs no more."""

    def register(self, name: str, address: int, metadata: Mapping[str, Any] | None = None) -> Entry:
        """Give `name` to `address` and return the entry.

        Again for the same address, it replaces the metadata (no metadata: none). Raises NameTaken if a live actor
        has the name, InvalidName, InvalidMetadata, ValueError for an address that is none, and SharedMemoryFull;
        then nothing has changed.
        """

    def register_many(self, rows: Sequence[tuple[str, int]]) -> list[Entry | ActorlabError]:
        """Register each (name, address) as `register` does, without metadata; return an entry or an error for each."""

    def unregister(self, name: str, owner: int | None = None) -> bool:
        """Free `name` and say whether it was taken. With `owner`, only if that address has it: late is harmless."""

    def update_metadata(self, name: str, metadata: Mapping[str, Any], owner: int | None = None) -> Entry | None:
        """Replace a name's metadata and return the new entry, or None if nobody (or not `owner`) has the name.

        Raises InvalidMetadata and SharedMemoryFull; then nothing has changed.
        """


class RegistryBackend(RegistryReader, RegistryWriter, Protocol):
    """All of it, in the process that writes."""

    def release_owner(self, address: int) -> list[str]:
        """Free every name of `address` and return them. Each name is freed by itself; together they are not atomic."""

    def release_home(self, home: int, is_dead: Callable[[int], bool] | None = None) -> list[str]:
        """Free the names of all addresses of `home` (of those that `is_dead`, if given) and return them."""


def register_each(writer: RegistryWriter, rows: Sequence[tuple[str, int]]) -> list[Entry | ActorlabError]:
    """Do `register_many` by `register`: for backends that gain nothing by doing more at once."""
    answers: list[Entry | ActorlabError] = []
    for name, address in rows:
        try:
            answers.append(writer.register(name, address))
        except ActorlabError as error:
            answers.append(error)
    return answers


def pack_metadata(metadata: Mapping[str, Any] | None) -> bytes:
    """Return metadata as the bytes that are stored, or raise InvalidMetadata.

    >>> pack_metadata({}), Entry("a", 1, 1, pack_metadata({"tier": 2})).metadata
    (b'', {'tier': 2})
    """
    if not metadata:
        if metadata is None or isinstance(metadata, Mapping):
            return b""
    elif isinstance(metadata, Mapping):
        try:
            packed = pickle.dumps(dict(metadata), protocol=5)
        except Exception as error:
            raise InvalidMetadata(f"they cannot be pickled ({error})") from error
        if len(packed) > MAX_METADATA_BYTES:
            raise InvalidMetadata(f"they have {len(packed):,} bytes, the limit is {MAX_METADATA_BYTES:,}")
        return packed
    raise InvalidMetadata(f"they are a mapping, not {type(metadata).__name__}")


def check_address(address: int) -> int:
    """Return `address` if it can be one, or raise ValueError.

    >>> check_address(7)
    7
    """
    if type(address) is not int or not NOBODY < address < 1 << 64:
        raise ValueError(f"an address is a whole number from 1 to 2**64-1, not {address!r}")
    return address
