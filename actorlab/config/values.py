"""Values of a configuration file that TOML has no type for: times, sizes, import targets, placements.

Pure; the kinds are named in schema.py's tables and read by load. A kind says in `says` what it takes; `read` returns
the plain Python value (seconds, bytes, …) or raises ValueError with the whole complaint.
"""

from __future__ import annotations

import os
import re
from math import isfinite
from typing import Any, ClassVar, Self

from ..actor import Beside, ByHash, Placement
from ..registry import BACKENDS, is_backend
from .suggest import did_you_mean

_SECONDS_PER = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|m|h)")
_BYTES_PER = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?i?b)", re.IGNORECASE)
_TARGET = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


class Kind:
    """A value that was read; `value` is what the rest of the program gets.

    No dataclass: msgspec would convert one by its fields and never ask `read`.
    """

    says: ClassVar[str]

    def __init__(self, value: Any) -> None:
        self.value = value

    @classmethod
    def read(cls, raw: object) -> Self:
        raise NotImplementedError

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return what an editor is told of it: what can be seen without reading, and never less than is right."""
        return {"type": "string"}


class Duration(Kind):
    """Seconds, as a number or a text with a unit."""

    says = "a time such as 5, 0.25, '250ms', '5s', '2m'"
    words: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def read(cls, raw: object) -> Self:
        """Return seconds as a float, or one of `words`.

        >>> Duration.read("250ms").value, Duration.read(5).value, Shutdown.read("infinity").value
        (0.25, 5.0, 'infinity')
        """
        if raw in cls.words:
            return cls(raw)
        if "infinity" in cls.words and raw == float("inf"):
            return cls("infinity")
        if isinstance(raw, (int, float)) and not isinstance(raw, bool) and isfinite(raw) and raw >= 0:
            return cls(float(raw))
        if isinstance(raw, str) and (match := _DURATION.fullmatch(raw.strip())):
            # rounded to the nanosecond: 250 * 1e-3 must read as 0.25
            return cls(round(float(match[1]) * _SECONDS_PER[match[2]], 9))
        raise ValueError(f"must be {cls.says}, not {raw!r}{did_you_mean(raw, cls.words)}")


    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return a number, or a text."""
        return {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "examples": ["250ms", *cls.words]}]}


class Shutdown(Duration):
    """How long a child may take to stop."""

    words = ("brutal_kill", "infinity")
    says = f"{Duration.says}, 'brutal_kill' or 'infinity'"


class Size(Kind):
    """Bytes, as a whole number or a text with a unit."""

    says = "a size such as 4096, '64MiB', '2GiB', '500kB'"

    @classmethod
    def read(cls, raw: object) -> Self:
        """Return bytes as an int; `kB` is 1,000 and `KiB` 1,024.

        >>> Size.read("2KiB").value, Size.read("1.5 kB").value
        (2048, 1500)
        """
        if type(raw) is int and raw >= 0:
            return cls(raw)
        if isinstance(raw, str) and (match := _SIZE.fullmatch(raw.strip())):
            unit = match[2].lower()
            if unit in _BYTES_PER:
                return cls(int(float(match[1]) * _BYTES_PER[unit]))
        raise ValueError(f"must be {cls.says}, not {raw!r}")

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return a whole number, or a text."""
        return {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "examples": ["64MiB"]}]}


class Target(Kind):
    """A class or function to import."""

    says = "an import path such as 'package.module:Name'"

    @classmethod
    def read(cls, raw: object) -> Self:
        """Return the text itself; nothing is imported here."""
        if isinstance(raw, str) and _TARGET.fullmatch(raw):
            return cls(raw)
        hint = ""
        if isinstance(raw, str) and ":" not in raw and "." in raw:
            hint = f"; did you mean '{raw.rpartition('.')[0]}:{raw.rpartition('.')[2]}'?"
        raise ValueError(f"must be {cls.says}, not {raw!r}{hint}")


class Backend(Kind):
    """How names are kept."""

    says = "'shared', 'local' or an import path such as 'package.module:backend'"

    @classmethod
    def read(cls, raw: object) -> Self:
        """Return the text itself; nothing is imported here."""
        if is_backend(raw):
            return cls(raw)
        raise ValueError(f"must be {cls.says}, not {raw!r}{did_you_mean(raw, BACKENDS)}")


class Store(Kind):
    """Where the states of actors are kept."""

    says = "'node', a database ('….db' or '….sqlite') or a folder of Arrow IPC files ('….arrows')"

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return a text that ends as a store does."""
        return {"type": "string", "pattern": r"^(node|.*\.(db|sqlite|arrows))$"}

    @classmethod
    def read(cls, raw: object) -> Self:
        """Return the word, or the path made absolute, so that it means the same in every process of the node.

        >>> Store.read("node").value, Store.read("/var/lib/shop/state.db").value
        ('node', '/var/lib/shop/state.db')
        """
        if raw == "node":
            return cls(raw)
        if isinstance(raw, str) and os.path.splitext(raw)[1] in (".db", ".sqlite", ".arrows"):
            return cls(os.path.abspath(os.path.expanduser(raw)))
        raise ValueError(f"must be {cls.says}, not {raw!r}{did_you_mean(raw, ('node',))}")


class CpuSets(Kind):
    """Which CPUs workers run on."""

    words: ClassVar[tuple[str, ...]] = ("any", "each")
    says = "'any', 'each', or the CPU numbers of worker 1, of worker 2, … such as [[0, 1], [2, 3]]"

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return a word, or lists of numbers."""
        numbers = {"type": "array", "items": {"type": "integer", "minimum": 0}}
        return {"anyOf": [{"type": "string", "enum": [*cls.words]}, {"type": "array", "items": numbers}]}

    @classmethod
    def read(cls, raw: object) -> Self:
        """Return one of `words`, or tuples of CPU numbers.

        >>> CpuSets.read("each").value, CpuSets.read([[0, 1], [2]]).value
        ('each', ((0, 1), (2,)))
        """
        if raw in cls.words:
            return cls(raw)
        sets = [tuple(one) if isinstance(one, list) else () for one in raw] if isinstance(raw, list) else []
        if sets and all(one and all(type(number) is int and number >= 0 for number in one) for one in sets):
            return cls(tuple(sets))
        raise ValueError(f"must be {cls.says}, not {raw!r}{did_you_mean(raw, cls.words)}")


class Place(Kind):
    """In which process an actor is to live."""

    words: ClassVar[tuple[str, ...]] = ("any", "local", "worker")
    says = "'any', 'local', 'worker', a worker's number from 1, { beside = \"child\" } or { hash = \"key\" }"

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return a word, a number or one of two tables."""
        beside = {"type": "object", "properties": {"beside": {"type": "string"}}, "required": ["beside"]}
        by_hash = {"type": "object", "properties": {"hash": {"type": ["string", "integer"]}}, "required": ["hash"]}
        return {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 1}, beside, by_hash]}

    @classmethod
    def read(cls, raw: object) -> Self:
        """Return a Placement.

        >>> Place.read({"beside": "ctx"}).value
        Beside(who='ctx')
        """
        placement: Placement
        match raw:
            case "any" | "local" | "worker":
                placement = raw
            case int() if raw is not True and raw >= 1:
                placement = raw
            case {"beside": str(who), **rest} if not rest and who:
                placement = Beside(who)
            case {"hash": str() | int() as key, **rest} if not rest:
                placement = ByHash(str(key))
            case {**keys} if len(keys) == 1:
                raise ValueError(f"must be {cls.says}, not {raw!r}{did_you_mean(next(iter(keys)), ('beside', 'hash'))}")
            case _:
                raise ValueError(f"must be {cls.says}, not {raw!r}{did_you_mean(raw, cls.words)}")
        return cls(placement)
