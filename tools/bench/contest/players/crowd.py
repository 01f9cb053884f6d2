"""Who is asked and told in `growing.py`, on each framework: answers how long a message is, counts for its process.

Imported by the processes of every framework, so it imports none.
"""

from __future__ import annotations

import os
from typing import Any

_taken = [0]


class Member:
    """One of many."""

    def size(self, message: Any) -> int:
        return len(message)

    def take(self, message: Any) -> None:
        _taken[0] += 1

    def pid(self) -> int:
        return os.getpid()

    def taken(self) -> int:
        """Return how many messages all of this process have taken."""
        return _taken[0]


def serve(end: Any) -> None:
    """Be a process at the end of a pipe: what is asked is answered, what is told is counted."""
    member = Member()
    while (told := end.recv()) is not None:
        name, *message = told
        answer = getattr(member, name)(*message)
        if name != "take":
            end.send(answer)
