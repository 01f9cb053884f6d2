"""Mailbox: how many messages an actor may have waiting, and what happens to the next one.

Pure; used by the kernel at admission and by specifications and config to say it. Strict: the receiver's kernel
is the only judge; depth never exceeds `capacity`, nor what waits `max_bytes`. Exit, down and stop signals are not
counted and always get in.
"""

from __future__ import annotations

from typing import Literal, get_args

from ..errors import SpecError
from ..lean_dataclass import dataclass

Overflow = Literal["block", "reject", "drop_new", "drop_old"]
OVERFLOWS: tuple[Overflow, ...] = get_args(Overflow)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Bounds of an actor's mailbox.

    `capacity` counts messages waiting (not the one in hand), 1 to 2**31-1. `overflow` decides about one more:

    - `block`: the sender waits for room, at most `timeout_s`, then `MailboxFull`; nobody else waits with it.
    - `reject`: a call fails with `MailboxFull`, a tell becomes a dead letter `mailbox_full`.
    - `drop_new`: the new message becomes a dead letter `dropped`.
    - `drop_old`: the oldest waiting message does, or as many as it takes; their callers, if any, get `MailboxFull`.

    `max_bytes` bounds what waits by weight too: a message weighs what its pickle does, also one that came by reference
    from an actor beside it, which is pickled to be weighed; a large array in a file of its own weighs its bytes. One
    that is heavier alone is refused with `MessageTooLarge`. None, the default, costs nothing.
    """

    capacity: int = 1024
    overflow: Overflow = "block"
    timeout_s: float = 5.0
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        if type(self.capacity) is not int or not 1 <= self.capacity < 2**31:
            raise SpecError("mailbox.capacity", f"must be a whole number from 1 to 2**31-1, not {self.capacity!r}")
        if self.overflow not in OVERFLOWS:
            raise SpecError("mailbox.overflow", f"must be one of {', '.join(OVERFLOWS)}, not {self.overflow!r}")
        if not self.timeout_s >= 0:
            raise SpecError("mailbox.timeout_s", f"must be a time in seconds, not {self.timeout_s!r}")
        if self.max_bytes is not None and (type(self.max_bytes) is not int or not 1 <= self.max_bytes < 2**48):
            raise SpecError("mailbox.max_bytes", f"must be a whole number from 1 to 2**48-1, not {self.max_bytes!r}")


DEFAULT_MAILBOX = Mailbox()
