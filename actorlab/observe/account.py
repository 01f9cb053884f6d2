"""The account: what was read of a node, put together into a snapshot.

Pure (what was read, the time and the look before are arguments); used by the observer. Sums come from the columns of
the node tables, rates from the difference to the look before.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field

from ..ids import generation_of, home_of, process_of, show
from ..lean_dataclass import dataclass
from ..memory import PoolUsage
from ..node import Identity
from ..telemetry import TreeRow
from ..transport import CURRENT, EPOCH, JournalEntry, JournalView, SlabUsage, State, TallyRow, VitalsView
from .board import BoardImage
from .lanes import LaneImage
from .marginal import growths_of, marginal_of
from .processes import GONE, Member, Pulse, sum_of
from .records import (
    ActorAccount,
    ClassAccount,
    DeadLetterRow,
    GcAccount,
    LaneAccount,
    Marginal,
    Memory,
    ObserverCost,
    ProcessAccount,
    RestartRow,
    Sharing,
    Snapshot,
    Totals,
)
from .tables import ClassSums, TableImage

HUNG_AFTER_S = 3.0
"""A loop that gave no sign of life for so long is shown as hung; a heart beats four times a second."""
ALONE = 0.9
"""Share of a worker's actors that makes its memory that of one class."""
OTHERS = "others"
"""What is said of classes that have no row of their own in the tally."""

Mapped = Mapping[tuple[str, str], int]


@dataclass(slots=True)
class Reading:
    """What was read, each part at its own pace."""

    board: BoardImage | None = None
    members: Sequence[Member] = ()
    pulses: Mapping[int, Pulse] = field(default_factory=dict)
    tables: Sequence[TableImage] = ()
    class_names: Mapping[int, Mapping[int, str]] = field(default_factory=dict)
    lanes: Sequence[LaneImage] = ()
    vitals: Mapping[int, VitalsView] = field(default_factory=dict)
    """By process slot; those only that the process in the slot now has written."""
    tallies: Mapping[int, Mapping[int, TallyRow]] = field(default_factory=dict)
    """By home and class number."""
    journal: JournalView | None = None
    files_bytes: int = 0
    names: Mapping[int, str] = field(default_factory=dict)
    tree: tuple[TreeRow, ...] = ()
    memory: Mapping[int, Memory | None] = field(default_factory=dict)
    mapped: Mapping[int, Mapped] | None = field(default_factory=dict)
    """None where nobody says what a process has mapped."""
    memory_at: float | None = None
    pools: tuple[PoolUsage, ...] = ()
    slabs: tuple[SlabUsage, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """When and at what: `at` since 1970, `now_s` monotonic."""

    at: float
    now_s: float
    alive: bool
    who: Identity
    directory: str
    shown: int


@dataclass(frozen=True, slots=True)
class Previous:
    """What the look before is needed for: rates, and loops that stand still."""

    now_s: float
    tables: Mapping[int, TableImage]
    handled_by_class: Mapping[str, int]
    handled_by_process: Mapping[int, int]
    sent_by_lane: Mapping[tuple[int, int], int]
    cpu_s: Mapping[int, float]


NOTHING = Previous(0.0, {}, {}, {}, {}, {})
"""Before the first look."""


def take_stock(look: Look, reading: Reading, previous: Previous, cost: ObserverCost) -> tuple[Snapshot, Previous]:
    """Return the snapshot, and what the next one needs of it."""
    waiting: Counter[int] = Counter()
    for lane in reading.lanes:
        waiting.update(lane.waiting)
    by_class, by_process = _sums(reading, waiting)
    costs = _costs(reading)
    processes = tuple(_process(look, reading, previous, member, by_process) for member in reading.members)
    classes = tuple(
        ClassAccount(
            cls, sums.actors, sums.ended, sums.depth, sums.mailbox_bytes, sums.handled,
            _rate(look, previous, sums.handled, previous.handled_by_class.get(cls)),
            sums.failed, sums.dead_lettered, sums.restarts, *costs.get(cls, (None, None)),
        )
        for cls, sums in sorted(by_class.items(), key=lambda item: (-item[1].actors, item[0]))
    )  # fmt: skip
    lanes = tuple(
        LaneAccount(
            lane.sender, lane.receiver, lane.blocks, lane.used, lane.sent - lane.drained, lane.waiting.total(),
            lane.sent, lane.sent_bytes,
            _rate(look, previous, lane.sent, previous.sent_by_lane.get((lane.sender, lane.receiver))),
            lane.waits,
        )
        for lane in reading.lanes
    )  # fmt: skip
    controller = next((process for process in processes if process.role == "controller"), None)
    hung = controller is not None and controller.state in ("stopped", "hung")
    journal = reading.journal
    snapshot = Snapshot(
        at=look.at,
        memory_at=reading.memory_at,
        name=look.who.name,
        directory=look.directory,
        pid=look.who.pid,
        state="dead" if not look.alive else "hung" if hung else "running",
        uptime_s=max(0.0, look.at - look.who.created),
        totals=_totals(reading, processes, classes),
        processes=processes,
        classes=classes,
        actors=_actors(look, reading, previous, waiting),
        tree=reading.tree,
        pools=reading.pools,
        lanes=lanes,
        sharing=None if reading.mapped is None else sharing_of(reading.mapped.values()),
        observer=cost,
        restarts=tuple(map(_restart, journal.events)) if journal is not None else (),
        dead_letters=tuple(map(_dead_letter, journal.letters)) if journal is not None else (),
        dead_letter_counts=journal.reasons if journal is not None else {},
        slabs=reading.slabs,
    )
    return snapshot, Previous(
        look.now_s,
        {table.home: table for table in reading.tables},
        {cls: sums.handled for cls, sums in by_class.items()},
        {slot: sums.handled for slot, sums in by_process.items()},
        {(lane.sender, lane.receiver): lane.sent for lane in reading.lanes},
        {pid: pulse.cpu_s for pid, pulse in reading.pulses.items()},
    )


def _restart(entry: JournalEntry) -> RestartRow:
    address = show(entry.address) if entry.address else ""
    return RestartRow(entry.at, entry.kind, entry.text, entry.worker, entry.who, address)


def _dead_letter(entry: JournalEntry) -> DeadLetterRow:
    return DeadLetterRow(entry.at, entry.worker or 0, entry.who, show(entry.address), entry.kind, entry.text)


def sharing_of(mapped: Iterable[Mapped]) -> Sharing:
    """Return what sharing saved, from what each process maps of the pools.

    >>> sharing_of([{("0", "1"): 100}, {("0", "1"): 100, ("0", "2"): 5}, {}])
    Sharing(mappers=2, mapped_bytes=205, once_bytes=105, saved_bytes=100)
    """
    all_of = [one for one in mapped if one]
    once: dict[tuple[str, str], int] = {}
    for one in all_of:
        for key, size in one.items():
            once[key] = max(size, once.get(key, 0))
    total = sum(sum(one.values()) for one in all_of)
    return Sharing(len(all_of), total, sum(once.values()), total - sum(once.values()))


def _costs(reading: Reading) -> dict[str, tuple[Marginal | None, float | None]]:
    """Return what one more actor of each class costs, and what those there are take on average."""
    growths: dict[str, list[tuple[int, int]]] = {}
    taken: dict[str, list[tuple[int, int]]] = {}
    mixed: set[str] = set()
    pids = {member.slot: member.pid for member in reading.members}
    tables = {table.home: table for table in reading.tables}
    for slot, page in reading.vitals.items():
        names = reading.class_names.get(slot, {})
        for cls, found in growths_of(page.samples, names).items():
            growths.setdefault(cls, []).extend(found)
        memory = reading.memory.get(pids.get(slot, 0))
        empty = page.empty_bytes
        if slot not in tables or memory is None or not empty:
            continue
        heap = memory.uss_bytes if memory.anonymous_bytes is None else memory.anonymous_bytes  # as its census has it
        counts: dict[int, ClassSums] = {}
        tables[slot].sums(counts)
        for number, sums in counts.items():
            cls = names.get(number, "?")
            if sums.actors >= ALONE * len(tables[slot].live):
                taken.setdefault(cls, []).append((len(tables[slot].live), heap - empty))
            else:
                mixed.add(cls)
    averages = {
        cls: round(sum(size for _, size in rows) / sum(actors for actors, _ in rows), 1)
        for cls, rows in taken.items()
        if cls not in mixed
    }
    return {cls: (marginal_of(growths.get(cls, ())), averages.get(cls)) for cls in {*growths, *averages}}


def gc_account(vitals: VitalsView) -> GcAccount:
    """Return what a vitals page says about the garbage collector."""
    return GcAccount(
        vitals.gc_count, vitals.gc_pause_ns / 1e9, vitals.pause_quantile_s(0.5), vitals.pause_quantile_s(0.99),
        vitals.gc_max_ns / 1e9, vitals.thresholds, vitals.frozen, vitals.gc_full,
    )  # fmt: skip


@dataclass(slots=True)
class _Sums(ClassSums):
    mailbox_bytes: int = 0

    local_messages: int = 0
    ended: int = 0

    def add_gone(self, gone: TallyRow) -> None:
        self.ended += gone.ended
        self.handled += gone.handled
        self.failed += gone.failed
        self.dead_lettered += gone.dead_lettered
        self.restarts += gone.restarts
        self.local_messages += gone.local_messages
        self.mailbox_bytes += gone.local_bytes

    def add(self, other: ClassSums) -> None:
        self.actors += other.actors
        self.depth += other.depth
        self.handled += other.handled
        self.failed += other.failed
        self.dead_lettered += other.dead_lettered
        self.restarts += other.restarts


def _sums(reading: Reading, waiting: Counter[int]) -> tuple[dict[str, _Sums], dict[int, _Sums]]:
    by_class: dict[str, _Sums] = {}
    by_process: dict[int, _Sums] = {}
    classes_at: dict[int, TableImage] = {}
    for table in reading.tables:
        classes_at[table.home] = table
        numbers: dict[int, ClassSums] = {}
        table.sums(numbers)
        names = reading.class_names.get(table.home, {})
        process = by_process.setdefault(process_of(table.home), _Sums())
        for number, sums in numbers.items():
            by_class.setdefault(names.get(number, "?"), _Sums()).add(sums)
            process.add(sums)
        for number, gone in reading.tallies.get(table.home, {}).items():
            for into in (by_class.setdefault(names.get(number, OTHERS), _Sums()), process):
                into.add_gone(gone)
    for address, size in waiting.items():
        home = home_of(address)
        if home in classes_at and (view := classes_at[home].tenant(address)) is not None:
            cls = reading.class_names.get(home, {}).get(view.class_id, "?")
            by_class.setdefault(cls, _Sums()).mailbox_bytes += size
            by_process.setdefault(process_of(home), _Sums()).mailbox_bytes += size
    return by_class, by_process


def _process(
    look: Look,
    reading: Reading,
    previous: Previous,
    member: Member,
    by_process: Mapping[int, _Sums],
) -> ProcessAccount:
    assert reading.board is not None
    pulse = reading.pulses.get(member.pid, GONE)
    sums = by_process.get(member.slot, _Sums()) if member.slot is not None else _Sums()
    vitals = reading.vitals.get(member.slot) if member.slot is not None else None
    silent_s = max(0.0, look.now_s - vitals.turned_ns / 1e9) if vitals is not None and vitals.turned_ns else None
    state = pulse.state
    if state in ("running", "sleeping") and silent_s is not None and silent_s > HUNG_AFTER_S:
        state = "hung"
    cpu = None
    if member.pid in previous.cpu_s:
        cpu = max(0.0, (pulse.cpu_s - previous.cpu_s[member.pid]) / (look.now_s - previous.now_s))
    before = previous.handled_by_process.get(member.slot) if member.slot is not None else None
    return ProcessAccount(
        role=member.role,
        worker=member.slot,
        pid=member.pid,
        state=state,
        silent_s=silent_s,
        actors=sums.actors,
        restarts=max(0, reading.board.u32(member.slot, EPOCH) - 1) if member.slot is not None else 0,
        uptime_s=max(0.0, look.at - pulse.created) if pulse is not GONE else 0.0,
        cpu=cpu,
        memory=reading.memory.get(member.pid),
        depth=sums.depth,
        mailbox_bytes=sums.mailbox_bytes,
        handled=sums.handled,
        rate=_rate(look, previous, sums.handled, before) if member.slot is not None else None,
        failed=sums.failed,
        dead_lettered=sums.dead_lettered,
        gc=gc_account(vitals) if vitals is not None else None,
        holder=_called(reading, reading.board.u64(member.slot, CURRENT)) if member.slot else "",
        pool_mapped_bytes=None if reading.mapped is None else sum(reading.mapped.get(member.pid, {}).values()),
    )


def _called(reading: Reading, address: int) -> str:
    """Return how the actor at an address is called, "" for nobody."""
    return f"{reading.names.get(address, '')} <{show(address)}>".strip() if address else ""


def _actors(look: Look, reading: Reading, previous: Previous, waiting: Counter[int]) -> tuple[ActorAccount, ...]:
    """Return the fullest actors, then those with the lowest addresses; rows are made for those only that are shown."""
    fullest = heapq.nsmallest(
        look.shown, ((-depth, table.home, index) for table in reading.tables for depth, index in table.waiting())
    )
    places = {(home, index): None for _, home, index in fullest}
    idle = ((table.home, index) for table in reading.tables for index in table.live)
    for place in idle:
        if len(places) >= look.shown:
            break
        places.setdefault(place)
    tables = {table.home: table for table in reading.tables}
    rows = []
    for home, index in places:
        table = tables[home]
        view, address = table.view(index), table.address(index)
        then = previous.tables.get(table.home)
        before = then.handled(index, generation_of(address)) if then is not None else None
        rows.append(
            ActorAccount(
                address=show(address),
                name=reading.names.get(address, ""),
                cls=reading.class_names.get(table.home, {}).get(view.class_id, "?"),
                worker=process_of(table.home),
                state=State(view.state).name.lower(),
                incarnation=view.incarnation,
                depth=view.depth,
                capacity=view.capacity,
                mailbox_bytes=waiting.get(address, 0),
                handled=view.handled,
                rate=_rate(look, previous, view.handled, before),
                failed=view.failed,
                dead_lettered=view.dead_lettered,
                supervisor=show(view.supervisor) if view.supervisor else "",
            )
        )
    return tuple(rows)


def _totals(reading: Reading, processes: Sequence[ProcessAccount], classes: Sequence[ClassAccount]) -> Totals:
    read = [process.memory for process in processes if process.memory is not None]
    memory = sum_of(read) if read and len(read) == len(processes) else None
    pss = shared = unmapped = None
    if memory is not None and memory.pss_shared_bytes is not None:
        pss, shared = memory.pss_bytes, memory.shared_once_bytes
        unmapped = max(0, reading.files_bytes - memory.pss_shared_bytes)
    rates = [process.rate for process in processes if process.rate is not None]
    return Totals(
        processes=len(processes),
        workers=sum(process.role == "worker" for process in processes),
        actors=sum(row.actors for row in classes),
        memory=memory,
        private_bytes=None if memory is None else memory.uss_bytes,
        shared_once_bytes=shared,
        files_bytes=reading.files_bytes,
        unmapped_bytes=unmapped,
        bytes=None if pss is None or unmapped is None else pss + unmapped,
        pool_live_bytes=sum(pool.live_bytes for pool in reading.pools),
        pool_retired_bytes=sum(pool.retired_bytes for pool in reading.pools),
        pool_held_bytes=sum(pool.held_bytes for pool in reading.pools),
        depth=sum(row.depth for row in classes),
        mailbox_bytes=sum(row.mailbox_bytes for row in classes),
        handled=sum(row.handled for row in classes),
        rate=sum(rates) if rates else None,
        failed=sum(row.failed for row in classes),
        dead_lettered=sum(row.dead_lettered for row in classes),
        restarts=sum(process.restarts for process in processes),
    )


def _rate(look: Look, previous: Previous, now: int, before: int | None) -> float | None:
    """Return the rate since the look before; None without one. A count that shrank (an actor ended) is no rate."""
    if before is None:
        return None
    return max(0, now - before) / (look.now_s - previous.now_s)
