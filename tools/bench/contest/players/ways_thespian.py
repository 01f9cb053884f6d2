"""Who is asked on Thespian: a member of the crowd in a process of its own."""

from __future__ import annotations

from typing import Any

import crowd
from thespian.actors import Actor


class Grown(Actor):
    """A member of the crowd."""

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, tuple):
            name, *args = message
            self.send(sender, getattr(crowd.Member(), name)(*args))
