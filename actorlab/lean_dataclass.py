"""Dataclasses that are made in a fifth of the time: a third of what a node takes to start was the making of its own.

Pure. The standard library writes, compiles and runs six functions a class, on Python 3.11 and 3.12 one after the other;
a process of ours begins with a hundred classes. Here one function a class is compiled, its `__init__`, and all classes
share the others. What comes out is a dataclass to everyone who asks: `fields`, `replace`, `asdict`, patterns, `pickle`,
signatures, and type checkers, which are shown the standard library's own. Whoever asks for more than frozen, slots
and keywords only, or inherits from a dataclass, gets the standard library's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, fields
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any


def _dataclass(
    *, frozen: bool = False, slots: bool = False, kw_only: bool = False, **more: Any
) -> Callable[[type], type]:
    """Make a dataclass of a class, as `dataclasses.dataclass` does."""

    def make(cls: type) -> type:
        if more or not slots or dataclasses.is_dataclass(cls):
            return dataclasses.dataclass(frozen=frozen, slots=slots, kw_only=kw_only, **more)(cls)
        own = set(vars(cls))
        if "__eq__" in own and vars(cls)["__hash__"] is None:
            own.discard("__hash__")  # put there by Python, for the sake of `__eq__`
        cls = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
        compared = [field.name for field in fields(cls) if field.compare]
        given: dict[str, Any] = {"__init__": _compiled(cls, frozen), "__repr__": _repr}
        given |= {"__eq__": _eq, "__hash__": _hash if frozen else None, COMPARED: _getter(compared)}
        if frozen:
            given |= {"__setattr__": _set_if_no_field, "__delattr__": _delete_if_no_field}
            given |= {"__getstate__": _get_state, "__setstate__": _set_state}
            cls.__dataclass_params__.frozen = True  # type: ignore[attr-defined]  # who inherits is to be frozen, too
        for name, value in given.items():
            if name not in own:
                setattr(cls, name, value)
        return cls

    return make


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:
    dataclass = _dataclass

COMPARED = "__actorlab_compared__"
"""The attribute of a class that says what of an instance is compared: a function that returns it all as one value."""


class _Factory:
    def __repr__(self) -> str:
        return "<factory>"


_FACTORY = _Factory()


def _compiled(cls: type, frozen: bool) -> Any:
    """Return an `__init__` for the fields of `cls`."""
    positional, keywords, body = ["self"], list[str](), list[str]()
    inside: dict[str, Any] = {"_set": object.__setattr__, "_factory": _FACTORY}
    for field in fields(cls):
        name, value = field.name, field.name
        if field.default_factory is not MISSING:
            inside[f"_make_{name}"], default = field.default_factory, "_factory"
            value = f"_make_{name}() if {name} is _factory else {name}" if field.init else f"_make_{name}()"
        elif field.default is not MISSING:
            inside[f"_default_{name}"] = field.default
            default = f"_default_{name}"
            value = name if field.init else default
        elif field.init:
            default = ""
        else:
            continue  # somebody else sets it
        if field.init:
            (keywords if field.kw_only else positional).append(f"{name}={default}" if default else name)
        body.append(f"_set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join([*positional, *(["*", *keywords] if keywords else [])])
    made: dict[str, Any] = {}
    exec(f"def __init__({parameters}):\n " + "\n ".join(body or ["pass"]), inside, made)
    init = made["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__module__ = cls.__module__
    init.__annotations__ = {field.name: field.type for field in fields(cls) if field.init} | {"return": None}
    return init


def _getter(names: list[str]) -> Callable[[Any], Any]:
    return attrgetter(*names) if names else _nothing


def _nothing(instance: Any) -> tuple[()]:
    return ()


@recursive_repr()
def _repr(self: Any) -> str:
    shown = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self) if field.repr)
    return f"{type(self).__qualname__}({shown})"


def _eq(self: Any, other: object) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    compared: Callable[[object], Any] = getattr(self.__class__, COMPARED)
    return (compared(self),) == (compared(other),)


def _hash(self: Any) -> int:
    return hash(getattr(self.__class__, COMPARED)(self))


def _set_if_no_field(self: Any, name: str, value: object) -> None:
    if name in self.__dataclass_fields__ or not hasattr(self, "__dict__"):  # a class that inherits may have one
        raise FrozenInstanceError(f"cannot assign to field {name!r}")
    object.__setattr__(self, name, value)


def _delete_if_no_field(self: Any, name: str) -> None:
    if name in self.__dataclass_fields__ or not hasattr(self, "__dict__"):
        raise FrozenInstanceError(f"cannot delete field {name!r}")
    object.__delattr__(self, name)


def _get_state(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for field, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
