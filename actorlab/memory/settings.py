"""Pool settings: everything about a context pool that is decided when it is made.

Pure; used by the pool, which keeps them in its directory, and by config, which reads them from a file. A value that
makes no sense is a SpecError that names the option; nothing is corrected in silence.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, field
from math import isfinite
from typing import Any, Literal, Self, get_args

from ..errors import SpecError
from ..lean_dataclass import dataclass
from .capabilities import require

PoolBackend = Literal["shm", "memfd", "file"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
DEFAULT_POOL_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class DatasetSettings:
    """What holds for one dataset of a pool. None: as the pool says."""

    max_bytes: int | None = None
    keep_last: int | None = None

    def __post_init__(self) -> None:
        _whole("max_bytes", self.max_bytes, 1)
        _whole("keep_last", self.keep_last, 1)


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How much a pool holds, for how long, and where.

    `max_bytes` counts all there is, dropped versions that somebody still maps too. `keep_last` versions of a published
    dataset are kept, the current one included. With `evict`, room is made by removing versions that are neither the
    newest nor the current of their dataset and that nobody holds, the least recently used first. What nobody has held
    for `cold_after_s` and is not current is compressed (None: never).

    `backend`: "shm", files in the node's directory; "memfd", memory without a file system, held by the node's
    controller, for a /dev/shm that is too small; "file", mapped files in `directory`, on whatever disk that is. None
    stands in for another unasked. `persist` keeps a "file" pool when its node ends, for the next to adopt.
    """

    max_bytes: int = DEFAULT_POOL_BYTES
    keep_last: int = 2
    evict: bool = True
    cold_after_s: float | None = None
    backend: PoolBackend = "shm"
    directory: str | None = None
    persist: bool = False
    datasets: Mapping[str, DatasetSettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _whole("max_bytes", self.max_bytes, 1)
        _whole("keep_last", self.keep_last, 1)
        if self.max_bytes is None or self.keep_last is None:
            raise SpecError("pool", "max_bytes and keep_last cannot be left out")
        for option in ("evict", "persist"):
            if not isinstance(getattr(self, option), bool):
                raise SpecError(option, f"must be true or false, not {getattr(self, option)!r}")
        cold: Any = self.cold_after_s
        if cold is not None and (type(cold) not in (int, float) or not isfinite(cold) or cold <= 0):
            raise SpecError("cold_after_s", f"must be a time above 0 in seconds, not {cold!r}")
        if cold is not None and self.backend == "memfd":
            raise SpecError("cold_after_s", "needs files: 'memfd' has none, and compresses nothing")
        if self.backend not in get_args(PoolBackend):
            raise SpecError("backend", f"must be one of {', '.join(get_args(PoolBackend))}, not {self.backend!r}")
        if self.backend == "memfd":
            require("memfd", "backend", self.backend, "use 'shm', or 'file' and a directory")
        if (self.backend == "file") != (self.directory is not None):
            raise SpecError("directory", "belongs to backend = 'file', and that needs one: where its files are to be")
        if self.directory is not None and not os.path.isabs(self.directory):
            raise SpecError("directory", f"must be an absolute path, not {self.directory!r}")
        if self.persist and self.backend != "file":
            raise SpecError("persist", f"needs backend = 'file': nothing of {self.backend!r} outlives the node")
        for name in self.datasets:
            checked_name(name)

    def of(self, dataset: str) -> tuple[int | None, int]:
        """Return a dataset's own limit in bytes, if it has one, and how many of its versions are kept."""
        own = self.datasets.get(dataset)
        keep = own.keep_last if own is not None else None
        return own.max_bytes if own is not None else None, self.keep_last if keep is None else keep

    def to_json(self) -> str:
        """Return the settings as a file holds them."""
        fields = {option: getattr(self, option) for option in self.__dataclass_fields__ if option != "datasets"}
        return json.dumps(fields | {"datasets": {name: asdict(one) for name, one in self.datasets.items()}})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return what `to_json` wrote.

        >>> PoolSettings.from_json(PoolSettings(keep_last=3).to_json()).keep_last
        3
        """
        fields: dict[str, Any] = json.loads(text)
        fields["datasets"] = {name: DatasetSettings(**one) for name, one in fields["datasets"].items()}
        return cls(**fields)


def checked_name(name: str) -> str:
    """Return the name of a pool or a dataset, or raise ValueError: it could leave the directory."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise SpecError(f"name {name!r}", "cannot be a name here: letters, digits, '_', '.' and '-', at most 64")
    return name


def _whole(option: str, value: object, low: int) -> None:
    if value is not None and (type(value) is not int or value < low):
        raise SpecError(option, f"must be a whole number, {low} or more, not {value!r}")
