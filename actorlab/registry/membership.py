"""Memberships: who belongs to what; the members of groups, the subscribers of topics, the entries of an index.

Pure; one in the process that owns the registry, one replica in each process that asks. A roster is a key and its
members in the order in which they joined; a member is an address with its own metadata, and is there once. What
Elixir calls a registry with duplicate keys, Erlang a process group: all of them are rosters here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from .owner import Owners

Kind = Literal["g", "t", "i", "l"]
"""Of groups, topics, the index over metadata, and listeners: the first letter of a roster's key."""

_NOBODY: Mapping[int, bytes] = {}


def membership_key(kind: Kind, name: str) -> str:
    """Return the key of a roster.

    >>> membership_key("g", "searchers")
    'g:searchers'
    """
    return f"{kind}:{name}"


class Memberships:
    """Members by key, keys by member. Reading from other threads is safe; the writer is one at a time."""

    __slots__ = ("_clock", "_members", "_owners", "_versions")

    def __init__(self, clock: int = 0) -> None:
        self._clock = clock
        self._members: dict[str, dict[int, bytes]] = {}
        self._versions: dict[str, int] = {}
        self._owners = Owners()

    @property
    def clock(self) -> int:
        """How many changes were made; a replica that is built anew goes on from its predecessor's."""
        return self._clock

    def join(self, key: str, address: int, packed: bytes = b"") -> bool:
        """Make `address` a member, or replace its metadata; return whether anything changed."""
        members = self._members.get(key)
        if members is None:
            members = self._members[key] = {}
        elif members.get(address) == packed:
            return False
        members[address] = packed
        self._owners.add(address, key)
        self._touch(key)
        return True

    def leave(self, key: str, address: int) -> bool:
        """Take `address` off; return whether it was a member."""
        members = self._members.get(key, {})
        if members.pop(address, None) is None:
            return False
        self._owners.discard(address, key)
        self._touch(key)
        if not members:
            del self._members[key], self._versions[key]
        return True

    def _touch(self, key: str) -> None:
        self._clock += 1
        self._versions[key] = self._clock

    def version(self, key: str) -> int:
        """Return a number that is another one after every change of the roster; 0 while it has no members."""
        return self._versions.get(key, 0)

    def members(self, key: str) -> Mapping[int, bytes]:
        """Return the roster's own mapping of address to packed metadata; it goes on changing."""
        return self._members.get(key, _NOBODY)

    def addresses(self, key: str) -> list[int]:
        """Return the members' addresses as they are now, in the order in which they joined."""
        return list(self._members.get(key, _NOBODY))

    def keys(self, kind: Kind) -> list[str]:
        """Return the names of the rosters of a kind that have members, in no order."""
        return [key[2:] for key in list(self._members) if key[0] == kind]

    def keys_of(self, address: int) -> list[str]:
        """Return the keys of the rosters that `address` is on, sorted."""
        return self._owners.names_of(address)

    def addresses_of(self, home: int) -> list[int]:
        """Return the addresses of a home that are on any roster."""
        return self._owners.addresses_of(home)

    def rows(self) -> Iterator[tuple[str, int, bytes]]:
        """Yield every membership, roster by roster, in the order of joining."""
        for key, members in self._members.items():
            for address, packed in members.items():
                yield key, address, packed
