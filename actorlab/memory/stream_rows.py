"""Stream rows: what one may append, as the record batch that is stored.

Pure; used by the stream's writer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import SpecError

if TYPE_CHECKING:
    import pyarrow as pa


def as_batch(rows: Any, schema: pa.Schema | None, what: str) -> pa.RecordBatch:
    """Return `rows` as one batch of `schema`. Raises SpecError when it has another, TypeError for what is no rows."""
    import pyarrow as pa

    if isinstance(rows, Mapping):
        batch = pa.RecordBatch.from_pydict(dict(rows), schema=schema)
    elif isinstance(rows, pa.Table):
        batches = rows.combine_chunks().to_batches()
        batch = batches[0] if batches else pa.RecordBatch.from_pylist([], schema=rows.schema)
    elif isinstance(rows, pa.RecordBatch):
        batch = rows
    elif isinstance(rows, Sequence) and all(isinstance(row, Mapping) for row in rows):
        batch = pa.RecordBatch.from_pylist(list(rows), schema=schema)
    else:
        raise TypeError(f"{what} takes batches, tables, lists of dicts and dicts of columns, not {type(rows).__name__}")
    plain = plain_schema(batch.schema)
    if not plain.equals(batch.schema):
        batch = batch.cast(plain)
    if schema is not None and not batch.schema.equals(schema):
        raise SpecError(f"a batch for {what}", f"has {brief(batch.schema)}, the stream {brief(schema)}")
    return batch


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema without dictionaries: their state would tie a batch to those before it."""
    import pyarrow as pa

    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field for field in schema
    ]
    for field in fields:
        if "dictionary<" in str(field.type):
            raise SpecError(f"column {field.name!r}", f"has a dictionary inside ({field.type}): store plain values")
    return pa.schema(fields, metadata=schema.metadata)


def brief(schema: pa.Schema) -> str:
    """Return a schema in one line."""
    return ", ".join(f"{field.name}: {field.type}" for field in schema) or "no columns"
