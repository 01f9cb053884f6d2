"""Explanation: the schema as a text, every key with what it takes, what it means and its default.

Pure; printed by `actorlab check --explain`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields
from inspect import Parameter, signature
from typing import Any

from .read import describe
from .schema import (
    ACTOR,
    BACKOFF,
    COPY,
    DATASET,
    DYNAMIC,
    JOB,
    MAILBOX,
    MEMORY,
    NESTED,
    NODE,
    PARTITION,
    POOL,
    RECYCLE,
    REGISTRY,
    SNAPSHOTS,
    SUPERVISOR,
    WORKER,
    Children,
    Named,
    Table,
)

_NOTHING = object()


def explain() -> str:
    """Return the whole reference."""
    shared = (NODE, REGISTRY, MEMORY, RECYCLE, WORKER, MAILBOX, SNAPSHOTS, POOL, DATASET)
    tables = (*shared, SUPERVISOR, BACKOFF, ACTOR, NESTED, DYNAMIC, PARTITION, COPY, JOB)
    return "\n\n".join("\n".join(_explain(table)) for table in tables)


def _explain(table: Table) -> Iterator[str]:
    brackets = "[[{}]]" if table.where.startswith("supervisor.children") else "[{}]"
    place, _, condition = table.where.partition(" with ")
    yield brackets.format(place) + (f" with {condition}" if condition else "") + f"   {table.help}"
    for key in table.keys:
        yield f"  {key.name}: {key.help}"
        if isinstance(key.type, Table):
            yield f"      a table; see [{key.type.where}]"
        elif isinstance(key.type, Named):
            yield f"      tables by name; see [{key.type.table.where}]"
        elif key.type is Children:
            yield f"      [[{place}.{key.name}]]" if table is SUPERVISOR else "      tables like these"
        else:
            default = _default(table.of, key.parameter)
            shown = "required" if key.required else "" if default is _NOTHING else f"default {_show(default)}"
            yield f"      {describe(key.type)}" + (f"; {shown}" if shown else "")


def _default(of: type | None, parameter: str) -> object:
    if of is None:
        return _NOTHING
    for parameter_of, default in _defaults(of):
        if parameter_of == parameter and default not in (None, (), {}):
            return default
    return _NOTHING


def _defaults(of: type[Any]) -> Iterator[tuple[str, object]]:
    given = [(field.name, field.default) for field in fields(of) if field.default is not MISSING]
    # a dataclass whose __init__ is written by hand keeps its defaults there
    parameters = () if given else signature(of).parameters.values()
    yield from given
    yield from ((p.name, p.default) for p in parameters if p.default is not Parameter.empty)


def _show(default: object) -> str:
    match default:
        case bool():
            return str(default).lower()
        case str():
            return f"'{default}'"
        case tuple():
            return str(list(default))
        case int() | float():
            return f"{default:g}" if isinstance(default, float) else f"{default:,}"
        case _:
            return str(default)
