"""Observer: looks at a running node again and again, from outside, and makes snapshots of what it sees.

Edge (files and /proc, read-only). It maps nothing of the node while it reads memory (see board), asks nobody, and
waits for nobody: a hung or stopped node is seen like any other. Cheap figures are read at every look, the tree, the
actors and above all memory at a pace that keeps the observer below 1 % of a core (see pace); one that is opened for a
single look reads everything.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from ..errors import ActorlabError, StartError
from ..memory import has, read_usage
from ..node import base_directory, has_controller, node_directories, node_identity, open_view, sentry_of
from ..registry import open_reader, split
from ..telemetry import TreeRow
from ..transport import EPOCH, slab_usage, view_journal, view_tally, view_vitals
from .account import NOTHING, Look, Reading, take_stock
from .board import BoardImage, read_at
from .lanes import read_lane
from .pace import Pace
from .processes import members, pool_mappings, read_memory, read_pulse
from .records import Memory, ObserverCost, Snapshot
from .tables import TableImage, read_class_names

EVERY_S = 1.0
DEAR_EVERY_S = 10.0
SHOWN = 1000


class Observer:
    """Looks at one node. Not for several threads at once.

    `every_s` and `dear_every_s` are the least times between two readings of cheap figures and of memory; `actors` how
    many of them a snapshot shows.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        every_s: float = EVERY_S,
        dear_every_s: float = DEAR_EVERY_S,
        actors: int = SHOWN,
    ) -> None:
        """Open it. Raises StartError when no node runs there."""
        self.directory = Path(directory)
        who = node_identity(self.directory)
        if who is None:
            raise StartError(str(self.directory), "no node has its directory there")
        self._who = who
        self._shown = actors
        self._opened_s = time.monotonic()
        self._cpu_s = self._last_s = self._last_dear_s = 0.0
        self._looks = 0
        self._cheap = Pace(every_s, 0.005)  # together below 1 % of a core
        self._tree, self._dear = Pace(every_s, 0.0015), Pace(dear_every_s, 0.0015)
        self._pools = Pace(every_s, 0.0015)
        self._reading = Reading()
        self._previous = NOTHING
        self._last: Snapshot | None = None

    def look(self, *, dear: bool = False) -> Snapshot:
        """Return what the node looks like now; the last snapshot again if that is less than `every_s` old.

        `dear` reads memory too, however lately that was done. Raises StartError once the node's directory is gone.
        """
        now = time.monotonic()
        if self._last is not None and not dear and not self._cheap.is_due(now):
            return self._last
        try:
            return self._look(now, dear)
        except FileNotFoundError:
            # at any moment of a look; what else keeps us from looking says nothing about the node
            raise StartError(str(self.directory), "its node is over: the directory is gone") from None

    def _look(self, now: float, dear: bool) -> Snapshot:
        started = time.thread_time()
        reading = self._reading
        board = reading.board = BoardImage(self.directory)
        reading.members = members(self.directory, self._who.pid, board)
        if dear or self._dear.is_due(now):
            self._last_dear_s = self._timed(self._dear, now, self._read_memory)
        if self._pools.is_due(now):
            self._timed(self._pools, now, self._read_pools)
        if self._tree.is_due(now):
            self._timed(self._tree, now, self._read_tree)
        alive = has_controller(self.directory)
        look = Look(time.time(), time.monotonic(), alive, self._who, str(self.directory), self._shown)
        began = time.thread_time()
        self._read_cheap()
        if not has("proc"):
            self._hear_memory()
        # A single look is told as if there were one a second; putting this one together is told with the next.
        spent = self._cpu_s + time.thread_time() - started
        share = spent / max(now - self._opened_s, EVERY_S)
        cost = ObserverCost(self._looks + 1, spent, share, self._last_s, self._last_dear_s)
        self._last, self._previous = take_stock(look, reading, self._previous, cost)
        ended = time.thread_time()
        self._cheap.done(now, ended - began)
        self._looks += 1
        self._last_s = ended - started
        self._cpu_s += self._last_s
        return self._last

    def _timed(self, pace: Pace, now: float, read: Callable[[], None]) -> float:
        started = time.thread_time()
        read()
        cost = time.thread_time() - started
        pace.done(now, cost)
        return cost

    def _hear_memory(self) -> None:
        """Where the system tells nobody of another's memory: take what processes say of themselves."""
        reading = self._reading
        said = {member.pid: reading.vitals[member.slot].private_bytes for member in reading.members
                if member.slot is not None and member.slot in reading.vitals}  # fmt: skip
        sentry = sentry_of(self.directory)
        if sentry is not None:
            said[sentry[0]] = sentry[1] or 0
        sizes = {member.pid: said.get(member.pid) for member in reading.members}
        reading.memory = {pid: Memory(size) if size else None for pid, size in sizes.items()}
        reading.mapped, reading.memory_at = None, time.time()

    def _read_memory(self) -> None:
        if not has("proc"):
            return
        reading = self._reading
        reading.memory = {member.pid: read_memory(member.pid) for member in reading.members}
        reading.mapped = {member.pid: pool_mappings(member.pid, self.directory) for member in reading.members}
        reading.memory_at = time.time()

    def _read_pools(self) -> None:
        """What pools hold and who holds it: the kernel's list of locks is read for it, which takes some ms."""
        reading = self._reading
        slots = {member.pid: member.slot for member in reading.members if member.slot is not None}
        reading.pools = read_usage(self.directory, slots)
        reading.slabs = slab_usage(self.directory)

    def _read_tree(self) -> None:
        """Names and trees are read through mappings, which are gone again before memory is looked at."""
        tree: tuple[TreeRow, ...] = ()
        names: Mapping[int, str] = {}
        try:
            registry = open_reader(self.directory / "names")
            try:
                names = {entry.address: split(entry.name).name for entry in registry.items()}
            finally:
                registry.close()
        except (OSError, ActorlabError):
            pass  # its files go, or it is of a backend whose code is not here
        try:
            with open_view(self.directory) as view:
                tree = tuple(view.tree())
        except (OSError, ActorlabError):
            pass  # the controller is dead, or dying
        self._reading.names, self._reading.tree = names, tree

    def _read_cheap(self) -> None:
        reading = self._reading
        reading.pulses = {member.pid: read_pulse(member.pid) for member in reading.members}
        tables, class_names, lanes = [], {}, []
        journal = None
        vitals, tallies = {}, {}
        for entry in os.listdir(self.directory):
            kind, _, rest = entry.partition(".")
            try:
                if kind == "table" and rest.isdecimal():
                    tables.append(TableImage(self.directory, int(rest)))
                    class_names[int(rest)] = read_class_names(self.directory, int(rest))
                elif entry == "journal":
                    journal = view_journal(read_at(self.directory / entry, 0))
                elif kind == "vitals":
                    vitals[int(rest)] = view_vitals(read_at(self.directory / entry, 0))
                elif kind == "tally":
                    tallies[int(rest)] = view_tally(read_at(self.directory / entry, 0))
                elif kind == "lane":
                    lanes.append(read_lane(self.directory / entry))
            except (OSError, ValueError, struct.error):
                continue  # gone since it was listed, half made, or overwritten while it was copied
        assert reading.board is not None
        epochs = reading.board
        reading.vitals = {slot: page for slot, page in vitals.items() if page.epoch == epochs.u32(slot, EPOCH)}
        reading.tallies = tallies
        reading.journal = journal or reading.journal
        reading.tables = sorted(tables, key=lambda table: table.home)
        reading.class_names = class_names
        reading.lanes = sorted(lanes, key=lambda lane: (lane.sender, lane.receiver))
        reading.files_bytes = files_bytes(self.directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held open between looks."""


def files_bytes(directory: Path) -> int:
    """Return what the files below a directory take; one that has two names counts once."""
    sizes: dict[int, int] = {}
    for path, _, found in os.walk(directory):
        for name in found:
            try:
                status = os.lstat(os.path.join(path, name))
            except OSError:
                continue  # gone since it was listed
            sizes[status.st_ino] = status.st_blocks * 512
    return sum(sizes.values())


def snapshot(
    node: str | os.PathLike[str] | None = None,
    *,
    runtime_dir: str | os.PathLike[str] | None = None,
    actors: int = SHOWN,
    interval_s: float = 0.0,
) -> Snapshot:
    """Look at a running node once: by its name, its directory, or None where only one runs.

    With `interval_s` it looks twice, so much apart, and rates are of that time; without, they are what the node's own
    processes noted lately, or None. Raises StartError when no such node runs, or several do.
    """
    with Observer(find_node(node, runtime_dir), every_s=0.0, actors=actors) as observer:
        if interval_s > 0:
            observer.look()
            time.sleep(interval_s)
        return observer.look(dear=True)


def find_node(node: str | os.PathLike[str] | None = None, runtime_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the directory of the node that is meant. Raises StartError when there is none, or the choice is open."""
    if isinstance(node, os.PathLike) or (node is not None and os.sep in node):
        return Path(node)
    running = [path for path in node_directories(base_directory(runtime_dir)) if has_controller(path)]
    meant = [path for path in running if node in (None, path.name, path.name.rpartition("-")[0])]
    if len(meant) == 1:
        return meant[0]
    called = f"node {node!r}" if node is not None else "a node"
    which = ", ".join(path.name for path in meant or running) or "none"
    raise StartError(called, f"{'several' if meant else 'no such'} run here: {which}")
