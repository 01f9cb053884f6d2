"""Records: a running node as one look from outside shows it, with what each part of it costs in memory.

Pure data; made by the observer, read by the command line, the metrics exporter and dashboards. Bytes are bytes, times
seconds (`…_at` since 1970, `…_s` a span), rates messages a second. None means that nobody can say: unreadable, or not
yet measured. RSS is nowhere: it counts a shared page once for every process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from ..lean_dataclass import dataclass
from ..memory import PoolUsage
from ..telemetry import TreeRow
from ..transport import SlabUsage

Role = Literal["controller", "worker", "forkserver", "sentry", "spare"]


@dataclass(frozen=True, slots=True)
class Memory:
    """What memory a process, or a whole node, holds. For a node each is the sum over its processes.

    pss_bytes = pss_anonymous_bytes + pss_file_bytes + pss_shared_bytes = uss_bytes + what is left of shared pages when
    each is divided by the number of processes that map it; so the sums over all processes count no page twice.

    A system that tells nobody how a process shares its memory (macOS) tells `uss_bytes` alone; the rest is None then.
    """

    uss_bytes: int
    """Private: what the system gets back when this process ends."""
    pss_bytes: int | None = None
    """Proportional: private, and of each shared page this process's share."""
    anonymous_bytes: int | None = None
    """Heap and stacks, those inherited from the forkserver and never written since among them."""
    shared_bytes: int | None = None
    """Mapped pages that some other process maps too, whole."""
    pss_anonymous_bytes: int | None = None
    pss_file_bytes: int | None = None
    """Code and libraries; programs outside the node that map them too take their share."""
    pss_shared_bytes: int | None = None
    """Shared memory: pools, lanes, tables."""
    swap_bytes: int | None = None

    @property
    def shared_once_bytes(self) -> int | None:
        """This process's share of what it shares; summed over a node: the shared pages, counted once."""
        return None if self.pss_bytes is None else self.pss_bytes - self.uss_bytes


@dataclass(frozen=True, slots=True)
class GcAccount:
    """Pauses by the garbage collector of one process since it started, as its vitals page says.

    Quantiles come from a histogram whose bins are an eighth apart; `max_s` is exact.
    """

    collections: int
    pause_s: float
    """All pauses together."""
    p50_s: float
    p99_s: float
    max_s: float
    thresholds: tuple[int, int, int]
    frozen: int
    """Objects that the collector does not look at (gc.freeze)."""
    full: int
    """Of the collections, those that looked at everything else."""


@dataclass(frozen=True, slots=True)
class ProcessAccount:
    """One process of the node. `worker` is its process slot: 0 the user's, None for those that run no actors."""

    role: Role
    worker: int | None
    pid: int
    state: str
    """What the kernel says (`running`, `sleeping`, `stopped`, …), `gone`, or `hung`: it runs, and its loop does not."""
    silent_s: float | None
    """For how long its loop has given no sign of life; its heart asks for one every quarter of a second."""
    actors: int
    restarts: int
    uptime_s: float
    cpu: float | None
    """Share of one core since the last look."""
    memory: Memory | None
    depth: int
    mailbox_bytes: int
    handled: int
    rate: float | None
    failed: int
    dead_lettered: int
    pool_mapped_bytes: int | None
    """Bytes of pool segments that it has mapped."""
    gc: GcAccount | None = None
    holder: str = ""
    """Who holds its loop, if the watchdog said so."""


@dataclass(frozen=True, slots=True)
class Marginal:
    """The marginal cost of one more actor of a class, measured in the worker that made them.

    `low_bytes` and `high_bytes` enclose the middle eight tenths of the measurements, and what the allocator's steps
    leave open; `trusted` says whether there are enough of them, close enough together, to build on.
    """

    bytes: float
    low_bytes: float
    high_bytes: float
    actors: int
    """How many actors' starts were measured."""
    samples: int
    trusted: bool


@dataclass(frozen=True, slots=True)
class ClassAccount:
    """All actors of one class, `module:qualname`."""

    cls: str
    actors: int
    ended: int
    """Actors of the class that are gone. They count in `handled`, `failed`, `dead_lettered` and `restarts`."""
    depth: int
    mailbox_bytes: int
    """Exact for messages from other processes, an estimate for those from within (as of the last second)."""
    handled: int
    rate: float | None
    failed: int
    dead_lettered: int
    restarts: int
    marginal: Marginal | None = None
    """What one more costs privately, its start included; None unless measured."""
    average_bytes: float | None = None
    """What its workers' private memory has grown by since their first actor, over their actors: what an actor has
    gathered while it worked is in it, and everything else that its worker has. None where others live there too."""


@dataclass(frozen=True, slots=True)
class ActorAccount:
    """One actor. Its private memory is its class's marginal cost: a heap has no borders between actors."""

    address: str
    name: str
    cls: str
    worker: int
    state: str
    incarnation: int
    depth: int
    capacity: int
    mailbox_bytes: int
    handled: int
    rate: float | None
    failed: int
    dead_lettered: int
    supervisor: str
    """Address of who decides about its restart, "" nobody."""


@dataclass(frozen=True, slots=True)
class LaneAccount:
    """The lane from one process slot to another: `used` of `blocks` blocks; `depth` sent and not yet taken."""

    sender: int
    receiver: int
    blocks: int
    used: int
    depth: int
    queued_bytes: int
    """Payload of the messages that lie in it: on their way, or waiting in a mailbox."""
    sent: int
    sent_bytes: int
    rate: float | None
    waits: int


@dataclass(frozen=True, slots=True)
class RestartRow:
    """A restart, or what led to one. `kind` is that of the event: `worker_died`, `actor_restarted`, …"""

    at: float
    kind: str
    text: str
    worker: int | None = None
    actor: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """A message that nobody handled: to whom, why, and what it was (text, cut)."""

    at: float
    worker: int
    actor: str
    address: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Sharing:
    """What sharing saved: had every process that maps a pool's segment a copy of its own.

    saved_bytes = mapped_bytes (summed over processes) − once_bytes (each segment that somebody maps, once).
    """

    mappers: int
    mapped_bytes: int
    once_bytes: int
    saved_bytes: int


@dataclass(frozen=True, slots=True)
class Totals:
    """The node in one line. `memory` is the sum over all its processes; None unless all could be read."""

    processes: int
    workers: int
    actors: int
    memory: Memory | None
    private_bytes: int | None
    """Σ USS."""
    shared_once_bytes: int | None
    """Σ PSS − Σ USS: shared pages, once (and of libraries only the node's share)."""
    files_bytes: int
    """Shared memory that the node's files take, mapped or not: lanes, tables, pools."""
    unmapped_bytes: int | None
    """Of those, what is in no process's PSS, for none has touched it: lanes not yet used, versions nobody has read."""
    bytes: int | None
    """All the node takes: Σ PSS + unmapped_bytes."""
    pool_live_bytes: int
    pool_retired_bytes: int
    pool_held_bytes: int
    depth: int
    mailbox_bytes: int
    handled: int
    rate: float | None
    failed: int
    dead_lettered: int
    restarts: int


@dataclass(frozen=True, slots=True)
class ObserverCost:
    """What this observer costs itself: its process's time and memory are in no other figure."""

    looks: int
    cpu_s: float
    """CPU time spent looking, since it was opened."""
    share: float
    """Of one core, since it was opened; of a single look, as if it were made every second."""
    last_look_s: float
    """CPU time of the look before this one, whatever it read."""
    last_dear_look_s: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A node at one moment. Cheap figures are as old as `at`, those of memory as old as `memory_at`."""

    at: float
    memory_at: float | None
    name: str
    directory: str
    pid: int
    state: str
    """`running`; `hung` when its controller is stopped or its loop silent; `dead` when the controller is gone."""
    uptime_s: float
    totals: Totals
    processes: tuple[ProcessAccount, ...]
    classes: tuple[ClassAccount, ...]
    actors: tuple[ActorAccount, ...]
    """The first of `totals.actors`, fullest mailboxes first; as many as were asked for."""
    tree: tuple[TreeRow, ...]
    pools: tuple[PoolUsage, ...]
    lanes: tuple[LaneAccount, ...]
    sharing: Sharing | None
    """None where the system does not say what a process has mapped."""
    observer: ObserverCost
    restarts: tuple[RestartRow, ...] = ()
    """The last ones, newest first."""
    dead_letters: tuple[DeadLetterRow, ...] = ()
    """The last ones, newest first."""
    dead_letter_counts: Mapping[str, int] = field(default_factory=dict)
    """All there were, by reason."""
    slabs: tuple[SlabUsage, ...] = ()
    """What each process keeps for its large messages under way, and who holds them; as old as the pools' figures."""
