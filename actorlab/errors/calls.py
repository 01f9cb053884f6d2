"""Sends and calls that did not succeed, and what stands in for an exception that cannot travel.

Pure; a room of `errors`, whose docstring draws the whole tree.
"""

from __future__ import annotations

import pykka

from .root import ActorlabError, Delivery


class CallError(ActorlabError):
    """A send or call that did not succeed; `delivery` says whether the handler may have run."""

    delivery: Delivery = "unknown"


class ActorDied(CallError, pykka.ActorDeadError):
    """The actor is gone and no incarnation of it will answer."""

    def __init__(self, actor: str, reason: str = "noproc", delivery: Delivery = "never") -> None:
        super().__init__(actor, reason, delivery)
        self.actor, self.reason, self.delivery = actor, reason, delivery

    def __str__(self) -> str:
        if self.args[1] == "noproc":
            return f"{self.actor} not found"  # Pykka's words
        ran = {
            "never": "the message was not handled",
            "unknown": "its handler may have run",
            "handled": "its handler had finished",
        }
        return f"{self.actor} is dead ({self.reason}): {ran[self.args[2]]}"


class CallTimeout(CallError, pykka.Timeout):
    """No answer within the deadline. A message that still waits is taken back; a late reply is counted and dropped."""

    def __init__(self, what: str, timeout_s: float, delivery: Delivery = "unknown") -> None:
        super().__init__(what, timeout_s, delivery)
        self.delivery = delivery

    def __str__(self) -> str:
        what, timeout_s, delivery = self.args
        if delivery == "never":
            return f"no answer from {what} within {timeout_s:g} s: its message still waited, and was taken back"
        return f"no answer from {what} within {timeout_s:g} s: its handler may still run; a late reply is dropped"


class CallCancelled(CallError):
    """Whoever asked gave up. A message that still waits is taken back; a handler that has begun is left to end."""

    def __init__(self, what: str) -> None:
        super().__init__(what)

    def __str__(self) -> str:
        return f"{self.args[0]} was cancelled by who asked: unless its handler had begun, it will not run"


class MailboxFull(CallError):
    """The receiver refused at the door, or made no room within the deadline: a retry cannot run the handler twice.

    `reason` says what was full: "mailbox" (`capacity` is messages), "bytes" (of the mailbox), "lane" (blocks) or
    "memory" (the worker's soft limit, in bytes).
    """

    delivery = "never"

    def __init__(self, to: str, capacity: int, overflow: str = "reject", reason: str = "mailbox") -> None:
        super().__init__(to, capacity, overflow, reason)
        self.reason = reason

    def __str__(self) -> str:
        to, capacity, overflow, reason = self.args
        if reason == "lane":
            return f"the lane to {to} is full ({capacity} blocks): its worker takes nothing; nothing was queued"
        if reason == "memory":
            return (
                f"the worker of {to} is above its soft limit of memory ({capacity:,} bytes) and takes nothing in: "
                "nothing was queued; try again later, or ask an actor elsewhere"
            )
        if reason == "bytes":
            return (
                f"mailbox of {to} is full ({capacity:,} bytes, overflow={overflow!r}): "
                "nothing was queued; slow the sender or raise max_bytes"
            )
        return (
            f"mailbox of {to} is full ({capacity} messages, overflow={overflow!r}): "
            "nothing was queued; slow the sender or raise the capacity"
        )


class StashFull(ActorlabError):
    """An actor may put no more messages aside; the one in hand is still in hand."""

    def __init__(self, actor: str, capacity: int) -> None:
        super().__init__(actor, capacity)

    def __str__(self) -> str:
        actor, capacity = self.args
        if not capacity:
            return f"{actor} may put no messages aside: say how many, by stash_capacity = … in its class"
        return f"the stash of {actor} is full ({capacity} messages): unstash() what can be handled, or raise it"


class DeadlockDetected(CallError):
    """The call would close a cycle of actors that wait for each other; refused before it was sent."""

    delivery = "never"

    def __init__(self, caller: str, callee: str, chain: tuple[str, ...]) -> None:
        super().__init__(caller, callee, chain)

    def __str__(self) -> str:
        caller, callee, chain = self.args
        path = " → ".join((*chain, callee))
        return f"{caller} may not call {callee}, which already waits for it ({path}): use cast"


class BadCall(CallError):
    """No such public method, or arguments that do not fit. The actor is unharmed."""

    delivery = "never"

    def __init__(self, actor: str, what: str) -> None:
        super().__init__(actor, what)

    def __str__(self) -> str:
        actor, what = self.args
        return f"{actor}: {what}; public methods defined below al.Actor can be called"


class NotSendable(CallError, TypeError):
    """The message, reply or argument cannot be pickled. Nothing was sent."""

    delivery = "never"

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)

    def __str__(self) -> str:
        what, why = self.args
        return f"cannot send {what}: {why}; nothing was sent: send plain data, or a handle to shared memory"


class MessageTooLarge(CallError):
    """A message above the node's limit, or the receiver's mailbox's. Nothing was queued."""

    delivery = "never"

    def __init__(self, to: str, size_bytes: int, limit_bytes: int, option: str = "max_message_bytes") -> None:
        super().__init__(to, size_bytes, limit_bytes, option)

    def __str__(self) -> str:
        to, size_bytes, limit_bytes, option = self.args
        return (
            f"message to {to} has {size_bytes:,} bytes, the limit is {limit_bytes:,}: nothing was sent; "
            f"put the data into a pool and send its handle, or raise {option}"
        )


class BlockingCall(CallError):
    """A blocking wait in a place that must not block: nothing was sent."""

    delivery = "never"

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(what, instead)

    def __str__(self) -> str:
        what, instead = self.args
        return f"{what} would block the event loop: write {instead}"


class NodeGone(CallError, pykka.ActorDeadError):
    """The reference belongs to a node that is not, or no longer, the one of this process."""

    delivery = "never"

    def __init__(self, actor: str, node: str) -> None:
        super().__init__(actor, node)

    def __str__(self) -> str:
        actor, node = self.args
        return f"{actor} belongs to node {node}, which is not running in this process: nothing was sent"


class RemoteError(ActorlabError):
    """Stands in for an exception that cannot travel: its type's name, its text and its traceback."""

    def __init__(self, type_name: str, text: str, traceback: str = "") -> None:
        super().__init__(type_name, text, traceback)
        self.type_name, self.text, self.traceback = type_name, text, traceback

    def __str__(self) -> str:
        return f"{self.type_name}: {self.text}"
