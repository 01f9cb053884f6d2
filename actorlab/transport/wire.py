"""Wire: an object as the bytes of a message, and back.

Pure; used by routes at send time, so that what cannot travel is the sender's error, and by the kernel just before the
handler. Pickle protocol 5 by the C pickler; what plain pickle cannot carry to a worker whose `__main__` is empty
(classes and functions of the script, lambdas, local classes) goes by value through cloudpickle. Whatever either
refuses is `NotSendable`, with the path to the value that is in the way. The bytes are code to whoever loads them:
nothing may be loaded that another user could have written.
"""

from __future__ import annotations

import functools
import pickle
import time
import types
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from ..errors import NotSendable
from ..lean_dataclass import dataclass

OUT_OF_BAND_BYTES = 32 * 1024
"""From this size on a buffer (a numpy array's, an Arrow column's) is not copied into the pickle but beside it."""

LONG_BYTES = 64 * 1024
"""From this size on the pickler hands a `bytes` on as it is, if it writes to a file: pickle's own size of a frame."""

# What a script's class would look like in a pickle that loads here and fails in the worker. The opcode that every class
# and function needs is looked for first: one byte is found at memchr's speed (20 ns a kB), the name at a tenth of that.
# Data that merely looks so takes the slower way and arrives all the same.
STACK_GLOBAL = pickle.STACK_GLOBAL[0]
MAIN = b"__main__"
_MAX_DEPTH, _MAX_CHILDREN, _MAX_SEARCH_S = 16, 256, 0.25

_dumps = pickle.dumps
loads: Callable[..., Any] = pickle.loads
"""`loads(buffer, buffers=…)`: the object again. Raises whatever the class's own unpickling raises."""


@dataclass(frozen=True, slots=True)
class Large:
    """A message too large to travel inline: its pickle, and the buffers that are not copied into it (views, in order).

    The pickle is in pieces, one behind the other: a long `bytes` in it is a piece by itself, the sender's own object.
    The buffers are the sender's own memory: write them out before the sender goes on.
    """

    pieces: tuple[bytes, ...]
    buffers: tuple[memoryview, ...] = ()

    @property
    def meta(self) -> bytes:
        """The pickle in one piece: a copy."""
        return b"".join(self.pieces)

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.pieces)) + sum(view.nbytes for view in self.buffers)


class SawLargeBuffer(Exception):
    """Ends a first attempt before a large buffer, or a long `bytes`, is copied in vain."""


def _refuse_large(buffer: pickle.PickleBuffer) -> bool:
    if buffer.raw().nbytes >= OUT_OF_BAND_BYTES:
        raise SawLargeBuffer
    return True


def _has_long_bytes(obj: object) -> bool:
    """Whether a long `bytes` lies on top, so that it is seen at once: an answer, a message, an argument.

    >>> _has_long_bytes(("name", (bytes(LONG_BYTES),), {})), _has_long_bytes(("name", (b"short",), {}))
    (True, False)
    """
    if type(obj) is not tuple:
        return type(obj) is bytes and len(obj) >= LONG_BYTES
    for part in obj:
        if type(part) is bytes:
            if len(part) >= LONG_BYTES:
                return True
        elif type(part) is tuple:
            for one in part:
                if type(one) is bytes and len(one) >= LONG_BYTES:
                    return True
    return False


def dumps_small(obj: object, protocol: int) -> bytes:
    """Pickle plainly, or raise SawLargeBuffer before a large buffer or a long `bytes` is copied in vain."""
    if _has_long_bytes(obj):
        raise SawLargeBuffer
    return _dumps(obj, protocol, buffer_callback=_refuse_large)


def dumps(obj: object, what: str = "a message", names: tuple[str, ...] = ()) -> bytes:
    """Return `obj` as bytes, everything in-band, or raise NotSendable.

    `what` is how the error speaks of it; `names`, if `obj` is a tuple, how it calls the tuple's items
    (`args[0].lock`). Objects are asked for their state once, a second time if plain pickle could not do it.
    """
    try:
        data = _dumps(obj, 5)
    except Exception as error:
        return _by_value(obj, what, names, error, None)
    if STACK_GLOBAL in data and MAIN in data:
        return _by_value(obj, what, names, None, None)
    return data


def encode(
    obj: object, what: str, inline_limit: int, names: tuple[str, ...] = (), *, likely_large: bool = False
) -> bytes | Large:
    """Return `obj` as bytes of at most `inline_limit`, or as `Large`; or raise NotSendable.

    Buffers from OUT_OF_BAND_BYTES on are not copied: the first one met ends the first attempt, so no copy of it is
    made in vain, and the price of looking is 30 ns where there is none. `likely_large`: there is one, so
    that attempt is left out, as it is for a long `bytes` that is seen at once.
    """
    if likely_large or _has_long_bytes(obj):
        large = _out_of_band(obj, what, names)
        return large if large.buffers or large.size_bytes > inline_limit else large.meta
    try:
        data = _dumps(obj, 5, buffer_callback=_refuse_large)
    except SawLargeBuffer:
        return _out_of_band(obj, what, names)
    except Exception as error:
        try:
            data = _by_value(obj, what, names, error, _refuse_large)
        except SawLargeBuffer:
            return _out_of_band(obj, what, names)
    if STACK_GLOBAL in data and MAIN in data:
        try:
            data = _by_value(obj, what, names, None, _refuse_large)
        except SawLargeBuffer:
            return _out_of_band(obj, what, names)
    return data if len(data) <= inline_limit else Large((data,))


def _out_of_band(obj: object, what: str, names: tuple[str, ...]) -> Large:
    views: list[memoryview] = []

    def keep_small(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < OUT_OF_BAND_BYTES:
            return True
        views.append(view)
        return False

    pieces = _Pieces()
    try:
        pickle.Pickler(pieces, 5, buffer_callback=keep_small).dump(obj)
    except Exception as error:
        views.clear()
        pieces.found = [_by_value(obj, what, names, error, keep_small)]
    else:
        # No name lies across two pieces: what is not a long text or `bytes` is written in whole frames.
        if any(STACK_GLOBAL in piece and MAIN in piece for piece in pieces.found):
            views.clear()
            pieces.found = [_by_value(obj, what, names, None, keep_small)]
    return Large(tuple(pieces.found), tuple(views))


class _Pieces:
    """A file for a pickler that keeps what is written, which is not copied if nobody can change it.

    The pickler writes what it has gathered, and a `bytes` of 64 KiB or more as it is: 10 MB take 2 µs, where copying
    them into a pickle that grows takes 4 ms, most of it pages that are given back at once.
    """

    def __init__(self) -> None:
        self.found: list[bytes] = []

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        self.found.append(piece if type(piece) is bytes else bytes(piece))


def _by_value(
    obj: object,
    what: str,
    names: tuple[str, ...],
    plain_error: Exception | None,
    buffer_callback: Callable[[pickle.PickleBuffer], bool] | None,
) -> bytes:
    if isinstance(plain_error, RecursionError):  # by value it would only go deeper
        raise NotSendable(what, "it is nested too deeply to be pickled") from plain_error
    import cloudpickle  # 20 ms, and most programs never need it

    try:
        data: bytes = cloudpickle.dumps(obj, protocol=5, buffer_callback=buffer_callback)
        return data
    except SawLargeBuffer:
        raise
    except Exception as error:
        raise NotSendable(what, _why(obj, names, error)) from error


# ---- why not: a bounded search for the value that is in the way


def _why(obj: object, names: tuple[str, ...], error: Exception) -> str:
    path, reason = "", _say(error)
    give_up_at = time.monotonic() + _MAX_SEARCH_S
    current, seen = obj, {id(obj)}
    try:
        for depth in range(_MAX_DEPTH):
            for step, child in islice(_parts(current, names if depth == 0 else ()), _MAX_CHILDREN):
                if id(child) in seen or time.monotonic() > give_up_at:
                    continue
                refusal = _refusal(child)
                if refusal is not None:
                    path, reason, current = path + step, _say(refusal), child
                    seen.add(id(child))
                    break
            else:
                break
    except Exception:  # an object that cannot even be looked at: what was found so far stands
        pass
    return f"{path.lstrip('.')}: {reason}" if path else reason


def _say(error: Exception) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:
        return type(error).__name__


def _refusal(obj: object) -> Exception | None:
    import cloudpickle

    try:
        cloudpickle.dumps(obj, protocol=5, buffer_callback=lambda buffer: None)
    except Exception as error:
        return error
    return None


def _parts(obj: Any, names: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    """What an object is made of, each with how one would write the way to it."""
    if isinstance(obj, (list, tuple, set, frozenset, deque)):
        for i, item in enumerate(obj):
            yield (f".{names[i]}" if i < len(names) else "{…}" if isinstance(obj, (set, frozenset)) else f"[{i}]"), item
    elif isinstance(obj, dict):
        for key, value in obj.items():
            yield f"[{_short(key)}]", value
            yield f".key({_short(key)})", key
    elif isinstance(obj, types.MethodType):
        yield ".__self__", obj.__self__
    elif isinstance(obj, types.FunctionType):
        for name, cell in zip(obj.__code__.co_freevars, obj.__closure__ or (), strict=False):
            yield f".<captured {name}>", cell.cell_contents
        for name in obj.__code__.co_names:
            if name in obj.__globals__:
                yield f".<global {name}>", obj.__globals__[name]
        yield ".<defaults>", obj.__defaults__
    elif isinstance(obj, functools.partial):
        yield from ((".func", obj.func), (".args", obj.args), (".keywords", obj.keywords))
    elif isinstance(obj, BaseException):
        yield ".args", obj.args
        yield from _attributes(obj)
    # A class with a __reduce__ of its own may leave out the very attribute that would not pickle.
    cls: Any = type(obj)
    if cls.__reduce__ is object.__reduce__ and cls.__reduce_ex__ is object.__reduce_ex__:
        yield from _attributes(obj)


def _attributes(obj: object) -> Iterator[tuple[str, object]]:
    for name, value in getattr(obj, "__dict__", {}).items():
        yield f".{name}", value
    for base in type(obj).__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if name not in ("__dict__", "__weakref__") and hasattr(obj, name):
                yield f".{name}", getattr(obj, name)


def _short(key: object) -> str:
    text = repr(key)
    return text if len(text) <= 40 else text[:37] + "…"
