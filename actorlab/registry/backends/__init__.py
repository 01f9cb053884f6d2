"""The registry's backends, and how one is chosen by its name.

An edge; used by the node, which takes the name from its configuration. A backend is whatever fulfils the contract and
passes its test suite; one of somebody else's is handed to the node as an object and needs no place here.
"""

from __future__ import annotations

import os

from ..contract import IsAlive, RegistryBackend
from .local import LocalBackend
from .shared import SharedBackend
from .shared_reader import SharedReader

BACKENDS = ("local", "shared")

__all__ = ["BACKENDS", "LocalBackend", "SharedBackend", "SharedReader", "create_backend"]


def create_backend(
    kind: str,
    directory: str | os.PathLike[str],
    *,
    partitions: int = 8,
    capacity: int = 1024,
    is_alive: IsAlive | None = None,
) -> RegistryBackend:
    """Make an empty backend of `kind`, one of `BACKENDS`; `local` ignores directory and capacity.

    Raises ValueError for another kind, and what the backend raises.
    """
    if kind == "local":
        return LocalBackend(partitions, is_alive=is_alive)
    if kind == "shared":
        return SharedBackend.create(directory, partitions, capacity, is_alive=is_alive)
    raise ValueError(f"registry backend must be one of {', '.join(BACKENDS)}, not {kind!r}")
