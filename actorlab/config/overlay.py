"""Overlays: several documents as one, each over the ones before, and which file each key of the whole came from.

Pure; used by sources. Tables are merged key by key; arrays of tables by the `name` of their entries (a new name is
appended, `remove = true` takes one out); anything else is replaced whole. Texts may name those variables of the
environment that a document lists under `environment`: `"${REGION}"`, or `"${REGION:-eu}"` with what holds if it is not
set; `$$` is a dollar sign.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from ..lean_dataclass import dataclass

Document = dict[str, Any]

_REFERENCE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})")
_LAST_STEP = re.compile(r"(\.[^.\[\]]+|\[\d+\]|^[^.\[\]]+)$")


class FromEnvironment(str):
    """A text that is the value of one variable and nothing else: where a number is wanted it is read as one."""

    __slots__ = ()


@dataclass(slots=True)
class Placed:
    """A value and the file it came from; inside of it tables hold `Placed` again, and so do arrays of tables."""

    value: Any
    file: str

    @classmethod
    def all_of(cls, value: Any, file: str) -> Placed:
        """Return a whole document, or part of one, that comes from one file."""
        if isinstance(value, dict):
            return cls({key: cls.all_of(inner, file) for key, inner in value.items()}, file)
        if _is_tables(value):
            return cls([cls.all_of(entry, file) for entry in value], file)
        return cls(value, file)

    @property
    def name(self) -> Any:
        """The name of a table that is an entry of an array."""
        named = self.value.get("name") if isinstance(self.value, dict) else None
        return named.value if named is not None else None

    def under(self, above: Placed) -> Placed:
        """Return this with another laid over it."""
        mine, other = self.value, above.value
        if isinstance(mine, dict) and isinstance(other, dict):
            merged = dict(mine)
            for key, value in other.items():
                merged[key] = merged[key].under(value) if key in merged else value
            return Placed(merged, self.file)
        if _is_placed_tables(mine) and _is_placed_tables(other):
            return Placed(_merged_tables(mine, other), self.file)
        return above


@dataclass(slots=True)
class Whole:
    """Documents that were merged: the result, the file that each key came from, and the variables it may name."""

    document: Document
    origins: dict[str, str] = field(default_factory=dict)
    variables: tuple[str, ...] = ()

    def origin(self, path: str) -> str | None:
        """Return the file that gave the key at `path`; or the table or child that such a key is missing from.

        >>> Whole({}, {"node": "base.toml", "node.workers": "prod.toml"}).origin("node.spares")
        'base.toml'
        """
        while path and path not in self.origins:
            path = _LAST_STEP.sub("", path)
        return self.origins.get(path)


def merge(documents: Iterable[tuple[str, Document]]) -> Whole:
    """Lay each (file, document) over those before it.

    >>> whole = merge([("base", {"node": {"workers": 2, "spares": 1}}), ("prod", {"node": {"workers": 8}})])
    >>> whole.document, whole.origin("node.workers"), whole.origin("node.spares")
    ({'node': {'workers': 8, 'spares': 1}}, 'prod', 'base')
    """
    placed = Placed({}, "")
    for file, document in documents:
        placed = placed.under(Placed.all_of(document, file))
    whole = Whole({})
    whole.document = _plain(placed, "", whole.origins)
    return whole


def _merged_tables(below: list[Placed], above: list[Placed]) -> list[Placed]:
    merged = list(below)
    for entry in above:
        at = next((i for i, other in enumerate(merged) if entry.name is not None and other.name == entry.name), None)
        removes = entry.value.get("remove")
        if removes is not None and removes.value is True and at is not None:
            del merged[at]
        elif at is None:
            merged.append(entry)
        else:
            merged[at] = merged[at].under(entry)
    return merged


def _plain(placed: Placed, path: str, origins: dict[str, str]) -> Any:
    if path:
        origins[path] = placed.file
    if isinstance(placed.value, dict):
        at = f"{path}." if path else ""
        return {key: _plain(inner, f"{at}{key}", origins) for key, inner in placed.value.items()}
    if _is_placed_tables(placed.value):
        return [_plain(entry, f"{path}[{i}]", origins) for i, entry in enumerate(placed.value)]
    return placed.value


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)


def _is_placed_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, Placed) for entry in value)


def fill_in(
    document: Document, environment: Mapping[str, str], allowed: Iterable[str]
) -> tuple[Document, list[tuple[str, str]]]:
    """Return the document with its references to the environment replaced, and (key path, what is wrong with one).

    Only the `allowed` variables can be named, so that a file cannot carry off others.

    >>> fill_in({"a": "${X}/${Y:-z}", "b": ["$$5", 1]}, {"X": "x"}, ["X", "Y"])
    ({'a': 'x/z', 'b': ['$5', 1]}, [])
    >>> fill_in({"a": "${HOME}"}, {"HOME": "/root"}, ["X"])[1]
    [('a', "names the variable 'HOME', which is not in environment = ['X']: add it there")]
    """
    problems: list[tuple[str, str]] = []
    known = list(allowed)

    def text(value: str, path: str) -> str:
        def one(match: re.Match[str]) -> str:
            name: str | None = match[1]
            default: str | None = match[2]
            if name is None:
                return "$"
            if name not in known:
                where = f"which is not in environment = {known}: add it there"
                problems.append((path, f"names the variable {name!r}, {where}"))
                return ""
            found: str | None = environment.get(name, default)
            if found is None:
                problems.append(
                    (path, f"the variable {name!r} is not set: set it, or give a default, '${{{name}:-…}}'")
                )
                return ""
            return found

        alone = _REFERENCE.fullmatch(value)
        filled = _REFERENCE.sub(one, value)
        return FromEnvironment(filled) if alone is not None and alone[1] is not None else filled

    def walk(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {key: walk(inner, f"{path}.{key}" if path else key) for key, inner in value.items()}
        if isinstance(value, list):
            return [walk(inner, f"{path}[{i}]") for i, inner in enumerate(value)]
        return text(value, path) if isinstance(value, str) else value

    return walk(document, ""), problems
