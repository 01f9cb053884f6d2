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
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ..errors import NotSendable

OUT_OF_BAND_BYTES = 32 * 1024
"""From this size on a buffer (a numpy array's, an Arrow column's) is not copied into the pickle but beside it."""

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

    The buffers are the sender's own memory: write them out before the sender goes on.
    """

    meta: bytes
    buffers: tuple[memoryview, ...] = ()

    @property
    def size_bytes(self) -> int:
        return len(self.meta) + sum(view.nbytes for view in self.buffers)


class _SawLargeBuffer(Exception):
    """Ends a first attempt before a large buffer is copied in vain."""


def _refuse_large(buffer: pickle.PickleBuffer) -> bool:
    if buffer.raw().nbytes >= OUT_OF_BAND_BYTES:
        raise _SawLargeBuffer
    return True


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


def encode(obj: object, what: str, inline_limit: int, names: tuple[str, ...] = ()) -> bytes | Large:
    """Return `obj` as bytes of at most `inline_limit`, or as `Large`; or raise NotSendable.

    Buffers from OUT_OF_BAND_BYTES on are not copied: the first one met ends the first attempt, so no copy of it is
    made in vain, and the price of looking is 30 ns where there is none.
    """
    try:
        data = _dumps(obj, 5, buffer_callback=_refuse_large)
    except _SawLargeBuffer:
        return _out_of_band(obj, what, names)
    except Exception as error:
        try:
            data = _by_value(obj, what, names, error, _refuse_large)
        except _SawLargeBuffer:
            return _out_of_band(obj, what, names)
    if STACK_GLOBAL in data and MAIN in data:
        try:
            data = _by_value(obj, what, names, None, _refuse_large)
        except _SawLargeBuffer:
            return _out_of_band(obj, what, names)
    return data if len(data) <= inline_limit else Large(data)


def _out_of_band(obj: object, what: str, names: tuple[str, ...]) -> Large:
    views: list[memoryview] = []

    def keep_small(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < OUT_OF_BAND_BYTES:
            return True
        views.append(view)
        return False

    try:
        meta = _dumps(obj, 5, buffer_callback=keep_small)
    except Exception as error:
        views.clear()
        meta = _by_value(obj, what, names, error, keep_small)
    else:
        if MAIN in meta:
            views.clear()
            meta = _by_value(obj, what, names, None, keep_small)
    return Large(meta, tuple(views))


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
    except _SawLargeBuffer:
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
