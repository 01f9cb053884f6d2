"""Sheet: what `actorlab top` says, as text: the heading, the columns, and all that is known of one line.

Pure; used by the screen and by the plain output. Text that comes from the node is cleaned of control characters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..console import clean, show_bytes, show_time
from ..lean_dataclass import dataclass
from ..observe import ActorAccount, ProcessAccount, Snapshot
from .rows import Row, actor_memory, place_of

Fact = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Field:
    """A column: from which width of the terminal on it is shown, its own width, and how a row reads in it."""

    key: str
    title: str
    width: int
    cell: Callable[[Row], str]
    right: bool = True
    from_columns: int = 0


FIELDS = (
    Field("state", "state", 10, lambda row: f"  {row.state}", right=False),
    Field("memory", "memory", 10, lambda row: show_memory(row)),
    Field("mailbox", "mailbox", 9, lambda row: f"{row.mailbox:,}"),
    Field("rate", "msg/s", 9, lambda row: show_rate(row.rate)),
    Field("restarts", "restarts", 10, lambda row: f"{row.restarts:,}"),
    Field("kind", "kind", 20, lambda row: f"  {clean(row.kind)[:17]}", right=False, from_columns=100),
    Field("place", "place", 12, lambda row: f"  {row.place}", right=False, from_columns=112),
    Field("handled", "handled", 13, lambda row: f"{row.handled:,}", from_columns=136),
    Field("failed", "failed", 9, lambda row: f"{row.failed:,}", from_columns=136),
)
NARROWEST_NAME = 12


def fields(columns: int) -> tuple[tuple[Field, ...], int]:
    """Return the columns that fit beside the name into a terminal `columns` wide, and how wide the name is then."""
    shown = [field for field in FIELDS if columns >= field.from_columns]
    while shown and columns - sum(field.width for field in shown) < NARROWEST_NAME:
        shown.pop()
    return tuple(shown), max(1, columns - sum(field.width for field in shown))


def show_memory(row: Row) -> str:
    """Return a row's memory; an estimate has a tilde before it."""
    if row.memory_bytes is None:
        return "" if row.measured or not row.address else "?"
    return f"{'' if row.measured else '~'}{show_bytes(round(row.memory_bytes))}"


def show_rate(rate: float | None) -> str:
    """Return messages a second; a dash where nobody can say.

    >>> show_rate(None), show_rate(0.0), show_rate(2.54), show_rate(12345.6)
    ('-', '0', '2.5', '12,346')
    """
    if rate is None:
        return "-"
    return f"{rate:.1f}" if 0 < rate < 10 else f"{rate:,.0f}"


def show_name(row: Row, width: int) -> str:
    """Return a row's name behind its twig, indented, cut to `width` characters."""
    twig = ("▾ " if row.open else "▸ ") if row.below else "  "
    text = f"{'  ' * row.depth}{twig}{clean(row.name)}".replace("\n", " ")
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def heading(look: Snapshot) -> tuple[str, str, str]:
    """Return the node in three lines: what it is, its memory, its work."""
    totals, memory = look.totals, look.totals.memory
    first = (
        f"{clean(look.name)}  {look.state}  pid {look.pid}  up {show_time(look.uptime_s)}  "
        f"{totals.workers} workers  {totals.actors:,} actors"
    )
    if memory is None:
        second = "memory  not measured yet"
    elif memory.pss_bytes is None:
        files = show_bytes(totals.files_bytes)
        second = f"memory  private {show_bytes(memory.uss_bytes)} (USS) + the node's files {files}; no PSS here"
    else:
        shared = (memory.pss_shared_bytes or 0) + (totals.unmapped_bytes or 0)
        second = (
            f"memory  {show_bytes(memory.pss_bytes + (totals.unmapped_bytes or 0))}"
            f" = private {show_bytes(memory.pss_anonymous_bytes or 0)} + code {show_bytes(memory.pss_file_bytes or 0)}"
            f" + shared {show_bytes(shared)}"
        )
    restarts = totals.restarts + sum(one.restarts for one in look.classes)
    third = (
        f"work    {show_rate(totals.rate)} msg/s  {totals.depth:,} waiting  {totals.failed:,} failed  "
        f"{restarts:,} restarts  {totals.dead_lettered:,} dead letters"
    )
    return first, second, third


def facts(look: Snapshot, row: Row) -> list[Fact]:
    """Return all that is known of a line: names and values, in order."""
    for process in look.processes:
        if row.key in (f"pid {process.pid}", f"process {process.worker}"):
            return _process_facts(process)
    for actor in look.actors:
        if actor.address == row.address:
            return _actor_facts(look, actor, row)
    return [
        ("kind", row.kind),
        ("state", row.state),
        ("below", f"{row.below:,}"),
        ("mailbox", f"{row.mailbox:,} waiting, all together"),
        ("rate", f"{show_rate(row.rate)} msg/s"),
        ("handled", f"{row.handled:,}, {row.failed:,} failed"),
        ("restarts", f"{row.restarts:,}"),
    ]


def _actor_facts(look: Snapshot, actor: ActorAccount, row: Row) -> list[Fact]:
    memory = actor_memory(look, actor)
    names = {one.address: one.name for one in look.tree}
    decides = names.get(actor.supervisor, actor.supervisor) or "nobody"
    kept = f" of {actor.capacity:,}" if actor.capacity else ""
    found = [
        ("address", actor.address),
        ("class", actor.cls),
        ("place", place_of(actor.worker)),
        ("state", actor.state),
        ("restarts", f"{actor.incarnation:,}, decided by {clean(decides)}"),
        ("mailbox", f"{actor.depth:,}{kept} waiting, {show_bytes(actor.mailbox_bytes)}"),
        ("rate", f"{show_rate(actor.rate)} msg/s"),
        ("handled", f"{actor.handled:,}, {actor.failed:,} failed, {actor.dead_lettered:,} dead letters"),
        ("memory", "not measured for its class" if memory is None else f"about {show_bytes(round(memory))}"),
    ]
    if row.below:
        found.append(("below", f"{row.below:,} children; {row.mailbox:,} waiting, {row.restarts:,} restarts in all"))
    return found


def _process_facts(process: ProcessAccount) -> list[Fact]:
    memory, collector = process.memory, process.gc
    found = [("pid", f"{process.pid}, {process.role}"), ("state", process.state), ("up", show_time(process.uptime_s))]
    if process.silent_s:
        found.append(("silent", f"its loop gave no sign of life for {show_time(process.silent_s)}"))
    if process.holder:
        found.append(("holder", clean(process.holder)))
    found.append(("cpu", "-" if process.cpu is None else f"{process.cpu:.0%} of a core"))
    if memory is not None:
        found.append(("private", f"{show_bytes(memory.uss_bytes)}: what its end would give back (USS)"))
        if memory.pss_bytes is not None:
            heap, share = memory.anonymous_bytes or 0, memory.pss_anonymous_bytes or 0
            found += [
                ("PSS", f"{show_bytes(memory.pss_bytes)}: private, and its share of what it shares"),
                ("heap", f"{show_bytes(heap)}, {show_bytes(share)} by its share"),
                ("pools", f"{show_bytes(process.pool_mapped_bytes or 0)} mapped"),
            ]
    found += [
        ("actors", f"{process.actors:,}"),
        ("mailbox", f"{process.depth:,} waiting, {show_bytes(process.mailbox_bytes)}"),
        ("rate", f"{show_rate(process.rate)} msg/s"),
        ("handled", f"{process.handled:,}, {process.failed:,} failed, {process.dead_lettered:,} dead letters"),
        ("restarts", f"{process.restarts:,}"),
    ]
    if collector is not None and collector.collections:
        pauses = f"{collector.collections:,} pauses, p99 {show_time(collector.p99_s)}, longest"
        found.append(("gc", f"{pauses} {show_time(collector.max_s)}"))
    return found


def incidents(look: Snapshot, row: Row) -> list[str]:
    """Return the last restarts and dead letters of a line, newest first, a line each."""
    worker = int(row.key.removeprefix("process ")) if row.key.startswith("process ") else None

    def concerns(address: str, at_worker: int | None) -> bool:
        return (bool(row.address) and address == row.address) or (worker is not None and at_worker == worker)

    told = [
        (one.at, f"{_words(one.kind)}: {one.text}") for one in look.restarts if concerns(one.address, one.worker)
    ] + [
        (one.at, f"dead letter, {_words(one.reason)}: {one.message}")
        for one in look.dead_letters
        if concerns(one.address, one.worker)
    ]
    return [clean(text) for _, text in sorted(told, reverse=True)]


def _words(name: str) -> str:
    return name.replace("_", " ")


def cells(row: Row, shown: Sequence[Field]) -> list[str]:
    """Return a row's texts for the columns beside the name, aligned."""
    return [_fit(field, field.cell(row)) for field in shown]


def titles(shown: Sequence[Field]) -> list[str]:
    """Return the titles of the columns beside the name, aligned as their cells are."""
    return [_fit(field, field.title if field.right else f"  {field.title}") for field in shown]


def _fit(field: Field, text: str) -> str:
    return text[: field.width].rjust(field.width) if field.right else text[: field.width].ljust(field.width)


