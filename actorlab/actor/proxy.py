"""Proxy: Pykka's proxies on actorlab references.

Edge; used by `ref.proxy()`. Pykka's ActorProxy looks at a live instance to learn which attributes there are. Where
the actor lives in another process, it looks at a *shell* instead: an instance of the class that was never
initialised, whose names come from the class.
"""

from __future__ import annotations

from typing import Any

import pykka


def make_proxy(ref: Any) -> pykka.ActorProxy[Any]:
    """Return a proxy of the actor; raises pykka.ActorDeadError if it is gone."""
    return pykka.ActorProxy(actor_ref=ref)


def shell_of(actor: type[Any]) -> Any:
    """Return an instance of `actor` for introspection only: nothing of the user's has run."""
    return object.__new__(actor)
