"""A module to preload: kills a worker that takes over from another, at the point and as often as a file says."""

from __future__ import annotations

import os
from pathlib import Path

from actorlab.node import resuming, takeover
from actorlab.transport import arm_crashpoints
from actorlab.transport.crashpoints import die_at

_FILE = os.environ.get("ACTORLAB_TEST_BOMB", "")


def _passed(label: str) -> None:
    wanted, _, left = Path(_FILE).read_text().partition(" ")
    if label == wanted and int(left):
        Path(_FILE).write_text(f"{wanted} {int(left) - 1}")
        die_at(label)


if _FILE:
    for module in (resuming, takeover):
        arm_crashpoints(module, _passed)
