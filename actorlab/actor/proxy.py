"""Shell: what Pykka's proxies look at where the actor itself is in another process.

Edge (asks the actor); used by references. Pykka's ActorProxy inspects a live instance, whenever it meets a name it does
not know, to learn what there is. A shell shows it what the actor's own process finds: attributes set in `__init__`
and later, and what is inside traversable ones. Where it cannot wait for that answer (an async handler, an actor that
is busy for long), it shows the names of the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pykka

from ..errors import CallError
from .pykka_messages import Attributes, Introspect, attributes_of

if TYPE_CHECKING:
    from .ref import ActorRef

PATIENCE_S = 5.0


class Shell:
    """Stands in for an actor that is elsewhere, for introspection only."""

    def __init__(self, ref: ActorRef[Any]) -> None:
        self._ref = ref

    def __str__(self) -> str:
        return str(self._ref)

    def __dir__(self) -> list[str]:
        # Pykka's first step each time it looks
        shown = self.__dict__
        for name in [name for name in shown if not name.startswith("_")]:
            del shown[name]
        for path, (can_be_called, traversable) in sorted(_ask(self._ref).items()):
            parent: Any = self
            for name in path[:-1]:
                parent = parent.__dict__[name]
            parent.__dict__[path[-1]] = (_Callable if can_be_called else _Attribute)(traversable)
        return list(shown)


class _Attribute:
    """Stands in for an attribute; its own attributes are in its `__dict__`."""

    def __init__(self, traversable: bool) -> None:
        self._pykka_traversable = traversable


class _Callable(_Attribute):
    """Stands in for something that can be called."""

    def __call__(self) -> None:
        raise TypeError("this stands in for a method of an actor in another process: call it by its proxy")


def _ask(ref: ActorRef[Any]) -> Attributes:
    try:
        found: Attributes = ref.ask(Introspect(), timeout=PATIENCE_S)
    except pykka.ActorDeadError:
        raise
    except CallError:
        # nobody may wait here, or the actor is busy: what its class says must do
        return attributes_of(object.__new__(ref.actor_class))
    return found
