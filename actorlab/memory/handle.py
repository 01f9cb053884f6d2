"""Handle: what travels instead of the data; a few dozen bytes that any process of the node can turn into it.

An edge (files, memory); made by a pool, used by whoever gets it in a message. A handle names one sealed version
and nothing else, ever: its number and nonce are not given out twice. It holds nothing; what `get` returns does, and
stays valid when the version is dropped, or its node has ended.
"""

from __future__ import annotations

import os
import re
import weakref
from typing import TYPE_CHECKING, Any, Self

from ..errors import SegmentCorrupt, SegmentGone
from ..lean_dataclass import dataclass
from .content import ARROW, decode, text_of
from .lease import Key, map_sealed, note_holder

if TYPE_CHECKING:
    import mmap

DATA, SETS = "data", "sets"
_TRIES = 20
_ENTRY = re.compile(r"v(\d{8,})\.([0-9a-f]{8})\.(arrow|object)\.(\d+)\.(\d+)\.([0-9a-f]{16})")

# One table a version and process, for as long as anybody here uses it. A column or a slice keeps the mapping but not
# the table; then the table is rebuilt upon the same mapping. Objects are made anew for everybody: they may be changed.
_tables: weakref.WeakValueDictionary[Key, Any] = weakref.WeakValueDictionary()


@dataclass(frozen=True, slots=True, order=True)
class Handle:
    """One sealed version in a context pool. `fingerprint` is that of its schema, `kind` how it is stored."""

    pool: str
    dataset: str
    version: int
    nonce: int
    size_bytes: int
    num_rows: int
    fingerprint: int
    kind: str = ARROW

    def __reduce__(self) -> tuple[type[Handle], tuple[Any, ...]]:
        fields = (self.pool, self.dataset, self.version, self.nonce, self.size_bytes, self.num_rows, self.fingerprint)
        return Handle, (*fields, self.kind)

    def __str__(self) -> str:
        return f"{self.dataset} v{self.version} of pool {os.path.basename(self.pool)}"

    @classmethod
    def parse(cls, pool: str, dataset: str, entry: str) -> Self | None:
        """Return the handle that the file name of a version stands for; None for another name."""
        match = _ENTRY.fullmatch(entry)
        if match is None:
            return None
        version, nonce, kind, size, rows, fingerprint = match.groups()
        return cls(pool, dataset, int(version), int(nonce, 16), int(size), int(rows), int(fingerprint, 16), kind)

    @property
    def entry(self) -> str:
        """The version's file name, which says all that the handle says."""
        return (
            f"v{self.version:08d}.{self.nonce:08x}.{self.kind}.{self.size_bytes}.{self.num_rows}."
            f"{self.fingerprint:016x}"
        )

    @property
    def path(self) -> str:
        """The file, as long as the version is not dropped."""
        return f"{self.pool}/{DATA}/{SETS}/{self.dataset}/{self.entry}"

    @property
    def schema(self) -> Any:
        """What it holds: a table's Arrow schema; of anything else a text, such as "numpy.ndarray float64 (1000, 3)"."""
        return self.get().schema if self.kind == ARROW else text_of(self.hold(), self.path)

    def get(self) -> Any:
        """Return what was put: zero-copy, read-only, the same pages for all processes and one mapping for this one.

        An Arrow table; an object whose arrays are read-only; a memoryview of what was bytes. Does not block, but for
        a version that was compressed since: then it is unpacked first, for everybody. Raises SegmentGone when the
        version was dropped and nothing here still uses it, SegmentCorrupt when the file is not what was sealed. A write
        through the memory itself is a SIGSEGV; make a copy first.
        """
        key = (self.pool, self.dataset, self.version, self.nonce)
        value = _tables.get(key)
        if value is not None:
            note_holder(key)
            return value
        mapping, path = self.hold(), self.path
        value, fingerprint = decode(self.kind, mapping, path)
        if fingerprint != self.fingerprint or (self.kind == ARROW and value.num_rows != self.num_rows):
            raise SegmentCorrupt(path, f"holds another table or object than {self}")
        if self.kind == ARROW:
            _tables[key] = value
        return value

    def hold(self) -> mmap.mmap:
        """Return the segment's bytes as they are: whoever keeps this keeps the version, and needs not decode it."""
        key: Key = (self.pool, self.dataset, self.version, self.nonce)
        for _ in range(_TRIES):
            mapping = map_sealed(key, self.path, self.size_bytes, str(self))
            if mapping is not None:
                return mapping
            self._thaw()  # it may be compressed again before we have it
        raise SegmentCorrupt(self.path, f"has not the {self.size_bytes:,} bytes that were sealed")

    def _thaw(self) -> None:
        """Unpack the version, which somebody compressed since; the rare case, so nothing of it is imported before."""
        from .catalogue import Catalogue
        from .cold import Cold
        from .pool import read_settings

        try:
            settings = read_settings(self.pool)
        except OSError:
            raise SegmentGone(str(self), self.path) from None
        Cold(Catalogue(self.pool), settings).thaw(self)
