"""Failure: a handler's exception as bytes, and as an exception again in the process that asked.

Pure; used by the kernel when it settles a call. The caller gets the very exception wherever it can travel, tried out in
the process where it was raised: a class that pickles but does not unpickle would else blow up in the caller's pump. If
it cannot, it gets `RemoteError` with the type's name, the text and the traceback. Either way the traceback of the other
process is printed with the caller's own. What would not be an answer but a command in the caller (SystemExit,
KeyboardInterrupt, CancelledError, StopIteration) arrives as RemoteError. Nothing here raises, whatever the exception's
own methods do.
"""

from __future__ import annotations

import pickle
import re
import traceback
from typing import Any

from ..errors import CallError, RemoteError
from . import wire

MAX_TEXT = 16 * 1024
"""Longest text or traceback that travels, in characters; the middle of a longer one is left out."""
MAX_PICKLE_BYTES = 256 * 1024
"""An exception that drags more than this along is sent as RemoteError."""

_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


class RemoteTraceback(Exception):
    """The `__cause__` of an exception that came from another process: where it was raised there, as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)

    def __str__(self) -> str:
        return f"\n\nin the process where it was raised:\n{self.args[0]}"


def encode_exception(exc: BaseException, handled: bool = True) -> bytes:
    """Return `exc` as bytes for `decode_exception`; never raises.

    `handled`: it came out of a handler, so a CallError among them (of a call the handler itself made) must not tell
    this caller that a retry is safe: its `delivery` becomes `handled`. Say False for a refusal made on the caller's
    behalf.
    """
    type_name, text = _type_name(exc), _text(exc)
    trace = _cut(_trace(exc, type_name, text))
    body, mode = b"", "surrogate"
    if isinstance(exc, Exception) and not isinstance(exc, (StopIteration, StopAsyncIteration)):
        for mode, parts in (("whole", exc), ("parts", _parts(exc))):
            body = _travels(exc, mode, parts)
            if body:
                break
    ran = handled and isinstance(exc, CallError)
    return pickle.dumps((mode if body else "surrogate", body, type_name, _cut(text), trace, ran), 5)


def decode_exception(data: bytes | memoryview) -> BaseException:
    """Return the exception, its remote traceback attached as `__cause__`; RemoteError if it cannot be made here.

    Raises nothing for what `encode_exception` produced, not even when the class is missing in this process.
    """
    mode, body, type_name, text, trace, ran = pickle.loads(data)
    exc: BaseException | None = None
    if mode != "surrogate":
        try:
            exc = _revive(mode, body)
        except KeyboardInterrupt:
            raise
        except BaseException:  # the class's own code; it cannot be imported here, or is another version
            exc = None
    if exc is None:
        exc = RemoteError(type_name, text, trace)
    elif ran:
        try:
            exc.delivery = "handled"  # type: ignore[attr-defined]
        except Exception:
            exc = RemoteError(type_name, text, trace)
    exc.__cause__ = RemoteTraceback(trace)
    return exc


def _travels(exc: BaseException, mode: str, what: object) -> bytes:
    """Return `what` pickled if the exception that is made of it is the same to the eye, else nothing."""
    try:
        body = wire.dumps(what)
        if len(body) > MAX_PICKLE_BYTES:
            return b""
        there = _revive(mode, body)
        # A class whose __init__ makes a message out of its arguments gets that message as its argument: it does
        # unpickle, into another text.
        same = type(there) is type(exc) and len(there.args) == len(exc.args) and _face(there) == _face(exc)
        return body if same else b""
    except KeyboardInterrupt:
        raise
    except BaseException:  # SystemExit of a __reduce__ as well
        return b""


def _parts(exc: BaseException) -> tuple[Any, ...]:
    # For classes that pickle cannot rebuild because __init__ takes other arguments than it hands to Exception: most of
    # those that people write. Class, args and attributes are all there is to them, so __init__ is left out.
    return type(exc), exc.args, dict(getattr(exc, "__dict__", {}))


def _revive(mode: str, body: bytes) -> BaseException:
    made = wire.loads(body)
    if mode == "parts":
        cls, args, attributes = made
        made = cls.__new__(cls, *args)
        made.args = args
        made.__dict__.update(attributes)
    if not isinstance(made, BaseException):
        raise TypeError(f"unpickled into {type(made)}, not into an exception")
    return made


def _face(exc: BaseException) -> str:
    return _ADDRESS.sub("0x", str(exc))


def _type_name(exc: BaseException) -> str:
    cls = type(exc)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _text(exc: BaseException) -> str:
    try:
        return str.__str__(str(exc))  # a subclass of str would travel as itself, or not at all
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"<its __str__ raised {type(error).__name__}>"


def _trace(exc: BaseException, type_name: str, text: str) -> str:
    try:
        return "".join(traceback.format_exception(exc))
    except KeyboardInterrupt:
        raise
    except BaseException:  # __str__ of a cause, or a module that is gone
        return f"{type_name}: {text}\n"


def _cut(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    half = MAX_TEXT // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"
