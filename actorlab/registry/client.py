"""Names: the registry as a process of the node uses it, whoever owns the partitions.

Pure delegation, but for the reader that it holds. Reads go to this process's own reader and send no message. Writes go
to a `RegistryWriter`: in the owner's process the backend itself, elsewhere the node's carrier of requests, which
blocks until the owner has answered and raises what the owner raised. Nothing here goes round the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ..errors import ActorlabError
from .contract import Entry, RegistryReader, RegistryStatistics, RegistryWriter
from .membership import Memberships
from .naming import Via, key_bytes, split

Name = str | Via


class MembershipsHere(Protocol):
    """Whatever has this process's view of the rosters: the owner itself, or a replica."""

    def current(self) -> Memberships:
        """Return the rosters with every change that had been published when this was called."""


class OwnersSide(RegistryWriter, Protocol):
    """The requests that any process may make: the contract's, and those about rosters."""

    def merge_metadata(self, name: str, changes: Mapping[str, Any], owner: int | None = None) -> Entry | None:
        """Change some keys of a name's metadata."""

    def join(self, key: str, rows: Sequence[tuple[int, bytes]]) -> int:
        """Make each (address, packed metadata) a member of a roster; return how many were none before."""

    def leave(self, key: str, addresses: Sequence[int]) -> int:
        """Take addresses off a roster; return how many were members."""


class Names:
    """Who is called what, and who belongs to what, for this process. Any thread."""

    __slots__ = ("_memberships", "_reader", "_whereis", "_writer", "memberships")

    def __init__(self, reader: RegistryReader, writer: OwnersSide, memberships: MembershipsHere) -> None:
        self._reader, self._writer, self._memberships = reader, writer, memberships
        self.memberships: Callable[[], Memberships] = memberships.current
        self._whereis = reader.whereis  # bound once: this is the path of every call by name

    def whereis(self, name: Name) -> int | None:
        """Return the address that has `name`, or None. Does not block."""
        return self._whereis(name if type(name) is str else _key(name))

    def lookup(self, name: Name) -> Entry | None:
        """Return the entry of `name`, or None. Does not block."""
        return self._reader.lookup(_key(name))

    def register(self, name: Name, address: int, metadata: Mapping[str, Any] | None = None) -> Entry:
        """Give `name` to `address`; see the contract. A name that cannot be one is refused here, before it travels."""
        return self._writer.register(self.check(name), address, metadata)

    def register_many(self, rows: Sequence[tuple[Name, int]]) -> list[Entry | ActorlabError]:
        """Register each (name, address); return an entry or an error for each. One request, however many."""
        return self._writer.register_many([(_key(name), address) for name, address in rows])

    def check(self, name: Name) -> str:
        """Return the string that stands for `name`. Raises InvalidName."""
        key = _key(name)
        key_bytes(key)
        return key

    def unregister(self, name: Name, owner: int | None = None) -> bool:
        """Free `name` (if `owner`, where given, has it) and say whether it was taken."""
        return self._writer.unregister(_key(name), owner)

    def update_metadata(self, name: Name, metadata: Mapping[str, Any], owner: int | None = None) -> Entry | None:
        """Replace the metadata of `name`; None if nobody (or not `owner`) has it."""
        return self._writer.update_metadata(_key(name), metadata, owner)

    def merge_metadata(self, name: Name, changes: Mapping[str, Any]) -> Entry | None:
        """Change some keys of the metadata of `name` (to None: remove them); None if nobody has it."""
        return self._writer.merge_metadata(_key(name), changes)

    def join(self, key: str, rows: Sequence[tuple[int, bytes]]) -> int:
        """Make each (address, packed metadata) a member of a roster; return how many were none before."""
        return self._writer.join(key, rows)

    def leave(self, key: str, addresses: Sequence[int]) -> int:
        """Take addresses off a roster; return how many were members."""
        return self._writer.leave(key, addresses)

    def names(self, namespace: str | None = None) -> list[Via]:
        """Return the names, of one namespace or of all, sorted."""
        every = map(split, self._reader.names())
        return sorted((via for via in every if namespace in (None, via.namespace)), key=lambda via: via.key)

    def items(self, namespace: str | None = None) -> list[Entry]:
        """Return the entries, of one namespace or of all, in no order."""
        return [entry for entry in self._reader.items() if namespace in (None, split(entry.name).namespace)]

    def count(self) -> int:
        """Return how many names are registered, in all namespaces."""
        return self._reader.count()

    def statistics(self) -> RegistryStatistics:
        """Return the reader's counts: the lookups are this process's."""
        return self._reader.statistics()


def _key(name: Name) -> str:
    return name.key if isinstance(name, Via) else name
