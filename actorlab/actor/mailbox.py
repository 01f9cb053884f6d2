"""Mailbox: how many messages an actor may have waiting, and what happens to the next one.

Pure; used by the kernel at admission and by specifications and config to say it. Strict: the receiver's kernel
is the only judge and depth never exceeds `capacity`. Exit, down and stop signals are not counted and always get in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import SpecError

Overflow = Literal["block", "reject", "drop_new", "drop_old"]
OVERFLOWS: tuple[Overflow, ...] = get_args(Overflow)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Bounds of an actor's mailbox.

    `capacity` counts messages waiting (not the one in hand), 1 to 2**31-1. `overflow` decides about one more:

    - `block`: the sender waits for room, at most `timeout_s`, then `MailboxFull`; nobody else waits with it.
    - `reject`: a call fails with `MailboxFull`, a tell becomes a dead letter `mailbox_full`.
    - `drop_new`: the new message becomes a dead letter `dropped`.
    - `drop_old`: the oldest waiting message does; its caller, if any, gets `MailboxFull`.
    """

    capacity: int = 1024
    overflow: Overflow = "block"
    timeout_s: float = 5.0

    def __post_init__(self) -> None:
        if type(self.capacity) is not int or not 1 <= self.capacity < 2**31:
            raise SpecError("mailbox.capacity", f"must be a whole number from 1 to 2**31-1, not {self.capacity!r}")
        if self.overflow not in OVERFLOWS:
            raise SpecError("mailbox.overflow", f"must be one of {', '.join(OVERFLOWS)}, not {self.overflow!r}")
        if not self.timeout_s >= 0:
            raise SpecError("mailbox.timeout_s", f"must be a time in seconds, not {self.timeout_s!r}")


DEFAULT_MAILBOX = Mailbox()
