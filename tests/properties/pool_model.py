"""What a pool is said to be, as a small model: pure, without files, and the contents that the tests put into both.

Used by test_pool_model.py. Who may be evicted is a set of bounds here, not a choice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from actorlab.memory.content import as_content
from tests.memory.pool_drill import charged

MAX_BYTES = 400 << 10
KEEP_LAST = 2


class Sort(NamedTuple):
    """Something to put: what it is, its bytes, and whether compressing them is worth it."""

    data: Any
    bytes: int
    shrinks: bool


def sort(data: Any, shrinks: bool = True) -> Sort:
    return Sort(data, charged(as_content(data).size_bytes or 0), shrinks)


_noise = np.random.default_rng(1)
SORTS = (
    sort(b"", shrinks=False),
    sort(b"ab" * 40_000),
    sort(_noise.integers(0, 255, 100_000, dtype=np.uint8), shrinks=False),
    sort(np.zeros((100, 200))),
    sort(pa.table({"n": np.arange(5_000), "s": [f"row {n}" for n in range(5_000)]})),
    sort(pa.table({"n": _noise.random(12_000)}), shrinks=False),
    sort({"name": "a model", "weights": [np.ones(9_000), np.zeros(3)]}),
    sort([pa.record_batch({"n": np.arange(20_000)})]),
)


def same(got: Any, data: Any) -> bool:
    """Whether what a pool gave is what was put there."""
    if isinstance(data, bytes):
        return bool(got == data and got.readonly)
    if isinstance(data, np.ndarray):
        return bool(np.array_equal(got, data) and not got.flags.writeable)
    if isinstance(data, dict):
        pairs = zip(got["weights"], data["weights"], strict=True)
        return got["name"] == data["name"] and all(same(one, other) for one, other in pairs)
    return bool(got.equals(pa.Table.from_batches(data) if isinstance(data, list) else data))


class Key(NamedTuple):
    """A version."""

    dataset: str
    number: int


class Segment(NamedTuple):
    """A content as it is stored."""

    content: int
    cold: bool


@dataclass
class Model:
    """What a pool is said to be."""

    versions: dict[Key, Segment] = field(default_factory=dict)
    stored: set[Segment] = field(default_factory=set)
    current: dict[str, int] = field(default_factory=dict)
    counter: dict[str, int] = field(default_factory=dict)
    held: dict[Any, Key] = field(default_factory=dict)
    kept_for: dict[Any, Segment] = field(default_factory=dict)
    cold_bytes: dict[int, int] = field(default_factory=dict)
    superseded: dict[Key, float] = field(default_factory=dict)

    def numbers(self, dataset: str) -> list[int]:
        return sorted(key.number for key in self.versions if key.dataset == dataset)

    def bytes_of(self, segment: Segment) -> int:
        return self.cold_bytes[segment.content] if segment.cold else SORTS[segment.content].bytes

    def used(self) -> int:
        return sum(map(self.bytes_of, self.stored))

    def is_held(self, segment: Segment) -> bool:
        return segment in self.kept_for.values()

    def named(self) -> dict[Segment, list[Key]]:
        """The segments that can be had, and as which versions."""
        found: dict[Segment, list[Key]] = {}
        for key, segment in self.versions.items():
            found.setdefault(segment, []).append(key)
        return found

    def free(self) -> None:
        """What no version names and nobody holds comes free."""
        named = self.named()
        self.stored = {one for one in self.stored if one in named or self.is_held(one)}

    def add(self, dataset: str, segment: Segment) -> Key:
        key = Key(dataset, self.number(dataset))
        self.versions[key] = segment
        self.stored.add(segment)
        return key

    def number(self, dataset: str) -> int:
        self.counter[dataset] = self.counter.get(dataset, 0) + 1
        return self.counter[dataset]

    def evictable(self) -> set[Segment]:
        """What nobody holds, and of which no version is current, later than the current, or the newest."""
        kept = set()
        for key in self.versions:
            current = self.current.get(key.dataset)
            newest = self.numbers(key.dataset)[-1]
            if key.number == newest or (current is not None and key.number >= current):
                kept.add(key)
        return {one for one, keys in self.named().items() if not self.is_held(one) and not kept.intersection(keys)}

    def short(self, needed: int) -> int:
        """How many bytes are lacking for `needed` when what can come free has."""
        if needed > MAX_BYTES - self.used():
            self.free()
        return needed - (MAX_BYTES - self.used())

    def beyond(self) -> list[Key]:
        """The versions before the current one that are not among the last few."""
        found = []
        for dataset, current in self.current.items():
            older = [number for number in self.numbers(dataset) if number < current]
            found += [Key(dataset, number) for number in older[: max(0, len(older) - (KEEP_LAST - 1))]]
        return found

    def trim(self, keys: list[Key]) -> None:
        for key in keys:
            if not self.is_held(self.versions[key]):
                del self.versions[key]
        self.free()

    def turn_over(self, old: Segment, new: Segment) -> None:
        """Every version of `old` is one of `new`."""
        self.versions = {key: new if one == old else one for key, one in self.versions.items()}
        self.stored.add(new)
        self.free()
