"""An actor that says what its process was given; imported by the workers."""

from __future__ import annotations

import os
from typing import Any

import actorlab as al


class Looker(al.Actor):
    def look(self) -> dict[str, Any]:
        return {
            "cpus": sorted(os.sched_getaffinity(0)),
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "slot": os.environ.get("SHOP_SLOT"),
            "home": os.environ.get("HOME"),
            "directory": os.getcwd(),
        }
