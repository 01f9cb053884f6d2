"""Supervisor specifications: Supervisor, DynamicSupervisor, PartitionSupervisor, and the checks between children.

Pure; users write them, plan.py reads them through the Protocol `Supervises`, the supervisor carries them out. A
specification that could not be kept (a duplicate name, a place beside a child that starts later) is a SpecError
here, at construction, with the path of what is wrong.
"""

from __future__ import annotations

import dataclasses
import itertools
import zlib
from collections.abc import Collection, Sequence
from dataclasses import field
from typing import Any, ClassVar, Literal, Protocol, get_args

import pykka

from ..actor import Beside, Placement
from ..errors import SpecError
from ..lean_dataclass import dataclass
from .backoff import Backoff
from .child_spec import (
    ChildSpec,
    Kind,
    Restart,
    Shutdown,
    check_choice,
    check_life,
    check_name,
    check_number,
    check_place,
)

Strategy = Literal["one_for_one", "rest_for_one", "one_for_all"]
"""Who is restarted when one dies: that one; it and all started after it; all."""

AutoShutdown = Literal["never", "any_significant", "all_significant"]
"""Whether the supervisor ends, with `shutdown`, when one or when the last significant child ended by itself."""


class Supervises(Protocol):
    """What the plan reads of any supervisor's specification."""

    @property
    def strategy(self) -> Strategy: ...
    @property
    def max_restarts(self) -> int: ...
    @property
    def max_seconds(self) -> float: ...
    @property
    def auto_shutdown(self) -> AutoShutdown: ...
    @property
    def backoff(self) -> Backoff: ...
    @property
    def children(self) -> Sequence[Spec]: ...
    @property
    def ids(self) -> tuple[str, ...]: ...
    @property
    def dynamic(self) -> bool: ...
    @property
    def max_children(self) -> int | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervisor:
    """Actors and supervisors that are started in order, kept alive by one strategy, and stopped in reverse order.

    At most `max_restarts` restarts within `max_seconds`, else it stops everything and exits with `shutdown`: then
    its own supervisor decides. `placement` None: in the controller, where no worker's crash reaches it. `ids` are
    the children's names; where none was given, the class's in snake_case, numbered from the second on (`counter`,
    `counter#2`).
    """

    kind: ClassVar[Kind] = "supervisor"
    dynamic: ClassVar[bool] = False
    max_children: ClassVar[int | None] = None
    default_id: ClassVar[str] = "supervisor"

    strategy: Strategy = "one_for_one"
    max_restarts: int = 3
    max_seconds: float = 5.0
    children: Sequence[Spec] = ()  # stored as a tuple
    name: str | None = None
    auto_shutdown: AutoShutdown = "never"
    restart: Restart = "permanent"
    shutdown: Shutdown = "infinity"
    significant: bool = False
    placement: Placement | None = None
    backoff: Backoff = field(default_factory=Backoff)
    ids: tuple[str, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        where = _where(self)
        _check_keys(self, where)
        check_choice(f"{where}: auto_shutdown", self.auto_shutdown, get_args(AutoShutdown))
        if not isinstance(self.children, (list, tuple)):
            raise SpecError(f"{where}: children", f"must be a list of specifications, not {self.children!r}")
        object.__setattr__(self, "children", tuple(self.children))
        object.__setattr__(self, "ids", _name_all(self.children))
        earlier: dict[str, None] = {}
        for i, (child_id, spec) in enumerate(zip(self.ids, self.children, strict=True)):
            check_child(spec, f"children[{i}] {child_id!r}", earlier, self.auto_shutdown)
            earlier[child_id] = None


@dataclass(frozen=True, slots=True)
class DynamicSupervisor:
    """Any number of children of any kind that come and go at run time: `start_child`, `terminate_child`.

    Always one_for_one. A child that is down for good is forgotten with its specification; all are stopped at once,
    not one after the other. `max_children` None: no limit; children that are being restarted count.
    """

    kind: ClassVar[Kind] = "supervisor"
    dynamic: ClassVar[bool] = True
    strategy: ClassVar[Strategy] = "one_for_one"
    auto_shutdown: ClassVar[AutoShutdown] = "never"
    children: ClassVar[tuple[Spec, ...]] = ()
    ids: ClassVar[tuple[str, ...]] = ()
    default_id: ClassVar[str] = "dynamic_supervisor"

    name: str | None = None
    _: dataclasses.KW_ONLY
    max_children: int | None = None
    max_restarts: int = 3
    max_seconds: float = 5.0
    restart: Restart = "permanent"
    shutdown: Shutdown = "infinity"
    significant: bool = False
    placement: Placement | None = None
    backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        where = _where(self)
        _check_keys(self, where)
        if self.max_children is not None:
            check_number(f"{where}: max_children", self.max_children, 0, whole=True)


@dataclass(frozen=True, slots=True, init=False)
class PartitionSupervisor:
    """`partitions` copies of one actor, `"0"`, `"1"`, …, to which keys are routed by a stable hash.

    Every copy gets the same arguments; `with_partition="shard"` hands each its number as the keyword `shard`. For
    other keys of the copies (restart, placement, …) give an `al.child(…)` in place of the class; the keywords here
    are the supervisor's own.
    """

    kind: ClassVar[Kind] = "supervisor"
    dynamic: ClassVar[bool] = False
    max_children: ClassVar[int | None] = None
    auto_shutdown: ClassVar[AutoShutdown] = "never"
    default_id: ClassVar[str] = "partition_supervisor"

    child: ChildSpec
    partitions: int
    with_partition: str | None
    name: str | None
    strategy: Strategy
    max_restarts: int
    max_seconds: float
    restart: Restart
    shutdown: Shutdown
    significant: bool
    placement: Placement | None
    backoff: Backoff

    def __init__(
        self,
        actor: type[pykka.Actor] | ChildSpec,
        *args: Any,
        partitions: int,
        with_partition: str | None = None,
        name: str | None = None,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        restart: Restart = "permanent",
        shutdown: Shutdown = "infinity",
        significant: bool = False,
        placement: Placement | None = None,
        backoff: Backoff | None = None,
        **kwargs: Any,
    ) -> None:
        keys: dict[str, Any] = dict(
            partitions=partitions, with_partition=with_partition, name=name, strategy=strategy,
            max_restarts=max_restarts, max_seconds=max_seconds, restart=restart, shutdown=shutdown,
            significant=significant, placement=placement, backoff=Backoff() if backoff is None else backoff,
        )  # fmt: skip
        for key, value in keys.items():
            object.__setattr__(self, key, value)
        where = _where(self)
        _check_keys(self, where)
        check_number(f"{where}: partitions", partitions, 1, whole=True)
        if isinstance(actor, ChildSpec):
            if args or kwargs:
                raise SpecError(f"{where}: arguments", "belong into the al.child(…) that was given")
            if actor.name is not None:
                raise SpecError(f"{where}: name", f"the copies are called '0', '1', …, not {actor.name!r}")
        spec = actor if isinstance(actor, ChildSpec) else ChildSpec(actor, args, kwargs)
        if with_partition is not None and (not str(with_partition).isidentifier() or with_partition in spec.kwargs):
            raise SpecError(f"{where}: with_partition", f"must be a keyword that is still free, not {with_partition!r}")
        object.__setattr__(self, "child", spec)
        check_child(spec, f"{where}: child", (), "never")

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of the copies within this supervisor: their numbers, as texts."""
        return tuple(str(n) for n in range(self.partitions))

    @property
    def children(self) -> tuple[Spec, ...]:
        """One specification a copy, in order."""
        key = self.with_partition
        if key is None:
            return (self.child,) * self.partitions
        return tuple(
            dataclasses.replace(self.child, kwargs={**self.child.kwargs, key: n}) for n in range(self.partitions)
        )

    def partition_of(self, key: object) -> int:
        """Return the number of the copy that `key` belongs to: CRC-32 of `str(key)`, the same in every process."""
        return zlib.crc32(str(key).encode()) % self.partitions


Spec = ChildSpec | Supervisor | DynamicSupervisor | PartitionSupervisor
"""What may stand under a supervisor."""


def modules_of(spec: Spec) -> tuple[str, ...]:
    """Return the modules in which the actors of a tree are defined, each once, but for the user's script.

    >>> class Clerk(pykka.ThreadingActor): ...
    >>> Clerk.__module__ = "shop.clerks"
    >>> modules_of(Supervisor(children=[ChildSpec(Clerk), PartitionSupervisor(Clerk, partitions=2)]))
    ('shop.clerks',)
    """
    found: dict[str, None] = {}
    waiting: list[Spec] = [spec]
    while waiting:
        each = waiting.pop()
        if isinstance(each, ChildSpec):
            found[each.actor.__module__] = None
        else:
            waiting.extend(reversed(each.children))
    return tuple(module for module in found if module != "__main__")


def check_child(spec: object, where: str, earlier: Collection[str], auto_shutdown: AutoShutdown) -> None:
    """Raise SpecError unless `spec` fits under a supervisor whose children `earlier` are started before it."""
    if not isinstance(spec, Spec):
        raise SpecError(where, f"must be al.child(…) or a supervisor's specification, not {spec!r}")
    if spec.significant and auto_shutdown == "never":
        raise SpecError(f"{where}: significant", "its supervisor says auto_shutdown='never', so it would mean nothing")
    place = spec.placement
    if isinstance(place, Beside) and isinstance(place.who, str) and place.who not in earlier:
        some = ", ".join(itertools.islice(earlier, 10))
        known = f"earlier are {some}{', …' if len(earlier) > 10 else ''}" if earlier else "none is earlier"
        raise SpecError(f"{where}: placement", f"beside({place.who!r}) must name an earlier child; {known}")


def _where(spec: Supervisor | DynamicSupervisor | PartitionSupervisor) -> str:
    return f"{type(spec).__name__} {spec.name!r}" if spec.name else type(spec).__name__


def _check_keys(spec: Supervisor | DynamicSupervisor | PartitionSupervisor, where: str) -> None:
    check_choice(f"{where}: strategy", spec.strategy, get_args(Strategy))
    check_number(f"{where}: max_restarts", spec.max_restarts, 0, whole=True)
    check_number(f"{where}: max_seconds", spec.max_seconds, 0, above=True)
    check_name(where, spec.name)
    check_life(where, spec.restart, spec.shutdown, spec.significant)
    if spec.placement is not None:
        check_place(where, spec.placement)
    if not isinstance(spec.backoff, Backoff):
        raise SpecError(f"{where}: backoff", f"must be an al.Backoff(…), not {spec.backoff!r}")


def _name_all(children: Sequence[Any]) -> tuple[str, ...]:
    """Return the children's names; those given first, so that a default gives way to a name, never the reverse."""
    taken: dict[str, int] = {}
    for i, spec in enumerate(children):
        name = getattr(spec, "name", None)
        if name is None:
            continue
        if name in taken:
            raise SpecError(f"children[{i}] {name!r}: name", f"is that of children[{taken[name]}] already")
        taken[name] = i
    ids, last = [], dict[str, int]()
    for i, spec in enumerate(children):
        child_id = getattr(spec, "name", None)
        if child_id is None:
            base = getattr(spec, "default_id", "child")
            child_id = next_free_id(base, taken, last)
            taken[child_id] = i
        ids.append(child_id)
    return tuple(ids)


def next_free_id(base: str, taken: Collection[str], last: dict[str, int]) -> str:
    """Return `base`, `base#2`, `base#3`, … whichever is free; `last` remembers the number, so that it stays O(1).

    >>> last = {}
    >>> next_free_id("counter", (), last), next_free_id("counter", ("counter",), last)
    ('counter', 'counter#2')
    """
    while True:
        last[base] = n = last.get(base, 0) + 1
        candidate = base if n == 1 else f"{base}#{n}"
        if candidate not in taken:
            return candidate
