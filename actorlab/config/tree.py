"""Tree: from checked tables to specifications, and from specifications to the lines that show them.

Pure but for the imports that resolve does; used by load and by `actorlab check`. Specifications refuse what makes no
sense when they are constructed, one thing at a time; here each refusal is noted under its key, the value is left out
and construction tried again, so that one pass finds them all.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import pykka

from ..actor import Beside, ByHash, Mailbox, Snapshots, check_place
from ..errors import SpecError
from ..lean_dataclass import dataclass
from ..supervision import Backoff, ChildSpec, DynamicSupervisor, PartitionSupervisor, Spec, Supervisor, snake_case
from .read import Given, Problems
from .resolve import resolve_actor
from .schema import ACTOR, COPY, DYNAMIC, PARTITION
from .suggest import did_you_mean

T = TypeVar("T")


def construct(make: Callable[..., T], given: Given, values: dict[str, Any], problems: Problems) -> T | None:
    """Return `make(**values)`; or None, with every refusal noted under the key of `given` that caused it."""
    refused = False
    while True:
        try:
            made = make(**values)
        except SpecError as error:
            refused = True
            where, why = error.args
            parameter = where.rpartition(": ")[2].rpartition(".")[2]
            key = next((key.name for key in given.table.keys if key.parameter == parameter), "")
            problems.add(given.at(key) if key else given.path, why)
            if parameter not in values:
                return None
            values = {name: value for name, value in values.items() if name != parameter}
        else:
            return None if refused else made


class TreeBuilder:
    """Builds the specification of one file's tree. `workers` is how many there will be, for placements by number."""

    def __init__(self, problems: Problems, workers: int | None, allowed_modules: Iterable[str] | None) -> None:
        self._problems = problems
        self._workers = workers
        self._allowed = None if allowed_modules is None else tuple(allowed_modules)

    def supervisor(self, given: Given) -> Supervisor | None:
        """Return the specification of a `[supervisor]` or of a nested one; None if it has a problem anywhere below."""
        values = self._plain(given)
        tables = self._in_order(values.pop("children", []))
        specs = [self._child(child) for child in tables]
        fit = [self._fits(child, tables[:i], given) for i, child in enumerate(tables)]
        if not all(fit) or any(spec is None for spec in specs):
            construct(Supervisor, given, values, self._problems)  # for what else is wrong with it
            return None
        return construct(Supervisor, given, {**values, "children": specs}, self._problems)

    def _in_order(self, tables: list[Given]) -> list[Given]:
        """Return the children as they are to be started: in the file's order, each behind those it is `after`."""
        ids: dict[str, Given] = {}
        for child in tables:
            called = child.values.get("name") or _class_name(child)
            ids[child.path if called in ids else called] = child
        waits: dict[str, list[str]] = {}
        for name, child in ids.items():
            waits[name] = child.values.get("after", [])
            for other in waits[name]:
                if other not in ids:
                    known = f"its siblings are {', '.join(ids)}"
                    self._problems.add(child.at("after"), f"{other!r} is none; {known}{did_you_mean(other, ids)}")
        started: dict[str, Given] = {}
        while len(started) < len(ids):
            ready = [n for n in ids if n not in started and all(o in started or o not in ids for o in waits[n])]
            if not ready:
                cycle = _cycle({name: others for name, others in waits.items() if name not in started})
                self._problems.add(ids[cycle[0]].at("after"), f"closes a cycle: {' after '.join(cycle)}")
                return tables
            started[ready[0]] = ids[ready[0]]
        return list(started.values())

    def _fits(self, child: Given, earlier: list[Given], supervisor: Given) -> bool:
        """Whether a child goes together with its supervisor and those before it; also asked of one that has no spec."""
        before = len(self._problems.found)
        names = {other.values["name"]: other.path for other in earlier if "name" in other.values}
        name, place = child.values.get("name"), child.values.get("placement")
        if name in names:
            self._problems.add(child.at("name"), f"is {name!r}, the name of {names[name]} already")
        # a child without a name gets its class's, and then only Supervisor can tell
        if isinstance(place, Beside) and place.who not in names and all("name" in other.values for other in earlier):
            known = f"those are {', '.join(names)}" if names else "there is none"
            self._problems.add(
                child.at("placement"),
                f"beside {place.who!r} must name an earlier child; {known}{did_you_mean(place.who, names)}",
            )
        if child.values.get("significant") and supervisor.values.get("auto_shutdown", "never") == "never":
            self._problems.add(
                child.at("significant"), "means nothing while auto_shutdown of its supervisor is 'never'"
            )
        return len(self._problems.found) == before

    def _child(self, given: Given) -> Spec | None:
        if given.table is ACTOR:
            return self._actor(given)
        if given.table is DYNAMIC:
            return construct(DynamicSupervisor, given, self._plain(given), self._problems)
        if given.table is PARTITION:
            return self._partitions(given)
        return self.supervisor(given)

    def _actor(self, given: Given) -> ChildSpec | None:
        values = self._plain(given)
        actor = self._start(given, values)
        if actor is None:
            values.pop("snapshots", None)  # nobody knows whether it goes with them
        # a class that could not be imported must not hide what else is wrong
        spec = construct(ChildSpec, given, {**values, "actor": actor or pykka.Actor}, self._problems)
        return None if actor is None else spec

    def _partitions(self, given: Given) -> PartitionSupervisor | None:
        values = self._plain(given)
        number = values.get("with_partition")
        actor = self._start(given, values, () if number is None else (number,))
        copies: Given = values.pop("copies", Given(COPY, given.at("copies")))
        plain = self._plain(copies)
        if actor is None:
            plain.pop("snapshots", None)
        arguments: dict[str, Any] = {name: values.pop(name) for name in ("args", "kwargs") if name in values}
        each = {**plain, **arguments, "actor": actor or pykka.Actor}
        values["actor"] = construct(ChildSpec, copies, each, self._problems)
        if values["actor"] is None or "partitions" not in values:
            return None
        spec = construct(PartitionSupervisor, given, values, self._problems)
        return None if actor is None else spec

    def _plain(self, given: Given) -> dict[str, Any]:
        """Return the values as parameters: nested tables as what they stand for; placements looked at."""
        values = dict(given.values)
        values.pop("type", None)
        values.pop("after", None)
        for name, make in (("mailbox", Mailbox), ("backoff", Backoff), ("snapshots", _snapshots)):
            if name in values:
                nested: Given = values.pop(name)
                if (made := construct(make, nested, nested.values, self._problems)) is not None:
                    values[name] = made
        placement = values.get("placement")
        if isinstance(placement, int) and self._workers is not None and placement > self._workers:
            have = f"there are {self._workers} workers" if self._workers else "there are no workers (embedded)"
            self._problems.add(given.at("placement"), f"is worker {placement}, but {have}")
        return values

    def _start(self, given: Given, values: dict[str, Any], more: tuple[str, ...] = ()) -> type[pykka.Actor] | None:
        """Import the class of `start`, see whether its __init__ takes the arguments; make these as ChildSpec wants."""
        target = values.pop("start", None)
        args = values["args"] = tuple(values.get("args", ()))
        kwargs = values.setdefault("kwargs", {})
        if target is None:
            return None
        try:
            actor = resolve_actor(target, self._allowed)
        except SpecError as error:
            self._problems.add(given.at("start"), str(error))
            return None
        try:
            inspect.signature(actor.__init__).bind(None, *args, **kwargs, **dict.fromkeys(more))
        except TypeError as error:
            self._problems.add(given.at("args"), f"do not fit {target}: {error}")
        except ValueError:  # a class of C code has no signature: starting it will tell
            pass
        return actor


def _snapshots(**values: Any) -> Snapshots:
    """Return a rule for snapshots whose store can be kept where it says."""
    rule = Snapshots(**values)
    if rule.store is not None and rule.by_name:
        check_place(rule.store)
    return rule


def _class_name(child: Given) -> str:
    """Return what a child without a name is called: its class, in snake_case; its path if it has none."""
    target = child.values.get("start")
    return snake_case(str(target).rpartition(":")[2].rpartition(".")[2]) if target else child.path


def _cycle(waits: dict[str, list[str]]) -> list[str]:
    """Return names that wait for each other in a ring, the first again at the end; there is one among these."""
    path = [next(iter(waits))]
    while True:
        following = next(other for other in waits[path[-1]] if other in waits)
        if following in path:
            return [*path[path.index(following) :], following]
        path.append(following)


@dataclass(frozen=True, slots=True)
class OutlineRow:
    """A line of a tree that does not run yet."""

    depth: int
    name: str
    kind: str
    restart: str
    shutdown: str
    placement: str
    mailbox: str
    snapshots: str = ""


def outline(spec: Spec, name: str | None = None, depth: int = 0) -> Iterator[OutlineRow]:
    """Yield a line for `spec` and, below it, for its children in the order of their start; partitions share one."""
    called = spec.name or name or spec.default_id
    shutdown = spec.shutdown if isinstance(spec.shutdown, str) else f"{spec.shutdown:g} s"
    placement = _show_placement(spec.placement)
    if isinstance(spec, ChildSpec):
        bounds = f"{spec.mailbox.capacity:,} {spec.mailbox.overflow}" if spec.mailbox else "the node's"
        kept = _show_snapshots(spec.rule)
        yield OutlineRow(depth, called, spec.actor.__qualname__, spec.restart, shutdown, placement, bounds, kept)
        return
    kind = {Supervisor: "supervisor", DynamicSupervisor: "dynamic", PartitionSupervisor: "partition"}[type(spec)]
    strategy = f"{spec.strategy}, {spec.max_restarts} in {spec.max_seconds:g} s"
    yield OutlineRow(depth, called, kind, strategy, shutdown, placement, "")
    if isinstance(spec, PartitionSupervisor):
        yield from outline(spec.child, f"0 … {spec.partitions - 1}" if spec.partitions > 1 else "0", depth + 1)
        return
    for child_id, child in zip(spec.ids, spec.children, strict=True):
        yield from outline(child, child_id, depth + 1)


def _show_snapshots(rule: Snapshots | None) -> str:
    if rule is None:
        return ""
    when = [f"every {rule.every:,}"] if rule.every is not None else []
    when += [f"every {rule.interval_s:g} s"] if rule.interval_s is not None else []
    return f"{', '.join(when) or 'at stop'} in {rule.store if rule.by_name else 'the node'}"


def _show_placement(placement: object) -> str:
    match placement:
        case None:
            return "controller"
        case int():
            return f"worker {placement}"
        case Beside(who):
            return f"beside {who}"
        case ByHash(key):
            return f"by hash of {key}"
        case _:
            return str(placement)
