"""Testing: the kit with which users test their actors without sleeping, and with which this project tests itself.

Re-exports, loaded when first used: the pytest plugin is loaded in every suite of an environment that has actorlab, and
must cost those nothing that do not use it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clock import VirtualClock
    from .faults import Saboteur, few_descriptors, frozen, full_shared_memory, kill_worker
    from .leaks import Leak, LeakCheck
    from .patience import eventually, poll
    from .probe import Probe

_HOME = {
    "Leak": "leaks",
    "LeakCheck": "leaks",
    "Probe": "probe",
    "Saboteur": "faults",
    "VirtualClock": "clock",
    "eventually": "patience",
    "few_descriptors": "faults",
    "frozen": "faults",
    "full_shared_memory": "faults",
    "kill_worker": "faults",
    "poll": "patience",
}

__all__ = [
    "Leak",
    "LeakCheck",
    "Probe",
    "Saboteur",
    "VirtualClock",
    "eventually",
    "few_descriptors",
    "frozen",
    "full_shared_memory",
    "kill_worker",
    "poll",
]


def __getattr__(name: str) -> Any:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module 'actorlab.testing' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
