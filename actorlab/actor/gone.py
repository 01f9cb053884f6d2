"""GoneRuntime: what a reference of a node that is not in this process stands on.

Pure refusal; used by references that came by message, from a node that has ended or is another process's.
"""

from __future__ import annotations

from typing import Any

from ..errors import NodeGone
from ..ids import show


class GoneRuntime:
    """Stands in for the runtime of a node that is not in this process: every use says so."""

    kernels: dict[int, Any] = {}
    strict_messages = False
    call_timeout_s = 5.0

    def __init__(self, node_id: str) -> None:
        self.node_id = node_id

    def is_alive(self, address: int) -> bool:
        return False

    def urn_of(self, address: int) -> str:
        return f"urn:actorlab:{self.node_id}:{show(address)}"

    def name_of(self, address: int) -> None:
        return None

    def forget(self, question: Any) -> None:
        pass  # nothing was asked

    def take_back(self, question: Any, address: int) -> bool:
        return False

    def loosen(self, question: Any, address: int) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        node_id = self.node_id

        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise NodeGone(show(args[0].address if hasattr(args[0], "address") else args[0]) if args else "it", node_id)

        return refuse
