"""RemoteStopped: Pykka's `actor_stopped` for an actor of another process.

Edge (it asks the actor's kernel); used by the runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..actor import ActorRef
from ..errors import CallTimeout

if TYPE_CHECKING:
    from .runtime import ProcessRuntime


class RemoteStopped:
    """Pykka's `actor_stopped` for an actor of another process."""

    def __init__(self, runtime: ProcessRuntime, ref: ActorRef[Any]) -> None:
        self._runtime = runtime
        self._ref = ref

    def is_set(self) -> bool:
        """Whether it is dead."""
        return not self._runtime.is_alive(self._ref.address)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is dead; return whether it is."""
        try:
            self._runtime.node.monitor(self._ref).get(timeout=timeout)
        except CallTimeout:
            return False
        return True

