"""Owners: which names an address has, so that a death frees them without a search.

Pure; one in each backend's writing process. It is derived from the table and never asked where a name points.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ids import home_of


class Owners:
    """Names by address, addresses by home."""

    __slots__ = ("_homes",)

    def __init__(self) -> None:
        # Nearly every actor has one name, so that is a bare string: a set each would cost 216 bytes a name.
        self._homes: dict[int, dict[int, str | set[str]]] = {}

    def add(self, address: int, name: str) -> None:
        """Note that `address` has `name`. Twice is once."""
        home = self._homes.setdefault(home_of(address), {})
        held = home.get(address)
        if held is None:
            home[address] = name
        elif isinstance(held, set):
            held.add(name)
        elif held != name:
            home[address] = {held, name}

    def discard(self, address: int, name: str) -> None:
        """Forget that `address` has `name`, if it is known."""
        home = self._homes.get(home_of(address), {})
        held = home.get(address)
        if isinstance(held, set):
            held.discard(name)
            if held:
                return
        elif held != name:
            return
        del home[address]

    def names_of(self, address: int) -> list[str]:
        """Return the names that `address` has, sorted."""
        held = self._homes.get(home_of(address), {}).get(address)
        if held is None:
            return []
        return sorted(held) if isinstance(held, set) else [held]

    def addresses_of(self, home: int, chosen: Callable[[int], bool] | None = None) -> list[int]:
        """Return the addresses of `home` that have names, those that are `chosen` if that is given."""
        return [address for address in self._homes.get(home, {}) if chosen is None or chosen(address)]
