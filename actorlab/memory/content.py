"""Content: what can be put into a segment, and how its bytes become the thing again.

Pure but for writing to the sink it is given; used by pools and handles. Two forms, both readable in place:

    arrow    an Arrow IPC file, uncompressed (a compressed one would be copied out by every reader)
    object   anything picklable: protocol 5, its buffers (arrays, bytes) out of band at 64-byte boundaries

    ┌──────────────────────────────┬────────────────────┬──────┬──────┬──────────┬──────────┬──
    │ magic, text, meta, n (bytes) │ n × (offset, bytes)│ text │ meta │ buffer 0 │ buffer 1 │ …
    └──────────────────────────────┴────────────────────┴──────┴──────┴──────────┴──────────┴──

`text` says what it is to people and is checked by the fingerprint. Unpickling runs code: whoever calls `decode` has
seen that the file is of his own user.
"""

from __future__ import annotations

import pickle
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import SegmentCorrupt

if TYPE_CHECKING:
    import mmap

ARROW, OBJECT = "arrow", "object"
ALIGN = 64
FRAME_BYTES = 64 * 1024
"""Set aside for the metadata of a batch whose exact size is not known beforehand."""

_MAGIC = b"alobject"
_HEAD = struct.Struct("<8s3Q")
_ENTRY = struct.Struct("<QQ")
_MAIN = b"__main__"

Sink = Callable[[Any], object]
"""Takes the bytes of a segment, one contiguous buffer after the other."""


class Content(Protocol):
    """What is to be sealed. `size_bytes` None: known only when it has been written, which can be done once."""

    kind: str
    fingerprint: int
    num_rows: int
    size_bytes: int | None

    def write(self, sink: Sink) -> None:
        """Write the whole segment to `sink`; the same bytes every time, if it can be done more than once."""


class ArrowContent:
    """A table in memory."""

    kind = ARROW

    def __init__(self, table: Any) -> None:
        import pyarrow as pa

        self._table = table.unify_dictionaries()  # a file has one dictionary a column
        self.fingerprint, self.num_rows = schema_fingerprint(table.schema), table.num_rows
        measure = pa.MockOutputStream()
        self._write(measure)
        self.size_bytes: int | None = measure.size()

    def write(self, sink: Sink) -> None:
        import pyarrow as pa

        self._write(pa.PythonFile(_File(sink), "w"))

    def _write(self, file: Any) -> None:
        with _arrow_file(file, self._table.schema) as writer:
            for batch in self._table.to_batches():
                writer.write_batch(batch)


class StreamContent:
    """Batches that come one by one and are never in memory together. `reserve` is told the bytes that are needed.

    `is_begun`: some may have been taken, and cannot be had again.
    """

    kind = ARROW
    size_bytes: int | None = None
    is_begun = False

    def __init__(self, schema: Any, batches: Iterable[Any]) -> None:
        self._schema, self._batches = schema, batches
        self.fingerprint, self.num_rows = schema_fingerprint(schema), 0
        self.reserve: Callable[[int], object] = lambda needed: None

    def write(self, sink: Sink) -> None:
        import pyarrow as pa

        file = _File(sink)
        self.is_begun = True
        with _arrow_file(pa.PythonFile(file, "w"), self._schema) as writer:
            for batch in self._batches:
                self.reserve(file.written + batch.nbytes + FRAME_BYTES)
                writer.write_batch(batch)
                self.num_rows += batch.num_rows


class ObjectContent:
    """A picklable object and the memory it refers to, which is read when it is written."""

    kind = OBJECT
    num_rows = 0

    def __init__(self, data: Any) -> None:
        text = describe(data).encode()
        self.fingerprint = _hash64(text)
        buffers: list[pickle.PickleBuffer] = []
        meta = _pickled(data, buffers)
        views = [buffer.raw() for buffer in buffers]
        at = _HEAD.size + _ENTRY.size * len(views) + len(text) + len(meta)
        head = bytearray(_HEAD.pack(_MAGIC, len(text), len(meta), len(views)))
        self._parts: list[Any] = [text, meta]
        for view in views:
            if not view.nbytes:
                head += _ENTRY.pack(0, 0)
                continue
            pad = -at % ALIGN
            head += _ENTRY.pack(at + pad, view.nbytes)
            self._parts += (bytes(pad), view)
            at += pad + view.nbytes
        self._parts.insert(0, head)
        self.size_bytes: int | None = at

    def write(self, sink: Sink) -> None:
        for part in self._parts:
            if len(part):
                sink(part)


def as_content(data: Any) -> Content:
    """Return `data` as something to seal. Raises TypeError for what can neither be written as Arrow nor pickled."""
    pa = sys.modules.get("pyarrow")  # whoever has no Arrow here has no table either
    if pa is not None:
        if isinstance(data, pa.RecordBatch):
            return ArrowContent(pa.Table.from_batches([data]))
        if isinstance(data, pa.Table):
            return ArrowContent(data)
        if isinstance(data, pa.RecordBatchReader):
            return _as_stream(data)
        if isinstance(data, list) and data and all(isinstance(one, pa.RecordBatch) for one in data):
            return ArrowContent(pa.Table.from_batches(data))
    if isinstance(data, Iterator):
        import pyarrow

        first = next(data, None)
        if not isinstance(first, pyarrow.RecordBatch):
            raise TypeError(f"a pool takes an iterator of Arrow batches only, not of {type(first).__name__}: list it")
        return _as_stream(pyarrow.RecordBatchReader.from_batches(first.schema, _chain(first, data)))
    return ObjectContent(data)


def decode(kind: str, mapping: mmap.mmap, path: str) -> tuple[Any, int]:
    """Return what a segment holds, its memory that of `mapping`, and its fingerprint: a table, or the object anew.

    Raises SegmentCorrupt for what is no whole segment, and whatever the object's own unpickling raises.
    """
    if kind == ARROW:
        table = _decode_arrow(mapping, path)
        return table, schema_fingerprint(table.schema)
    text, load = _decode_object(mapping, path)
    return load(), _hash64(text)


def text_of(mapping: mmap.mmap, path: str) -> str:
    """Return what an object segment says that it holds; nothing is unpickled."""
    return _decode_object(mapping, path)[0].decode()


def describe(data: Any) -> str:
    """Return what an object is, as people say it; for an array with its type and shape.

    >>> describe(b"abc"), describe({"a": 1})
    ('bytes', 'dict')
    """
    kind = type(data)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    dtype, shape = getattr(data, "dtype", None), getattr(data, "shape", None)
    return f"{name} {dtype} {shape}" if isinstance(shape, tuple) and dtype is not None else name


def schema_fingerprint(schema: Any) -> int:
    """Return 64 bits that are the same for the same fields, types and metadata, in every process."""
    return _hash64(schema.serialize())


class _File:
    """What pyarrow wants of a file that is written to."""

    closed = False

    def __init__(self, sink: Sink) -> None:
        self._sink, self.written = sink, 0

    def write(self, data: Any) -> int:
        self._sink(data)
        n = len(data) if isinstance(data, bytes) else memoryview(data).nbytes
        self.written += n
        return n

    def tell(self) -> int:
        return self.written

    def flush(self) -> None: ...
    def close(self) -> None: ...


def _hash64(data: Any) -> int:
    import xxhash

    return xxhash.xxh3_64_intdigest(data)


def _arrow_file(file: Any, schema: Any) -> Any:
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression=None)
    assert options.compression is None
    return pa.ipc.new_file(file, schema, options=options)


def _as_stream(reader: Any) -> Content:
    import pyarrow as pa

    if any(pa.types.is_dictionary(field.type) for field in reader.schema):
        return ArrowContent(reader.read_all())  # a file has one dictionary a column: all of them must be seen first
    return StreamContent(reader.schema, reader)


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _pickled(data: Any, buffers: list[pickle.PickleBuffer]) -> bytes:
    # The thing itself is out of band when it is bytes: whoever gets it gets a view.
    thing = pickle.PickleBuffer(data) if isinstance(data, (bytes, bytearray, memoryview)) else data
    try:
        meta = pickle.dumps(thing, 5, buffer_callback=buffers.append)
        if _MAIN not in meta:
            return meta
    except Exception:
        pass  # what plain pickle refuses (a lambda, a class of the script) goes by value
    import cloudpickle

    buffers.clear()
    try:
        by_value: bytes = cloudpickle.dumps(thing, 5, buffer_callback=buffers.append)
    except Exception as error:
        raise TypeError(f"a pool takes Arrow data and what can be pickled, not {describe(data)}: {error}") from error
    return by_value


def _decode_arrow(mapping: mmap.mmap, path: str) -> Any:
    import pyarrow as pa

    try:
        with pa.ipc.open_file(pa.py_buffer(mapping)) as reader:  # reads the footer; the columns are not touched
            return reader.read_all()
    except (pa.ArrowException, OSError) as error:
        raise SegmentCorrupt(path, f"is not a whole Arrow file ({error})") from error


def _decode_object(mapping: mmap.mmap, path: str) -> tuple[bytes, Callable[[], Any]]:
    data = memoryview(mapping)
    try:
        magic, text_bytes, meta_bytes, n = _HEAD.unpack_from(data)
        if magic != _MAGIC or n > len(data) // _ENTRY.size:
            raise SegmentCorrupt(path, "does not begin as an object's segment does")
        entries = [_ENTRY.unpack_from(data, _HEAD.size + _ENTRY.size * i) for i in range(n)]
    except struct.error:
        raise SegmentCorrupt(path, "is too short for its header") from None
    start = _HEAD.size + _ENTRY.size * n
    middle, end = start + text_bytes, start + text_bytes + meta_bytes
    if end > len(data) or any(at + length > len(data) for at, length in entries):
        raise SegmentCorrupt(path, "has a header that does not fit its bytes")
    views = (data[at : at + length] for at, length in entries)
    return bytes(data[start:middle]), lambda: pickle.loads(data[middle:end], buffers=views)
