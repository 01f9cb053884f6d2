"""The registry's owner side whole: a backend for the names, rosters for groups, topics and the index over metadata.

Edge by its parts; in the process that owns the registry. It fulfils the backend's contract for any backend, and keeps
beside it which names have which metadata (so that a selection needs no search), who belongs to what, and who wants to
hear of changes. A death frees all of it in one place. A name without metadata costs it one test of a dictionary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import RLock
from typing import Any, Literal

from ..errors import ActorlabError, InvalidMetadata, SharedMemoryFull
from .contract import Entry, RegistryBackend, RegistryStatistics, pack_metadata
from .membership import Memberships, membership_key
from .membership_log import JOINED, LEFT, Change, MembershipLog

NameChange = tuple[Literal["registered", "unregistered", "joined", "left"], str, int, bytes]
"""What happened, the name or group, the address, packed metadata."""

Announce = Callable[[list[int], NameChange], None]
"""Is told who is to hear of a change. Called with the registry locked: it must not call back."""

EVERY_NAME = membership_key("l", "names")


def listeners_key(group: str | None) -> str:
    """Return the roster of those who listen to a group, or to all names.

    >>> listeners_key(None), listeners_key("searchers")
    ('l:names', 'l:group:searchers')
    """
    return EVERY_NAME if group is None else membership_key("l", f"group:{group}")


INDEXED_TYPES = (str, int, float, bool, type(None))


class IndexedBackend:
    """A `RegistryBackend` with rosters. Any thread of the owner's process may write."""

    def __init__(
        self,
        backend: RegistryBackend,
        log: MembershipLog | None = None,
        fields: Sequence[str] = (),
        announce: Announce | None = None,
        class_of: Callable[[int], str | None] | None = None,
    ) -> None:
        """Keep rosters beside `backend`, and the log if other processes read; index the metadata's `fields`.

        With `class_of`, the field `class` of a name that has metadata is what that says of its address.
        """
        self.backend = backend
        self.lookup, self.whereis, self.names = backend.lookup, backend.whereis, backend.names
        self.items, self.count = backend.items, backend.count
        self.fields = frozenset(fields)
        self._log = log
        self._announce, self._class_of = announce, class_of
        self._unpublished: list[Change] = []
        self._heard: Callable[[NameChange], None] | None = None  # None while nobody listens
        self._lock = RLock()
        self._memberships = Memberships()
        self._indexed: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._holders = Counter[tuple[str, int]]()  # how many names put an address on a roster of the index

    def current(self) -> Memberships:
        """Return the rosters."""
        return self._memberships

    # -- names: the contract ------------------------------------------------------------------------------------------

    def register(self, name: str, address: int, metadata: Mapping[str, Any] | None = None) -> Entry:
        """See the contract; metadata that cannot be indexed is refused before anything changes."""
        with self._lock:
            pack_metadata(metadata)
            keys = self._keys(metadata, address) if metadata else ()
            before = self.backend.lookup(name) if self._minds(name, keys) else None
            entry = self.backend.register(name, address, metadata)
            self._note(name, entry, keys, before)
            return entry

    def register_many(self, rows: Sequence[tuple[str, int]]) -> list[Entry | ActorlabError]:
        """See the contract."""
        with self._lock:
            if self._heard is None and not self._indexed:
                return self.backend.register_many(rows)
            answers: list[Entry | ActorlabError] = []
            for name, address in rows:
                try:
                    answers.append(self.register(name, address))
                except ActorlabError as error:
                    answers.append(error)
            return answers

    def unregister(self, name: str, owner: int | None = None) -> bool:
        """See the contract."""
        with self._lock:
            before = self.backend.lookup(name) if self._heard is not None else None
            freed = self.backend.unregister(name, owner)
            if freed:
                self._forget(name)
                if before is not None:
                    self._tell_freed(name, before.address)
            return freed

    def update_metadata(self, name: str, metadata: Mapping[str, Any], owner: int | None = None) -> Entry | None:
        """See the contract."""
        with self._lock:
            pack_metadata(metadata)  # what is wrong with them is said whether or not the name is there
            before = self.backend.lookup(name)
            if before is None or (owner is not None and before.address != owner):
                return None
            keys = self._keys(metadata, before.address) if metadata else ()
            entry = self.backend.update_metadata(name, metadata, before.address)
            if entry is not None:
                self._note(name, entry, keys, before)
            return entry

    def merge_metadata(self, name: str, changes: Mapping[str, Any], owner: int | None = None) -> Entry | None:
        """Change some keys of a name's metadata (to None: remove) and leave the others; else as `update_metadata`."""
        with self._lock:
            if not isinstance(changes, Mapping):
                raise InvalidMetadata(f"they are a mapping, not {type(changes).__name__}")
            entry = self.backend.lookup(name)
            if entry is None:
                return None
            merged = {key: value for key, value in (entry.metadata | dict(changes)).items() if value is not None}
            return self.update_metadata(name, merged, owner)

    def _minds(self, name: str, keys: tuple[str, ...]) -> bool:
        """Whether anybody but the backend cares what becomes of a name."""
        return bool(keys) or name in self._indexed or self._heard is not None

    def _note(self, name: str, entry: Entry, keys: tuple[str, ...], before: Entry | None) -> None:
        """A name has this entry now: index it, and tell who listens. Raises SharedMemoryFull; then it is as before."""
        if not self._minds(name, keys):
            return
        try:
            self._index(name, entry.address, keys)
        except SharedMemoryFull:
            if before is None or before.address != entry.address:
                self.backend.unregister(name)
            else:
                self.backend.update_metadata(name, before.metadata)
            raise
        if self._heard is not None and entry != before:
            if before is not None and before.address != entry.address:
                self._tell_freed(name, before.address)
            self._heard(("registered", name, entry.address, entry.packed))

    def release_owner(self, address: int) -> list[str]:
        """Free every name of `address` and take it off every roster; return the names."""
        with self._lock:
            freed = self.backend.release_owner(address)
            for name in freed:
                self._forget(name)
                self._tell_freed(name, address)
            self._take_off([address])
            return freed

    def release_home(self, home: int, is_dead: Callable[[int], bool] | None = None) -> list[str]:
        """Free the names and places on rosters of all addresses of `home` (of those that `is_dead`, if given)."""
        with self._lock:
            if self._heard is None:
                freed = self.backend.release_home(home, is_dead)
                for name in freed:
                    self._forget(name)
            else:
                had = {entry.name: entry.address for entry in self.backend.items() if entry.address >> 56 == home}
                freed = self.backend.release_home(home, is_dead)
                for name in freed:
                    self._forget(name)
                    self._tell_freed(name, had.get(name, 0))
            members = self._memberships.addresses_of(home)
            self._take_off([address for address in members if is_dead is None or is_dead(address)])
            return freed

    def statistics(self) -> RegistryStatistics:
        """See the contract."""
        return self.backend.statistics()

    def close(self) -> None:
        """See the contract."""
        self.backend.close()
        if self._log is not None:
            self._log.close()
            self._log = None

    # -- rosters --------------------------------------------------------------------------------------------------

    def join(self, key: str, rows: Sequence[tuple[int, bytes]]) -> int:
        """Make each (address, metadata) a member; return how many were none before. All of them at once, or none."""
        with self._lock:
            members = self._memberships.members(key)
            changes = [(JOINED, key, address, packed) for address, packed in rows if members.get(address) != packed]
            new = len({change[2] for change in changes} - members.keys())
            self._change(changes)
            return new

    def leave(self, key: str, addresses: Iterable[int]) -> int:
        """Take addresses off; return how many of them were members."""
        with self._lock:
            members = self._memberships.members(key)
            changes = [(LEFT, key, address, b"") for address in dict.fromkeys(addresses) if address in members]
            self._change(changes)
            return len(changes)

    def _take_off(self, addresses: Sequence[int]) -> None:
        keys_of = self._memberships.keys_of
        self._change([(LEFT, key, address, b"") for address in addresses for key in keys_of(address)])

    def _change(self, changes: list[Change]) -> None:
        """Publish changes and make them. Raises SharedMemoryFull if somebody would join; then nothing has changed."""
        if not changes:
            return
        memberships = self._memberships
        if self._log is not None:
            try:
                self._log.append([*self._unpublished, *changes], memberships)
                self._unpublished.clear()
            except SharedMemoryFull:
                if any(change[0] == JOINED for change in changes):
                    raise
                self._unpublished += changes  # the dead leave all the same; replicas hear of it with the next change
        for what, key, address, packed in changes:
            if what == JOINED:
                memberships.join(key, address, packed)
            else:
                memberships.leave(key, address)
        if any(key[0] == "l" for _, key, _, _ in changes):
            self._heard = self._tell if self._announce is not None and memberships.keys("l") else None
        if self._heard is not None:
            for what, key, address, packed in changes:
                if key[0] == "g":
                    self._heard(("joined" if what == JOINED else "left", key[2:], address, packed))

    def _tell(self, change: NameChange) -> None:
        group = change[1] if change[0] in ("joined", "left") else None
        listeners = self._memberships.addresses(listeners_key(group))
        if listeners and self._announce is not None:
            self._announce(listeners, change)

    # -- the index ------------------------------------------------------------------------------------------------

    def _keys(self, metadata: Mapping[str, Any], address: int) -> tuple[str, ...]:
        if "class" in self.fields and "class" not in metadata and self._class_of is not None:
            metadata = {**metadata, "class": self._class_of(address)}
        chosen = [(field, metadata[field]) for field in self.fields if field in metadata]
        return tuple(key for field, value in chosen for key in index_keys(field, value))

    def _index(self, name: str, address: int, keys: tuple[str, ...]) -> None:
        had_address, had = self._indexed.get(name, (address, ()))
        if (had_address, had) == (address, keys):
            return
        change = Counter((key, address) for key in keys)
        change.subtract((key, had_address) for key in had)
        holders = self._holders
        after = {place: holders[place] + by for place, by in change.items() if by}
        self._change(
            [
                (JOINED if count else LEFT, key, member, b"")
                for (key, member), count in after.items()
                if not count or not holders[key, member]
            ]
        )
        for place, count in after.items():
            holders[place] = count
            if not count:
                del holders[place]
        if keys:
            self._indexed[name] = address, keys
        else:
            self._indexed.pop(name, None)

    def _forget(self, name: str) -> None:
        known = self._indexed.get(name)
        if known is not None:
            self._index(name, known[0], ())

    def _tell_freed(self, name: str, address: int) -> None:
        if self._heard is not None:
            self._heard(("unregistered", name, address, b""))


def index_keys(field: str, value: Any) -> list[str]:
    """Return the keys under which a value of a field is indexed: a collection's items each by themselves.

    >>> index_keys("tier", 2), sorted(index_keys("can", {"plan", "search"}))
    (['i:tier=2'], ["i:can='plan'", "i:can='search'"])
    """
    values = value if isinstance(value, (list, tuple, set, frozenset)) else (value,)
    for item in values:
        if not isinstance(item, INDEXED_TYPES):
            raise InvalidMetadata(
                f"{field!r} is indexed, and holds {item!r}: texts, numbers, or collections of them can be"
            )
    return [membership_key("i", f"{field}={item!r}") for item in values]


def select(memberships: Memberships, criteria: Mapping[str, Any]) -> tuple[list[int], dict[str, int]]:
    """Return the addresses that have every value of `criteria`, and how many have each.

    A collection asks for all of its items. The smallest roster is walked, the others are asked.
    """
    keys = [key for field, value in criteria.items() for key in index_keys(field, value)]
    found = {key[2:]: len(memberships.members(key)) for key in keys}
    rows = sorted((memberships.members(key) for key in keys), key=len)
    if not rows:
        return [], found
    first, *others = rows
    return [address for address in list(first) if all(address in other for other in others)], found
