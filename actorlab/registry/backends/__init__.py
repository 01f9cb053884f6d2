"""The registry's backends, and how one is chosen by its name.

An edge (imports, a file); used by the node, which takes the name from its configuration. A backend is whatever fulfils
the contract and passes its test suite. `shared` and `local` are ours; somebody else's is named `module:attribute`,
an object that fulfils `BackendKind`. Which one a directory is of stands in a file there, so that workers, views and
dashboards read with the same.
"""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Protocol

from ...errors import SpecError
from ..contract import IsAlive, RegistryBackend, RegistryReader
from .local import LocalBackend
from .shared import SharedBackend
from .shared_reader import SharedReader

BACKENDS = ("local", "shared")

__all__ = ["BACKENDS", "BackendKind", "LocalBackend", "SharedBackend", "SharedReader", "create_backend", "open_reader"]

_FOREIGN = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_KIND_FILE = "backend"


class BackendKind(Protocol):
    """How a backend of one kind is made, and how other processes read it."""

    def create(
        self, directory: str, /, *, partitions: int, capacity: int, is_alive: IsAlive | None
    ) -> RegistryBackend:
        """Make an empty one in `directory`, which is private to the node; its owner is this process."""

    def open_reader(self, directory: str, /) -> RegistryReader:
        """Read one, in any process of the node or outside it. Raises FileNotFoundError if there is none."""


def is_backend(kind: object) -> bool:
    """Whether `kind` can be the name of a backend: one of `BACKENDS`, or `module:attribute`.

    >>> is_backend("shared"), is_backend("my.backends:sqlite"), is_backend("sqlite")
    (True, True, False)
    """
    return kind in BACKENDS or (isinstance(kind, str) and _FOREIGN.fullmatch(kind) is not None)


def create_backend(
    kind: str,
    directory: str | os.PathLike[str],
    *,
    partitions: int = 8,
    capacity: int = 1024,
    is_alive: IsAlive | None = None,
) -> RegistryBackend:
    """Make an empty backend of `kind`; `local` ignores directory and capacity.

    Raises SpecError for a kind that is none or cannot be imported, and what the backend raises.
    """
    if kind == "local":
        return LocalBackend(partitions, is_alive=is_alive)
    if kind == "shared":
        return SharedBackend.create(directory, partitions, capacity, is_alive=is_alive)
    made = _foreign(kind).create(os.fspath(directory), partitions=partitions, capacity=capacity, is_alive=is_alive)
    Path(directory, _KIND_FILE).write_text(kind, "utf-8")
    return made


def open_reader(directory: str | os.PathLike[str]) -> RegistryReader:
    """Return a reader of whatever backend has its names in `directory`.

    Raises FileNotFoundError if there is none, SegmentCorrupt, SpecError if its code cannot be imported here.
    """
    try:
        kind = Path(directory, _KIND_FILE).read_text("utf-8")
    except FileNotFoundError:
        return SharedReader.open(directory)
    return _foreign(kind).open_reader(os.fspath(directory))


def _foreign(kind: str) -> BackendKind:
    if not is_backend(kind):
        raise SpecError("registry.backend", f"must be {', '.join(BACKENDS)} or module:attribute, not {kind!r}")
    module, _, attribute = kind.partition(":")
    try:
        made: object = importlib.import_module(module)
        for name in attribute.split("."):
            made = getattr(made, name)
    except (ImportError, AttributeError) as error:
        raise SpecError("registry.backend", f"{kind!r} cannot be imported ({error})") from error
    for method in ("create", "open_reader"):
        if not callable(getattr(made, method, None)):
            raise SpecError("registry.backend", f"{kind!r} is no kind of backend: it has no {method}(…)")
    return made  # type: ignore[return-value]
