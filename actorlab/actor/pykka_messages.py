"""Pykka messages: the proxy and stop messages of Pykka's protocol, answered as Pykka answers them.

Pure dispatch onto the actor; used by the kernel for every plain message. Names that Pykka keeps private are used
here and nowhere else but in `pykka_actor`; a contract test pins them.
"""

from __future__ import annotations

from typing import Any

import pykka
from pykka import messages

ActorStop: type[Any] = messages._ActorStop

PYKKA_MESSAGES = frozenset({messages.ProxyCall, messages.ProxyGetAttr, messages.ProxySetAttr})


def answer_pykka(actor: pykka.Actor, message: Any) -> Any:
    """Carry out a proxy's message on the actor and return the result."""
    return actor._handle_receive(message)
