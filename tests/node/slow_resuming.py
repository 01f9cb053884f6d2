"""Workers that go on where others left off say so, and wait a moment for whoever else should think that he does."""

from __future__ import annotations

import glob
import os
import time
from typing import Any

from actorlab.node import station

_MOMENT_S = 1.0

_resume = station.resume


def _slowly(*args: Any) -> None:
    began = f"{os.environ['SLOW_RESUMING']}"
    open(f"{began}.{os.getpid()}", "w").close()
    end = time.monotonic() + _MOMENT_S
    while len(glob.glob(f"{began}.*")) < 2 and time.monotonic() < end:
        time.sleep(0.001)
    _resume(*args)


station.resume = _slowly
