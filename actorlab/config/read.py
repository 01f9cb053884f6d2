"""Reading: a parsed TOML document against the schema, with every problem found and none raised.

Pure; used by load. What is right is kept although something else is wrong, so that later checks (imports, names,
placements) can add what they find to the same list. msgspec judges each value; the words of the complaint are ours.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any, Literal, cast, get_args, get_origin

import msgspec
from msgspec import inspect

from ..lean_dataclass import dataclass
from .overlay import FromEnvironment
from .schema import CHILD_TABLES, FILE, Children, Named, Table
from .suggest import did_you_mean
from .values import Kind

_INDEX = re.compile(r" - at `\$\[(\d+)\]`$")


@dataclass(slots=True)
class Problems:
    """What was found wrong so far: key path, and what to do about it."""

    found: list[tuple[str, str]] = field(default_factory=list)

    def add(self, path: str, text: str) -> None:
        self.found.append((path, text))

    def in_order(self, document: Iterable[str]) -> list[tuple[str, str]]:
        """Return the problems by table, in the file's order, and by child; later checks found some of them late."""
        tables = list(document)

        def place(problem: tuple[str, str]) -> tuple[int, list[int]]:
            table = re.split(r"[.[]", problem[0], maxsplit=1)[0]
            rank = tables.index(table) if table in tables else len(tables)
            return rank, [int(i) for i in re.findall(r"\[(\d+)\]", problem[0])]

        return sorted(self.found, key=place)


@dataclass(slots=True)
class Given:
    """A table as the file gives it: `values` by parameter name, only what was given and right.

    Nested tables are `Given` again, children a list of them.
    """

    table: Table
    path: str
    values: dict[str, Any] = field(default_factory=dict)

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def pick(self, *parameters: str) -> dict[str, Any]:
        """Return those of `parameters` that were given."""
        return {name: self.values[name] for name in parameters if name in self.values}


def read(document: dict[str, Any], problems: Problems) -> Given:
    """Check a whole document; nothing is imported, opened or started."""
    return _read_table(FILE, document, "", problems)


def describe(of: Any) -> str:
    """Return what a type takes, as people say it; it completes the sentence "must be …".

    >>> describe(bool), describe(list[str])
    ('true or false', 'a list, each item a text')
    """
    if isinstance(of, Table):
        return f"a table ([{of.where}])"
    if isinstance(of, Named):
        return f"tables by name ([{of.table.where}])"
    if of is Children:
        return "an array of tables"
    if get_origin(of) is Literal:  # msgspec would sort the words
        return f"one of {', '.join(repr(word) for word in get_args(of))}"
    return _describe(inspect.type_info(of))


def _describe(of: inspect.Type) -> str:
    match of:
        case inspect.Metadata(type=inner):
            return _describe(inner)
        case inspect.IntType(ge=int(low), le=int(high)):
            return f"a whole number from {low:,} to {high:,}"
        case inspect.IntType(ge=low):
            return "a whole number" if low is None else f"a whole number, {low} or more"
        case inspect.FloatType(ge=low, le=high):
            return f"a number from {low:g} to {high:g}" if high is not None else f"a number, {low:g} or more"
        case inspect.StrType(max_length=longest):
            return "a text" if longest is None else f"a text of 1 to {longest} characters"
        case inspect.BoolType():
            return "true or false"
        case inspect.ListType(item_type=inspect.AnyType()):
            return "a list"
        case inspect.ListType(item_type=item, min_length=shortest):
            return f"a list{f' of {shortest}' if shortest else ''}, each item {_describe(item)}"
        case inspect.DictType():
            return "a table"
        case inspect.CustomType(cls=kind):
            return cast(type[Kind], kind).says
        case _:
            raise AssertionError(f"the schema uses a type that describe does not know: {of}")


def _read_table(table: Table, raw: dict[str, Any], path: str, problems: Problems) -> Given:
    given = Given(table, path)
    for name, value in raw.items():
        key = table.key(name)
        if key is None:
            problems.add(given.at(name), f"unknown key{_advice(table, name)}")
        elif key.type is Children:
            given.values[key.parameter] = list(_read_children(value, given.at(name), problems))
        elif isinstance(key.type, Named):
            if not isinstance(value, dict) or not all(isinstance(entry, dict) for entry in value.values()):
                problems.add(given.at(name), f"must be {describe(key.type)}, not {value!r}")
                continue
            given.values[key.parameter] = {
                entry: _read_table(key.type.table, raw_entry, f"{given.at(name)}.{entry}", problems)
                for entry, raw_entry in value.items()
            }
        elif isinstance(key.type, Table):
            if isinstance(value, dict):
                given.values[key.parameter] = _read_table(key.type, value, given.at(name), problems)
            else:
                problems.add(given.at(name), f"must be {describe(key.type)}, not {value!r}")
        else:
            try:
                given.values[key.parameter] = _read_value(key.type, value)
            except ValueError as problem:
                problems.add(given.at(name), str(problem))
    for key in table.keys:
        if key.required and key.name not in raw:
            problems.add(given.at(key.name), f"is missing: {key.help}")
    return given


def _read_children(raw: object, path: str, problems: Problems) -> Iterator[Given]:
    if not isinstance(raw, list):
        problems.add(path, f"must be an array of tables, written [[{path}]], not {raw!r}")
        return
    for i, entry in enumerate(raw):
        here = f"{path}[{i}]"
        if not isinstance(entry, dict):
            problems.add(here, f"must be a table, written [[{path}]], not {entry!r}")
            continue
        kind = entry.get("type", "actor")
        if not isinstance(kind, str) or kind not in CHILD_TABLES:
            words = ", ".join(repr(word) for word in CHILD_TABLES)
            problems.add(f"{here}.type", f"must be one of {words}, not {kind!r}{did_you_mean(kind, CHILD_TABLES)}")
            continue
        yield _read_table(CHILD_TABLES[kind], entry, here, problems)


def _read_value(of: Any, raw: object) -> Any:
    """Return the value, or raise ValueError with the whole complaint."""
    try:
        value = msgspec.convert(raw, of, dec_hook=_decode)
    except msgspec.ValidationError as refusal:
        if isinstance(raw, FromEnvironment) and (scalar := _scalar(raw)) is not None:
            return _read_value(of, scalar)
        if isinstance(of, type) and issubclass(of, Kind):
            raise ValueError(str(refusal)) from None
        words = get_args(of) if get_origin(of) is Literal else ()
        if index := _INDEX.search(str(refusal)):
            i = int(index[1])
            raise ValueError(f"must be {describe(of)}; item {i + 1} is {cast(list[object], raw)[i]!r}") from None
        raise ValueError(f"must be {describe(of)}, not {raw!r}{did_you_mean(raw, words)}") from None
    return value.value if isinstance(value, Kind) else value


def _scalar(text: str) -> int | float | bool | None:
    """Return the number or truth value that a variable's text stands for in TOML, or None."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return None
    return value if isinstance(value, (int, float)) else None


def _decode(kind: type[Any], raw: object) -> Kind:
    if issubclass(kind, Kind):
        return kind.read(raw)
    raise NotImplementedError(kind)


def _advice(table: Table, name: str) -> str:
    """Return what the writer of an unknown key probably meant."""
    if table is FILE:
        tables = [key.type for key in FILE.keys if isinstance(key.type, Table)]
        homes = [other.where for other in tables if other.key(name)]
        if homes:
            return f"; it belongs in [{homes[0]}]"
    elif table in CHILD_TABLES.values():
        homes = [kind for kind, other in CHILD_TABLES.items() if other.key(name)]
        if homes:
            return f" of this child; it belongs to one with type = {' or '.join(repr(home) for home in homes)}"
    return did_you_mean(name, table.names) or f"; known here: {', '.join(table.names)}"
