"""Pykka messages: the proxy and stop messages of Pykka's protocol, answered as Pykka answers them.

Pure dispatch onto the actor; used by the kernel for every plain message. Names that Pykka keeps private are used
here and nowhere else but in `pykka_actor`; a contract test pins them.
"""

from __future__ import annotations

from typing import Any

import pykka
from pykka import messages
from pykka._introspection import introspect_attrs

from ..lean_dataclass import dataclass

ActorStop: type[Any] = messages._ActorStop

AttrPath = tuple[str, ...]
Attributes = dict[AttrPath, tuple[bool, bool]]
"""Path of a public attribute → whether it can be called, and whether a proxy may look inside it."""


@dataclass(frozen=True, slots=True)
class Introspect:
    """Ask an actor in another process what a proxy of it would find; the answer is `Attributes`."""


PYKKA_MESSAGES = frozenset({messages.ProxyCall, messages.ProxyGetAttr, messages.ProxySetAttr, Introspect})


def answer_pykka(actor: pykka.Actor, message: Any) -> Any:
    """Carry out a proxy's message on the actor and return the result."""
    if message.__class__ is Introspect:
        return attributes_of(actor)
    return actor._handle_receive(message)


def attributes_of(root: Any) -> Attributes:
    """Return what Pykka's introspection finds in an object: names only, no user code runs."""
    nobody: Any = object()  # Pykka compares each attribute with the proxy that asks
    return {path: (info.callable, info.traversable) for path, info in introspect_attrs(root=root, proxy=nobody).items()}
