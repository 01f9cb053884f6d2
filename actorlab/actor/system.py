"""System: `ref.system`, by which one looks into a running actor and holds it up.

Edge (asks the actor's kernel); used by people, tools and tests. Each request waits for its answer as long as a call
does; in async code `await ref.system.ask("get_state")` gives the same. Raises ActorDied for an actor that is gone,
CallTimeout for one that is busy for longer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .future import Future

if TYPE_CHECKING:
    from .ref import ActorRef


class System:
    """Requests to an actor's kernel about the actor."""

    __slots__ = ("_ref", "_timeout_s")

    def __init__(self, ref: ActorRef[Any], timeout_s: float | None) -> None:
        self._ref = ref
        self._timeout_s = timeout_s

    def ask(self, operation: str, *args: Any) -> Future[Any]:
        """Ask for an operation by its name; the answer is a future."""
        ref = self._ref
        answer: Future[Any] = ref.runtime.control(ref.home, "inspect", ref.address, operation, args)
        return answer

    def _do(self, operation: str, *args: Any) -> Any:
        return self.ask(operation, *args).get(timeout=self._timeout_s)

    def get_state(self) -> dict[str, Any]:
        """Return the actor's attributes as they are between two messages: copies, from another process."""
        state: dict[str, Any] = self._do("get_state")
        return state

    def replace_state(self, new: Mapping[str, Any] | Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
        """Give the actor these attributes and no others, or what a function makes of those it has.

        Raises TypeError, or what the function raises: then the old ones stay.
        """
        self._do("replace_state", new)

    def suspend(self) -> None:
        """Hold the actor up behind the messages before this: what comes waits, up to its mailbox's capacity.

        It still answers requests of this kind, and exits end it. `resume` lets it go on.
        """
        self._do("suspend")

    def resume(self) -> None:
        """Let a suspended actor go on; of one that is not, nothing."""
        self._do("resume")

    def trace(self, to: ActorRef[Any] | None = None, *, on: bool = True) -> None:
        """Have an `al.Traced` sent to `to` (None: a line in its process's log) for each message from here on.

        Until `on=False`, or the end of this incarnation.
        """
        self._do("trace", on, to)

    def snapshot(self) -> Any:
        """Return what the actor's own `snapshot()` returns. Raises BadCall if it has none."""
        return self._do("snapshot")
