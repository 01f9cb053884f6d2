"""Hosting: a plain Pykka actor class as a class of ours, for programs that have not changed their base classes yet.

Pure but for imports; used wherever an actor is to be started. `hosted(Guest)` is the subclass of Guest and ProcessActor
that one would have got by changing the base class: the guest's methods first, our loop, inbox and futures underneath.
So all of a ProcessActor holds: Pykka's error rule, proxies, supervision, workers. It runs in a thread of its own, as it
would have. It is found in every process by its name: this module makes it when it is asked for.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pykka

from ..errors import SpecError
from .actor import Actor, ProcessActor

_made: dict[type[Any], type[ProcessActor]] = {}

_HOOKS = ("_create_actor_inbox", "_create_future", "_start_actor_loop")
"""What a ThreadingActor defines and a ProcessActor must: Pykka's hooks for implementors."""

_DOT = "·"


def hosted(actor: type[Any]) -> type[Any]:
    """Return `actor` itself if it is one of ours, else the class that hosts it.

    Raises SpecError for what is no actor class, and for one that no other process could import.
    """
    if not (isinstance(actor, type) and issubclass(actor, pykka.Actor)):
        raise SpecError(repr(actor), "is no actor: subclass al.Actor, al.ProcessActor or pykka.ThreadingActor")
    if issubclass(actor, Actor):
        return actor
    made = _made.get(actor)
    if made is None:
        module, qualified = actor.__module__, actor.__qualname__
        if module == "__main__" or "<locals>" in qualified:
            raise SpecError(
                f"{module}:{qualified}",
                "is a plain Pykka actor that workers cannot import: put it into a module, or derive it from ours",
            )
        name = f"{module.replace('.', _DOT)}:{qualified.replace('.', _DOT)}"
        ours = {hook: ProcessActor.__dict__.get(hook, getattr(ProcessActor, hook)) for hook in _HOOKS}
        host = type(
            name, (actor, ProcessActor), {**ours, "blocking": True, "__module__": __name__, "__doc__": actor.__doc__}
        )
        made = _made.setdefault(actor, host)  # of two threads that make one, the first's
    return made


def __getattr__(name: str) -> type[Any]:
    """Return the host that is called so, importing its guest: how pickle finds it."""
    module, colon, qualified = name.partition(":")
    if not colon:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        found: Any = sys.modules.get(module.replace(_DOT, ".")) or importlib.import_module(module.replace(_DOT, "."))
        for part in qualified.split(_DOT):
            found = getattr(found, part)
    except ImportError as error:
        raise AttributeError(f"{name!r} cannot be hosted here: {error}") from error
    return hosted(found)
