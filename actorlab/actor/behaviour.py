"""Behaviour: what a kernel knows of an actor class, worked out once a class.

Pure; used by the kernel. Callable from outside are the public methods defined below `al.Actor`; the hooks and the
names that `al.Actor` itself needs are not.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pykka

HOOKS = frozenset(
    {"handle_continue", "on_exit", "on_failure", "on_receive", "on_start", "on_stop", "restore", "snapshot"}
)

RESERVED = frozenset(
    {
        "ref", "node", "spawn", "link", "unlink", "monitor", "demonitor", "trap_exit", "exit", "send_after",
        "send_interval", "cancel", "exit_reason", "actor_ref", "actor_urn", "actor_inbox", "actor_stopped", "start",
        "stop", "continue_with", "receive_timeout", "save_snapshot", "stash", "unstash",
    }
)  # fmt: skip


class Behaviour:
    """What the kernel knows of one actor class."""

    __slots__ = (
        "blocking",
        "cls",
        "indirect",
        "keep_mail",
        "keeps_state",
        "label",
        "path",
        "priorities",
        "public",
        "pykka_rule",
        "redeliver",
        "reply_errors",
        "snapshots",
        "stash_capacity",
        "supervisor",
    )  # fmt: skip

    def __init__(self, cls: type[Any]) -> None:
        self.cls = cls
        self.label = cls.__name__
        self.path = f"{cls.__module__}:{cls.__qualname__}"
        self.blocking = bool(getattr(cls, "blocking", False))
        self.indirect = self.blocking or bool(getattr(cls, "reentrant", False))  # never on a thread that it is lent
        self.pykka_rule = bool(getattr(cls, "pykka_rule", False))
        self.reply_errors: tuple[type[BaseException], ...] = tuple(getattr(cls, "reply_errors", ()))
        self.keep_mail = getattr(cls, "on_restart", "keep") == "keep"
        self.keeps_state = callable(getattr(cls, "snapshot", None)) and callable(getattr(cls, "restore", None))
        self.redeliver = int(getattr(cls, "redeliver", 0))
        self.snapshots: Any = getattr(cls, "snapshots", None)
        self.stash_capacity = int(getattr(cls, "stash_capacity", 0))
        self.priorities = dict(getattr(cls, "priorities", ()))
        self.supervisor = bool(getattr(cls, "is_supervisor", False))
        self.public: dict[str, Callable[..., Any]] = {}
        for base in reversed(cls.__mro__):
            if base is object or base is pykka.Actor or vars(base).get("is_base"):
                continue  # al.Actor, what is above it, and our other base classes
            for name, value in vars(base).items():
                if name.startswith("_") or name in HOOKS or name in RESERVED:
                    continue
                function = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
                if not callable(function) or inspect.isclass(function):
                    self.public.pop(name, None)
                elif inspect.isfunction(value):
                    self.public[name] = value
                else:
                    self.public[name] = _bound_late(name)


class Unknown:
    """Stands in for the class of an actor that died with its worker and is not restarted yet."""


def behaviour_at(path: str) -> Behaviour:
    """Return a behaviour that only knows its class's path, for a husk."""
    behaviour = Behaviour(Unknown)
    behaviour.path = path
    behaviour.label = path.rpartition(":")[2]
    return behaviour


def _bound_late(name: str) -> Callable[..., Any]:
    def call(obj: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(obj, name)(*args, **kwargs)

    return call


def forwarder(method: Callable[..., Any], teller: Any, name: str) -> Callable[..., Any]:
    """Return a method that also tells a trace what becomes of it."""

    def call(obj: Any, *args: Any, **kwargs: Any) -> Any:
        begun = teller.begin(name, args, kwargs)
        try:
            result = method(obj, *args, **kwargs)
        except BaseException as error:
            teller.raised(begun, error)
            raise
        return teller.returned(begun, result)

    return call


_FORWARDERS = (_bound_late("").__code__, forwarder(_bound_late, None, "").__code__)


def is_forwarder(code: object) -> bool:
    """Whether a frame of `code` only passes a call on, so that arguments refused below it do not fit the method."""
    return code in _FORWARDERS


def check_class(cls: type[Any]) -> None:
    """Raise TypeError when an actor class takes a name that `al.Actor` itself needs, or says what makes no sense."""
    for base in cls.__mro__:
        if vars(base).get("is_base"):
            break  # ours, and what is above
        taken = sorted(RESERVED & vars(base).keys())
        if taken:
            whose = "redefines" if base is cls else f"gets from {base.__qualname__}"
            raise TypeError(f"{cls.__qualname__} {whose} {', '.join(taken)}, which al.Actor needs: choose another name")
    errors = cls.__dict__.get("reply_errors", ())
    if not isinstance(errors, tuple) or not all(isinstance(e, type) and issubclass(e, BaseException) for e in errors):
        raise TypeError(f"{cls.__qualname__}.reply_errors must be a tuple of exception classes, not {errors!r}")
    _check_specialities(cls)
    if callable(getattr(cls, "snapshot", None)) != callable(getattr(cls, "restore", None)):
        missing = "restore(state)" if hasattr(cls, "snapshot") else "snapshot()"
        raise TypeError(f"{cls.__qualname__} defines one of snapshot() and restore(state): define {missing} too")
    if cls.__dict__.get("on_restart", "keep") not in ("keep", "drop"):
        raise TypeError(f"{cls.__qualname__}.on_restart must be 'keep' or 'drop', not {cls.on_restart!r}")


def _check_specialities(cls: type[Any]) -> None:
    name = cls.__qualname__
    capacity = getattr(cls, "stash_capacity", 0)
    if type(capacity) is not int or not 0 <= capacity < 2**31:
        raise TypeError(f"{name}.stash_capacity must be a whole number of messages, not {capacity!r}")
    priorities = getattr(cls, "priorities", {})
    try:
        sound = all(isinstance(key, (str, type)) and type(value) is int for key, value in priorities.items())
    except AttributeError:
        sound = False
    if not sound:
        says = "must map names of methods and classes of messages to whole numbers, larger ones first"
        raise TypeError(f"{name}.priorities {says}, not {priorities!r}")
    if getattr(cls, "snapshots", None) is not None and not callable(getattr(cls, "snapshot", None)):
        raise TypeError(f"{name} says snapshots: define snapshot() and restore(state), which take and give its state")
    if getattr(cls, "reentrant", False):
        for other, why in (("blocking", "has one thread"), ("redeliver", "may not handle a message twice")):
            if getattr(cls, other, 0):
                raise TypeError(f"{name} says both reentrant and {other}, and {why}: choose one")
