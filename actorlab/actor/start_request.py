"""StartRequest: all a kernel needs to know to start an actor, as it travels from whoever asks.

Pure; used by the lifecycle, the node and supervision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .mailbox import DEFAULT_MAILBOX, Mailbox
from .snapshot import State

if TYPE_CHECKING:
    from .keeping import Snapshots


class StartRequest(NamedTuple):
    """All a kernel needs to start an actor. `address` is set for a restart in the same place.

    `parent` is the supervisor, `parent_epoch` which process of its slot it runs in. `name_patience_s`: how long to wait
    for a name that is still somebody's who is on his way out.
    """

    actor: type[Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    name: Any = None  # a string, or one in a namespace
    mailbox: Mailbox = DEFAULT_MAILBOX
    parent: int = 0
    init_timeout_s: float | None = 5.0
    redeliver: int = 0
    address: int = 0
    link: int = 0
    parent_epoch: int = 0
    name_patience_s: float = 0.0
    metadata: Any = None  # of the name
    state: State | None = None  # what `restore` is given before `on_start`
    snapshots: Snapshots | None = None  # when its state is kept, over what its class says


class KernelJob:
    """The class that work of the kernel's own shows in the books."""
