"""Roots: the trees that run in a node, written down for whoever looks from outside.

Edge (files); written by the node when a tree has started, read by its view. The node table says who lives and under
whom; how a child is to be restarted only its specification knows, and that is in the controller's memory. Children
that are started at run time are in the table, not here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path
from typing import Any

from ..lean_dataclass import dataclass
from ..supervision import ChildSpec, DynamicSupervisor, PartitionSupervisor, Spec


@dataclass(frozen=True, slots=True)
class Outline:
    """A line of a specification: what a child is called, what it is, and how it is restarted."""

    name: str
    kind: str
    restart: str
    children: tuple[Outline, ...] = field(default=())


def outline(spec: Spec, name: str) -> Outline:
    """Return the outline of a specification whose place in its supervisor is called `name`."""
    called = spec.name or name
    if isinstance(spec, ChildSpec):
        return Outline(called, spec.actor.__qualname__, spec.restart)
    strategy = f"{spec.strategy}, {spec.max_restarts} in {spec.max_seconds:g} s"
    kind = {DynamicSupervisor: "dynamic", PartitionSupervisor: "partition"}.get(type(spec), "supervisor")
    children = tuple(outline(child, child_id) for child_id, child in zip(spec.ids, spec.children, strict=True))
    return Outline(called, kind, strategy, children)


def write_root(directory: Path, address: int, spec: Spec) -> None:
    """Write down a tree whose root lives at `address`."""

    def plain(line: Outline) -> list[Any]:
        return [line.name, line.kind, line.restart, [plain(child) for child in line.children]]

    temporary = directory / f".root.{address:x}"
    temporary.write_text(json.dumps(plain(outline(spec, "root"))), encoding="utf-8")
    temporary.rename(directory / f"root.{address:x}")


def forget_root(directory: Path, address: int) -> None:
    """The tree has ended."""
    (directory / f"root.{address:x}").unlink(missing_ok=True)


def read_roots(directory: Path) -> Iterator[tuple[int, Outline]]:
    """Yield the address of each root and its tree."""

    def line(plain: list[Any]) -> Outline:
        name, kind, restart, children = plain
        return Outline(name, kind, restart, tuple(map(line, children)))

    for path in sorted(directory.glob("root.*")):
        try:
            yield int(path.suffix[1:], 16), line(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            continue  # it ended since
