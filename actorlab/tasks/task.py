"""Task: the answer of a function that runs in an actor of its own.

Edge (waits as `Future` does). `get` and `await` give what the function returns or raises; a `get` that times out leaves
it running (Elixir's `yield`); `cancel` ends it at once (Elixir's `shutdown`), and an answer that comes after is
discarded.
"""

from __future__ import annotations

from typing import Any

from ..actor import ActorRef, Future


class Task(Future[Any]):
    """A function under way."""

    def __init__(self, what: str, ref: ActorRef[Any]) -> None:
        super().__init__(what)
        self.ref = ref

    def cancel(self) -> bool:
        """End the task at once, whatever it does; return False if it has ended already."""
        given_up = not self.state and super().cancel()
        if given_up:
            self.ref.exit("kill")
        return given_up
