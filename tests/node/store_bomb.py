"""A module to preload: kills a worker between two stores, at the label, after the passes, as often as a file says.

It is armed before any kernel is made, for the code that handles messages is made of closures.
"""

from __future__ import annotations

import os
from pathlib import Path

from actorlab.actor import endings, handling, reentry, scheduler, stash
from actorlab.node import books, draining, takeover
from actorlab.transport import arm_crashpoints, crashpoint_labels
from actorlab.transport.crashpoints import die_at

MODULES = (handling, scheduler, endings, stash, reentry, books, takeover, draining)
ENVIRONMENT = "ACTORLAB_TEST_STORE_BOMB"

_FILE = os.environ.get(ENVIRONMENT, "")
_LABELS = {label for module in MODULES for label in crashpoint_labels(module)}
_passes: dict[str, int] = {}


def order(path: Path, *orders: tuple[str, int, int]) -> None:
    """Have processes killed: `(label, skip, times)`: the next `times` that come there, each after `skip` passes.

    One order after the other: the next is looked at when the one before has been carried out.
    """
    assert {label for label, _, _ in orders} <= _LABELS
    _write(path, list(orders))


def disarm(path: Path) -> None:
    """Have nobody killed."""
    _write(path, [])


def is_spent(path: Path) -> bool:
    """Whether all that were to be killed have been."""
    return not left(path)


def left(path: Path) -> list[tuple[str, int, int]]:
    lines = map(str.split, path.read_text().splitlines())
    return [(label, int(skip), int(times)) for label, skip, times in lines]


def _write(path: Path, orders: list[tuple[str, int, int]]) -> None:
    aside = path.with_suffix(".aside")
    aside.write_text("".join(f"{label} {skip} {times}\n" for label, skip, times in orders))
    aside.replace(path)  # a process that passes meanwhile reads the old orders or the new ones


def _passed(label: str) -> None:
    orders = left(Path(_FILE))
    if not orders or label != orders[0][0]:
        return
    (_, skip, times), *later = orders
    _passes[label] = _passes.get(label, 0) + 1
    if _passes[label] > skip:
        _write(Path(_FILE), [(label, skip, times - 1), *later] if times > 1 else later)
        die_at(label)


if _FILE:
    for module in MODULES:
        arm_crashpoints(module, _passed)
