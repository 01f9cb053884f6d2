"""Envelope: what lies in a mailbox, and the kinds of things that travel between actors.

Pure; used by the kernel, references and the node. Inside a kernel an envelope is a plain tuple whose first item is
its kind, because a tuple is the cheapest thing Python can build:

    (TELL, message)   (CAST, method, args, kwargs)   (ASK, message, sink)   (CALL, method, args, kwargs, sink)
    (STOP, reason, sink | None)   (END, reason, error | None)   (INFO, message)
    (INIT, request, sink)   (JOB, function, sink)   (WORK, step, what, sink | None)

or a message still pickled in its lane, as the lane's reader handed it on: `(dest, corr, kind, flags, block, length)`.
Its first item is an address, so it is above every kind; `corr >> 56` is the sender's process. A *sink* is where the
answer goes: anything with `reply(value)`, `fail(error)` and `chain`, the addresses that wait for it.
"""

from __future__ import annotations

from typing import Any, Protocol

TELL = 1
CAST = 2
ASK = 3
CALL = 4
STOP = 5  # stop when the messages before it are done
REPLY = 6
FAIL = 7
CONTROL = 8  # for the kernel itself; may carry a correlation id
INFO = 9  # a message that capacity does not bound: Down, Exit, timers, a supervisor's news
SIGNAL = 10  # exit, link, monitor: acted on by the kernel, never seen by the actor as such
END = 11  # terminate now, ahead of the messages that wait; never travels
INIT = 12  # build the actor; never travels
JOB = 13  # work of the kernel's own that may park; never travels
WORK = 14  # a step of the actor's own between two messages, `step(cell, runner)`; never travels

LAST_KIND = 255
"""A first item above this is an address: the envelope lies in a lane."""

UNBOUNDED = (STOP, INFO, END, WORK)


def is_unbounded(envelope: Any) -> bool:
    """Whether capacity does not count this one.

    >>> is_unbounded((STOP, "normal", None)), is_unbounded((1 << 56, 0, TELL, 0, 0, 8))
    (True, False)
    """
    return (envelope[0] if envelope[0] <= LAST_KIND else envelope[2]) in UNBOUNDED

def describe(envelope: Any) -> str:
    """Say what a message was, for dead letters and crash reports."""
    kind = envelope[0]
    if kind == CALL or kind == CAST:
        return f"{'call' if kind == CALL else 'cast'} {describe_call(*envelope[1:4])}"
    if kind == STOP:
        return "stop"
    if kind == WORK:
        return str(envelope[2])
    return f"{'ask' if kind == ASK else 'tell'} {shorten(envelope[1])}" if len(envelope) > 1 else str(kind)


def describe_call(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Say what a method call was.

    >>> describe_call("add", (1,), {"to": "x"})
    "add(1, to='x')"
    """
    return f"{name}({', '.join([*map(shorten, args), *(f'{k}={shorten(v)}' for k, v in kwargs.items())])})"


def shorten(value: Any) -> str:
    """Return a value's repr, 60 characters of it."""
    try:
        text = repr(value)
    except Exception as error:
        return f"<{type(value).__name__}, whose repr fails: {type(error).__name__}>"
    return text if len(text) <= 60 else text[:57] + "…"


Chain = tuple[int, ...]


class Sink(Protocol):
    """Where an answer goes. Exactly one of the two methods is called, once; later ones are counted and dropped."""

    chain: Chain

    def reply(self, value: Any) -> None: ...

    def fail(self, error: BaseException) -> None: ...
