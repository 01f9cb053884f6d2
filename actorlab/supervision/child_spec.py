"""Child specification: what a supervisor knows about one of its actors before it starts it.

Pure; users write it (`al.child`), plan.py reads it, the supervisor starts from it. Everything that can be
refused is refused here, before anything runs. Fields and rules are OTP's: restart, shutdown, significant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, ClassVar, Literal, get_args

import pykka

from ..actor import Mailbox, Placement, Snapshots, check_placement, effective, keeps_state
from ..errors import InvalidMetadata, SpecError
from ..lean_dataclass import dataclass
from ..registry import pack_metadata

Restart = Literal["permanent", "transient", "temporary"]
"""`permanent`: always restarted; `transient`: unless it ended cleanly; `temporary`: never, and then forgotten."""

Shutdown = float | Literal["brutal_kill", "infinity"]
"""Seconds a child gets to stop before it is killed; or killed at once; or as long as it takes."""

Kind = Literal["worker", "supervisor"]
"""OTP's word for a child that is not itself a supervisor is `worker`; it has nothing to do with worker processes."""


def check_choice(where: str, value: object, allowed: Sequence[str]) -> None:
    """Raise SpecError unless `value` is one of `allowed`, naming the one that was probably meant."""
    if isinstance(value, str) and value in allowed:
        return
    import difflib  # for what is refused only

    begun = [choice for choice in allowed if value and choice.startswith(str(value))]
    close = begun or difflib.get_close_matches(str(value), allowed, n=1, cutoff=0.5)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise SpecError(where, f"must be one of {', '.join(allowed)}, not {value!r}{hint}")


def check_number(where: str, value: object, low: float, *, whole: bool = False, above: bool = False) -> None:
    """Raise SpecError unless `value` is a number of at least `low` (`above`: of more than `low`)."""
    kinds = (int,) if whole else (int, float)
    fits = isinstance(value, kinds) and not isinstance(value, bool) and (value > low if above else value >= low)
    if not fits:
        what = "a whole number" if whole else "a number"
        raise SpecError(where, f"must be {what} {'above' if above else 'of at least'} {low:g}, not {value!r}")


def check_name(where: str, name: object) -> None:
    """Raise SpecError unless `name` is None or a text that is not empty."""
    if name is not None and not (isinstance(name, str) and name):
        raise SpecError(f"{where}: name", f"must be a text that is not empty, not {name!r}")


def check_life(where: str, restart: object, shutdown: object, significant: object) -> None:
    """Raise SpecError unless these keys, which actors and supervisors share, make sense together."""
    check_choice(f"{where}: restart", restart, get_args(Restart))
    if shutdown not in ("brutal_kill", "infinity"):
        if isinstance(shutdown, str):
            check_choice(f"{where}: shutdown", shutdown, ("brutal_kill", "infinity", "a time in seconds"))
        check_number(f"{where}: shutdown", shutdown, 0)
    if not isinstance(significant, bool):
        raise SpecError(f"{where}: significant", f"must be true or false, not {significant!r}")
    if significant and restart == "permanent":
        raise SpecError(
            f"{where}: significant",
            "a permanent child never ends for good, so its end can mean nothing: make it transient or temporary",
        )


def check_place(where: str, placement: object) -> None:
    """Raise SpecError, with the child's path, unless `placement` is one."""
    try:
        check_placement(placement)
    except SpecError as error:
        raise SpecError(f"{where}: placement", error.args[1]) from None


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One actor under a supervisor: `actor(*args, **kwargs)` and how to keep it alive.

    Users write `al.child(…)`; this constructor serves where an argument of the actor has the name of a key here.
    `shutdown`, `init_timeout_s` in seconds. `mailbox` None: the node's default. `redeliver`: how often a message
    is tried again whose handling was cut short by a crash (P4). `metadata` are the name's, by which others select it.
    `snapshots`: when its state is kept, and where; what they do not say is the class's.
    """

    kind: ClassVar[Kind] = "worker"

    actor: type[pykka.Actor]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    restart: Restart = "permanent"
    shutdown: Shutdown = 5.0
    significant: bool = False
    placement: Placement = "any"
    mailbox: Mailbox | None = None
    init_timeout_s: float = 5.0
    redeliver: int = 0
    metadata: Mapping[str, Any] | None = None
    snapshots: Snapshots | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.actor, type) and issubclass(self.actor, pykka.Actor)):
            raise SpecError(
                "child",
                f"{self.actor!r} is not a class of actors: give the class itself, below al.Actor",
            )
        where = f"child {self.name or self.actor.__name__!r}"
        check_name(where, self.name)
        check_life(where, self.restart, self.shutdown, self.significant)
        check_place(where, self.placement)
        if self.mailbox is not None and not isinstance(self.mailbox, Mailbox):
            raise SpecError(f"{where}: mailbox", f"must be an al.Mailbox(…), not {self.mailbox!r}")
        check_number(f"{where}: init_timeout_s", self.init_timeout_s, 0, above=True)
        check_number(f"{where}: redeliver", self.redeliver, 0, whole=True)
        if self.metadata is not None:
            if self.name is None:
                raise SpecError(f"{where}: metadata", "belong to a name: give the child one")
            try:
                pack_metadata(self.metadata)
            except InvalidMetadata as error:
                raise SpecError(f"{where}: metadata", error.args[0]) from None
        self._check_snapshots(f"{where}: snapshots")

    def _check_snapshots(self, where: str) -> None:
        if self.snapshots is None:
            return
        if not isinstance(self.snapshots, Snapshots):
            raise SpecError(where, f"must be an al.Snapshots(…), not {self.snapshots!r}")
        if not keeps_state(self.actor):
            label = self.actor.__name__
            raise SpecError(where, f"{label} has no snapshot() and restore(state): define both, or leave this out")
        rule = self.rule
        assert rule is not None
        if rule.by_name and self.name is None:
            why = f"{rule.store!r} keeps by name, and it has none"
            raise SpecError(where, f"{why}: give it one, or store='node' (copies of a partition have no names)")

    @property
    def rule(self) -> Snapshots | None:
        """When its state is kept, and where, by itself and its class together; None: it is not."""
        return effective(self.snapshots, getattr(self.actor, "snapshots", None))

    @property
    def default_id(self) -> str:
        """The name a supervisor uses for it where none was given: the class's, in snake_case."""
        return snake_case(self.actor.__name__)


def child(
    actor: type[pykka.Actor],
    *args: Any,
    name: str | None = None,
    restart: Restart = "permanent",
    shutdown: Shutdown = 5.0,
    significant: bool = False,
    placement: Placement = "any",
    mailbox: Mailbox | None = None,
    init_timeout_s: float = 5.0,
    redeliver: int = 0,
    metadata: Mapping[str, Any] | None = None,
    snapshots: Snapshots | None = None,
    **kwargs: Any,
) -> ChildSpec:
    """Specify an actor `actor(*args, **kwargs)` for a supervisor; the other keywords are ChildSpec's.

    Raises SpecError, with the key's path, for anything that makes no sense; starts nothing.
    """
    return ChildSpec(
        actor=actor,
        args=args,
        kwargs=kwargs,
        name=name,
        restart=restart,
        shutdown=shutdown,
        significant=significant,
        placement=placement,
        mailbox=mailbox,
        init_timeout_s=init_timeout_s,
        redeliver=redeliver,
        metadata=metadata,
        snapshots=snapshots,
    )


def snake_case(name: str) -> str:
    """Return a class's name as a child's.

    >>> snake_case("Counter"), snake_case("LLMAgent"), snake_case("OrderBook2")
    ('counter', 'llm_agent', 'order_book2')
    """
    out = []
    for i, char in enumerate(name):
        starts_word = char.isupper() and i and (not name[i - 1].isupper() or name[i + 1 : i + 2].islower())
        out.append(f"_{char.lower()}" if starts_word and name[i - 1] != "_" else char.lower())
    return "".join(out)
