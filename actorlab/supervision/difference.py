"""Difference: what makes one supervision tree into another, with as few stops as its strategies allow.

Pure; used by the node's `amend` and by `actorlab reload --dry-run`, which only shows it. A child is the same one if it
has the same name in the same supervisor. One whose specification is equal is left alone; a nested supervisor whose own
keys are equal is gone into; any other is stopped and started anew in its place. Where the strategy makes the order of
starts matter, what comes behind the first difference in that order is started anew too, as `rest_for_one` would.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Literal

from ..lean_dataclass import dataclass
from .supervisor_spec import Spec, Supervisor

Kind = Literal["start", "stop", "replace", "move", "keep", "refuse"]
"""`replace`: stopped and started in its place; `move`: at another place in the order; `keep`: runs on, what is below it
has changed; `refuse`: cannot be done while the tree runs."""


@dataclass(frozen=True, slots=True)
class Change:
    """One child to be stopped, started, or both. `supervisor` is its path of names from the root; () is the root."""

    what: Kind
    supervisor: tuple[str, ...]
    child: str
    why: str
    old: Spec | None = None
    new: Spec | None = None

    def __str__(self) -> str:
        words = {"start": "start", "stop": "stop", "replace": "restart", "move": "restart", "keep": "keep"}
        place = "/".join((*self.supervisor, self.child))
        return f"{words.get(self.what, 'cannot change')} {place or 'the root'}: {self.why}"


def changes(old: Supervisor, new: Supervisor) -> tuple[Change, ...]:
    """Return what is to be done, in the order in which new children are to be started; none if the trees are equal."""
    if own := _differing(old, new):
        why = f"{', '.join(own)} of the root cannot be changed while it runs"
        return (Change("refuse", (), "", why, old, new),)
    return tuple(_below(old, new, ()))


def _below(old: Supervisor, new: Supervisor, path: tuple[str, ...]) -> Iterator[Change]:
    before = dict(zip(old.ids, old.children, strict=True))
    after = dict(zip(new.ids, new.children, strict=True))
    for name, spec in before.items():
        if name not in after:
            yield Change("stop", path, name, "it is no longer there", spec)
    kept = [name for name in before if name in after]
    settled = _settled(kept, list(after)) if new.strategy != "one_for_one" else len(after)
    for position, (name, spec) in enumerate(after.items()):
        was = before.get(name)
        if was is None:
            yield Change("start", path, name, "it is new", None, spec)
        elif position >= settled:
            yield Change("move", path, name, f"its place in the order of a {new.strategy} supervisor", was, spec)
        elif isinstance(was, Supervisor) and isinstance(spec, Supervisor) and not _differing(was, spec):
            inner = list(_below(was, spec, (*path, name)))
            yield from inner
            if inner:
                yield Change("keep", path, name, "what is below it changes", was, spec)
        elif was != spec:
            yield Change("replace", path, name, f"{', '.join(_differing(was, spec)) or 'it'} changed", was, spec)


def _settled(kept: list[str], wanted: list[str]) -> int:
    """Return how many of the wanted children, from the first on, stand in the right order already."""
    at = 0
    while at < len(wanted) and at < len(kept) and kept[at] == wanted[at]:
        at += 1
    return at


def _differing(old: Spec, new: Spec) -> list[str]:
    """Return the keys that differ, children aside; for another sort of child, that."""
    if type(old) is not type(new):
        return ["its type"]
    own = [field.name for field in fields(old) if field.name != "children" and field.compare]
    return [name for name in own if getattr(old, name) != getattr(new, name)]
