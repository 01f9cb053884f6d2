"""Bad calls: whether an exception is the caller's fault, because what was called is not there or does not fit.

Pure (looks at a traceback); used where a handler has raised. A bad call leaves its actor unharmed.
"""

from __future__ import annotations

from typing import Any

from .behaviour import Behaviour, is_forwarder


def is_bad_call(behaviour: Behaviour, envelope: Any, error: BaseException) -> bool:
    """Whether a method call failed because there is no such method, or its arguments do not fit it."""
    if envelope[1] not in behaviour.public:
        return True
    # raised in the frame that calls the handler, not in the handler: the arguments do not fit it
    trace = error.__traceback__
    if not isinstance(error, TypeError) or trace is None:
        return False
    below = trace.tb_next
    while below is not None and is_forwarder(below.tb_frame.f_code):
        below = below.tb_next
    return below is None


def why_bad(envelope: Any, error: BaseException) -> str:
    """Say to the caller why his call was bad."""
    return str(error) if isinstance(error, TypeError) else f"no public method {envelope[1]!r}"
