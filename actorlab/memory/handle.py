"""Handle: what travels instead of a table; a few dozen bytes that any process of the node can turn into it.

An edge (files, memory); made by a pool's `put`, used by whoever gets it in a message. A handle names one sealed version
and nothing else, ever: its number and nonce are not given out twice. It holds nothing; the table from `get` does, and
stays valid when the version is dropped, or its node has ended.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import SegmentCorrupt, SegmentGone, SharedMemoryError

if TYPE_CHECKING:
    import pyarrow as pa

# One mapping and one table a version and process, for as long as anybody here uses them. A column or a slice keeps the
# mapping but not the table; then the table is rebuilt upon the same mapping.
_mappings: weakref.WeakValueDictionary[tuple[str, int, int], mmap.mmap] = weakref.WeakValueDictionary()
_tables: weakref.WeakValueDictionary[tuple[str, int, int], Any] = weakref.WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class Handle:
    """One sealed table in a context pool. `fingerprint` is the schema's (see `schema_fingerprint`)."""

    pool: str
    dataset: str
    version: int
    nonce: int
    size_bytes: int
    num_rows: int
    fingerprint: int

    def __reduce__(self) -> tuple[type[Handle], tuple[Any, ...]]:
        fields = (self.pool, self.dataset, self.version, self.nonce, self.size_bytes, self.num_rows, self.fingerprint)
        return Handle, fields

    def __str__(self) -> str:
        return f"{self.dataset} v{self.version} of pool {os.path.basename(self.pool)}"

    @property
    def path(self) -> str:
        """The file, as long as the version is not dropped."""
        return os.path.join(self.pool, f"{self.dataset}.v{self.version:08d}.{self.nonce:08x}.arrow")

    def get(self) -> pa.Table:
        """Return the table: zero-copy, read-only, the same pages for all processes and one mapping for this one.

        Does not block. Raises SegmentGone when the version was dropped and nothing here still uses it, SegmentCorrupt
        when the file is not what was sealed. A write through the table's memory is a SIGSEGV; make a copy first.
        """
        key = (self.pool, self.version, self.nonce)
        table = _tables.get(key)
        if table is None:
            mapping = _mappings.get(key)
            if mapping is None:
                mapping = _mappings[key] = self._map()
            table = _tables[key] = self._read(mapping)
        return table

    def _map(self) -> mmap.mmap:
        path = self.path
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            raise SegmentGone(str(self), path) from None
        except OSError as error:
            raise SharedMemoryError(f"{path} could not be opened: {error.strerror}") from error
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                raise SegmentCorrupt(path, "is not a file of this user")
            if status.st_mode & 0o377:
                raise SegmentCorrupt(path, f"is not sealed (mode {stat.S_IMODE(status.st_mode):04o}, not 0400)")
            if status.st_size != self.size_bytes:
                raise SegmentCorrupt(path, f"has {status.st_size:,} bytes, {self.size_bytes:,} were sealed")
            return mmap.mmap(fd, self.size_bytes, access=mmap.ACCESS_READ)
        finally:
            os.close(fd)

    def _read(self, mapping: mmap.mmap) -> pa.Table:
        import pyarrow as pa

        try:
            with pa.ipc.open_file(pa.py_buffer(mapping)) as reader:  # reads the footer; the columns are not touched
                table = reader.read_all()
        except (pa.ArrowException, OSError) as error:
            raise SegmentCorrupt(self.path, f"is not a whole Arrow file ({error})") from error
        if table.num_rows != self.num_rows or schema_fingerprint(table.schema) != self.fingerprint:
            raise SegmentCorrupt(self.path, f"holds {table.num_rows:,} rows of another table than {self}")
        return table


def schema_fingerprint(schema: pa.Schema) -> int:
    """Return 64 bits that are the same for the same fields, types and metadata, in every process."""
    return int.from_bytes(hashlib.blake2b(schema.serialize(), digest_size=8).digest(), "little")
