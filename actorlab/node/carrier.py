"""NameCarrier: the registry's write side in a process that owns no partition: requests to the controller.

Edge (sends); a `RegistryWriter`. Blocks or parks until the controller has answered, and raises what it raised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ActorlabError
from ..ids import CONTROLLER_HOME
from ..registry import Entry

if TYPE_CHECKING:
    from .runtime import ProcessRuntime

PATIENCE_S = 10.0


class NameCarrier:
    """Carries registrations to the controller."""

    def __init__(self, runtime: ProcessRuntime) -> None:
        self._runtime = runtime

    def _ask(self, operation: str, *args: Any) -> Any:
        return self._runtime.control(CONTROLLER_HOME, operation, *args).get(timeout=PATIENCE_S)

    def register(self, name: str, address: int, metadata: Mapping[str, Any] | None = None) -> Entry:
        """See the contract."""
        entry: Entry = self._ask("name", name, address, metadata)
        return entry

    def register_many(self, rows: Sequence[tuple[str, int]]) -> list[Entry | ActorlabError]:
        """See the contract."""
        answers: list[Entry | ActorlabError] = self._ask("names", rows)
        return answers

    def unregister(self, name: str, owner: int | None = None) -> bool:
        """See the contract."""
        freed: bool = self._ask("unregister", name, owner)
        return freed

    def update_metadata(self, name: str, metadata: Mapping[str, Any], owner: int | None = None) -> Entry | None:
        """See the contract."""
        entry: Entry | None = self._ask("describe", name, metadata, owner)
        return entry

    def merge_metadata(self, name: str, changes: Mapping[str, Any], owner: int | None = None) -> Entry | None:
        """Change some keys of a name's metadata."""
        entry: Entry | None = self._ask("redescribe", name, changes, owner)
        return entry

    def join(self, key: str, rows: Sequence[tuple[int, bytes]]) -> int:
        """Make each (address, packed metadata) a member of a roster; return how many were none before."""
        new: int = self._ask("join", key, rows)
        return new

    def leave(self, key: str, addresses: Sequence[int]) -> int:
        """Take addresses off a roster; return how many were members."""
        left: int = self._ask("leave", key, addresses)
        return left
