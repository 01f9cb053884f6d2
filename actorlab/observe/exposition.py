"""Exposition: a node's account as Prometheus metrics.

Edge (it looks at a node when it is asked); used by the command line. Made with prometheus_client (extra `metrics`), of
which no multiprocess mode is needed: what is counted stands in shared memory. Base units, `_total` for what only grows,
labels by class and process, never by actor. A count that seems to shrink (an actor's figures move from its slot to its
class's tally) is shown as it was.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..errors import MissingExtra, StartError
from .observer import Observer
from .records import ProcessAccount, Snapshot

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

PREFIX = "actorlab_"
Rows = Iterable[tuple[Sequence[str], float | None]]


class Accountant:
    """A collector of prometheus_client's: every scrape is a look."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._looks = threading.Lock()  # a server answers each scrape in a thread
        self._seen: dict[tuple[str, ...], float] = {}

    def describe(self) -> Iterator[Metric]:
        """Nothing beforehand: what there is, the node decides."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Look, and yield the metrics. Once the node is over, `actorlab_up` is 0 and all there is."""
        try:
            with self._looks:
                seen = self._observer.look()
        except StartError:
            yield self._gauge("up", "Whether the node runs.", (), [((), 0)])
            return
        yield from self._node(seen)
        yield from self._classes(seen)
        yield from self._processes(seen)
        yield from self._lanes(seen)

    def _node(self, seen: Snapshot) -> Iterator[Metric]:
        totals, pools = seen.totals, seen.pools
        gauge, counter = self._gauge, self._counter
        yield gauge("up", "Whether the node runs.", (), [((), float(seen.state != "dead"))])
        yield gauge("uptime_seconds", "For how long it has run.", (), [((), seen.uptime_s)])
        parts = {
            "private": totals.private_bytes,
            "shared_once": totals.shared_once_bytes,
            "unmapped": totals.unmapped_bytes,
        }
        yield gauge(
            "memory_bytes", "Memory of the whole node; the parts add up (never RSS).", ("part",),
            [((part,), size) for part, size in parts.items()],
        )  # fmt: skip
        states = ("live", "retired", "cold", "held")
        yield gauge(
            "pool_bytes", "Bytes of a pool's versions by state; held ones are live or retired too.", ("pool", "state"),
            [((pool.name, state), getattr(pool, f"{state}_bytes")) for pool in pools for state in states],
        )  # fmt: skip
        yield gauge("pool_max_bytes", "A pool's quota.", ("pool",), [((pool.name,), pool.max_bytes) for pool in pools])
        yield gauge(
            "sharing_saved_bytes", "Bytes of pools mapped, summed over processes, less what they take once.", (),
            [((), None if seen.sharing is None else seen.sharing.saved_bytes)],
        )  # fmt: skip
        restarts = sum(row.restarts for row in seen.classes)
        yield counter(
            "restarts", "Incarnations of actors after their first; worker processes replaced.", ("reason",),
            [(("actor",), restarts), (("worker",), totals.restarts)],
        )  # fmt: skip
        yield counter(
            "dead_letters", "Messages that nobody handled.", ("reason",),
            [((reason,), count) for reason, count in seen.dead_letter_counts.items()],
        )  # fmt: skip
        yield counter("observer_cpu_seconds", "CPU time of this exporter's looks.", (), [((), seen.observer.cpu_s)])

    def _classes(self, seen: Snapshot) -> Iterator[Metric]:
        gauge, counter, by = self._gauge, self._counter, ("actor_class",)
        rows = seen.classes
        yield gauge("actors", "Actors alive.", by, [((row.cls,), row.actors) for row in rows])
        yield counter("actors_ended", "Actors gone for good.", by, [((row.cls,), row.ended) for row in rows])
        outcomes = ("handled", "failed", "dead_lettered")
        yield counter(
            "messages", "Messages by what became of them.", ("actor_class", "outcome"),
            [((row.cls, outcome), getattr(row, outcome)) for row in rows for outcome in outcomes],
        )  # fmt: skip
        yield gauge("mailbox_depth", "Messages that wait.", by, [((row.cls,), row.depth) for row in rows])
        yield gauge("mailbox_bytes", "Their bytes.", by, [((row.cls,), row.mailbox_bytes) for row in rows])
        yield gauge(
            "actor_marginal_bytes", "Private memory that one more actor takes; only where it is well measured.", by,
            [((row.cls,), row.marginal.bytes if row.marginal and row.marginal.trusted else None) for row in rows],
        )  # fmt: skip

    def _processes(self, seen: Snapshot) -> Iterator[Metric]:
        gauge, rows = self._gauge, seen.processes
        kinds = ("uss", "pss", "anonymous", "shared")
        yield gauge(
            "worker_memory_bytes", "Memory of a process by kind (never RSS).", ("worker", "kind"),
            [
                ((name_of(row, rows), kind), getattr(row.memory, f"{kind}_bytes"))
                for row in rows
                for kind in kinds
                if row.memory is not None
            ],
        )  # fmt: skip
        hosts = [row for row in rows if row.worker is not None]
        by = ("worker",)
        yield gauge(
            "worker_silent_seconds", "For how long its loop has given no sign of life.", by,
            [((name_of(row, rows),), row.silent_s) for row in hosts],
        )  # fmt: skip
        yield gauge(
            "worker_pool_mapped_bytes", "Bytes of pools that it has mapped.", by,
            [((name_of(row, rows),), row.pool_mapped_bytes) for row in hosts],
        )  # fmt: skip
        from prometheus_client.core import SummaryMetricFamily

        pauses = SummaryMetricFamily(f"{PREFIX}gc_pause_seconds", "Pauses by the garbage collector.", labels=by)
        for row in hosts:
            if row.gc is not None:
                pauses.add_metric((name_of(row, rows),), row.gc.collections, row.gc.pause_s)
        yield pauses
        for name, text in (("p99", "Pause that 99 % did not exceed."), ("max", "Longest pause.")):
            yield gauge(
                f"gc_pause_{name}_seconds", text, by,
                [((name_of(row, rows),), getattr(row.gc, f"{name}_s")) for row in hosts if row.gc is not None],
            )  # fmt: skip

    def _lanes(self, seen: Snapshot) -> Iterator[Metric]:
        by = ("sender", "receiver")
        rows = [((str(lane.sender), str(lane.receiver)), lane) for lane in seen.lanes]
        yield self._counter("lane_messages", "Messages sent between processes.", by, [(k, v.sent) for k, v in rows])
        yield self._counter("lane_waits", "Times a sender found no room.", by, [(k, v.waits) for k, v in rows])
        share = [(key, lane.used / lane.blocks) for key, lane in rows]
        yield self._gauge("lane_used_ratio", "Share of a lane's blocks in use.", by, share)

    def _gauge(self, name: str, text: str, labels: Sequence[str], rows: Rows) -> Metric:
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
        for values, value in rows:
            if value is not None:
                family.add_metric(values, value)
        return family

    def _counter(self, name: str, text: str, labels: Sequence[str], rows: Rows) -> Metric:
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(PREFIX + name, text, labels=labels)
        for values, value in rows:
            key = (name, *values)
            self._seen[key] = max(value or 0.0, self._seen.get(key, 0.0))
            family.add_metric(values, self._seen[key])
        return family


def name_of(process: ProcessAccount, among: Sequence[ProcessAccount]) -> str:
    """Return what a process is called: a worker by its number, others by their role, numbered where several are."""
    if process.worker:
        return str(process.worker)
    alike = [one for one in among if one.role == process.role]
    return process.role if len(alike) == 1 else f"{process.role}-{alike.index(process) + 1}"


def registry_of(observer: Observer) -> CollectorRegistry:
    """Return a registry of prometheus_client's that has a node's metrics, and nothing of this process's own.

    Raises MissingExtra when prometheus_client is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry
    except ImportError:
        raise MissingExtra("actorlab metrics", "prometheus_client", "metrics") from None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Accountant(observer))
    return registry


def to_prometheus(observer: Observer) -> str:
    """Look at the node and return its metrics in Prometheus's text format."""
    registry = registry_of(observer)
    from prometheus_client import generate_latest

    return generate_latest(registry).decode()
