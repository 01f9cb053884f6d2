"""Placement: in which process an actor is to live.

Pure; used by specifications, `spawn` and the node. `choose` is the whole rule.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Literal, Protocol

from ..errors import SpecError
from ..lean_dataclass import dataclass


class HasAddress(Protocol):
    """Anything that knows where it lives: a reference."""

    @property
    def home(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Beside:
    """In the process of another actor: a reference, or the name of an earlier child of the same supervisor."""

    who: HasAddress | str


@dataclass(frozen=True, slots=True)
class ByHash:
    """In the worker a stable hash of `key` names: the same key, the same worker, in every process and run."""

    key: str


Placement = int | Literal["any", "local", "worker"] | Beside | ByHash
"""`"any"` (the next worker in turn), a worker's number from 1, `"local"` (the user's process), `beside`, `by_hash`.

`"worker"` is `"any"` under the name that suits a supervisor, whose own default is the controller."""


def beside(who: HasAddress | str) -> Beside:
    """Place an actor in the process of `who`: a reference, or the name of an earlier child of the same supervisor."""
    return Beside(who)


def by_hash(key: object) -> ByHash:
    """Place an actor by a stable hash of `str(key)` (CRC-32)."""
    return ByHash(str(key))


def check(placement: object) -> Placement:
    """Return `placement` or raise SpecError saying what is allowed."""
    if isinstance(placement, (Beside, ByHash)) or placement in ("any", "local", "worker"):
        return placement
    if type(placement) is int and placement >= 1:
        return placement
    raise SpecError(
        "placement",
        f"must be 'any', 'local', 'worker', a worker's number from 1, al.beside(…) or al.by_hash(…), not {placement!r}",
    )


def pick_by_hash(key: str, workers: Sequence[int]) -> int:
    """Return the worker for `key`.

    >>> pick_by_hash("a", [1, 2]) == pick_by_hash("a", [1, 2])
    True
    """
    return workers[zlib.crc32(key.encode()) % len(workers)]
