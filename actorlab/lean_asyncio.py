"""asyncio without TLS until somebody uses TLS: 4 MB and 6 ms less in a process in which we are the first to import it.

An edge (this process's modules); imported for `asyncio`. Half of that is OpenSSL, and few actors speak TLS.
While asyncio is being imported, two modules are stood in for: `ssl`, and asyncio's own that needs it. Both are imported
when one of their attributes is asked for, by `loop.create_connection(…, ssl=True)` say; whoever imports them by name
gets the real ones at once. Python's `importlib.util.LazyLoader` would leave a stand-in to everybody, for good.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import TYPE_CHECKING, Any

_LATER = ("ssl", "asyncio.sslproto")


class _StandIn(types.ModuleType):
    """Has what the module of its name has, which it imports when asked."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def _without_tls() -> types.ModuleType:
    if "asyncio" in sys.modules or "ssl" in sys.modules or importlib.util.find_spec("_ssl") is None:
        return importlib.import_module("asyncio")
    stand_ins = {name: _StandIn(name) for name in _LATER}
    sys.modules.update(stand_ins)
    try:
        return importlib.import_module("asyncio")
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]


if TYPE_CHECKING:
    import asyncio as asyncio
else:
    asyncio = _without_tls()
