"""View: a running node as anybody sees it from outside, through its files and /proc; it asks nobody.

Edge (files, read-only); used by the command line and dashboards. A hung node can still be looked at. The tree is read
off the node table, where every actor's slot names its supervisor; the trees' specifications say how each is restarted.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from ..errors import StartError
from ..ids import pack, process_of, show
from ..lean_dataclass import dataclass
from ..memory import has
from ..registry import open_reader, split
from ..telemetry import ActorRow, NodeRow, TreeRow, WorkerRow
from ..transport import (
    CLASS_ID,
    EPOCH,
    GUEST,
    PID,
    ROW_BYTES,
    ROW_U32,
    SLOT_U32,
    SLOT_WORDS,
    SUPERVISOR,
    Board,
    SlotView,
    State,
)
from .books import Books
from .directory import base_directory, check_safe, has_controller, node_directories
from .identity import Identity, read_identity
from .roots import Outline, read_roots
from .sweep import sweep

TWICE_S = 0.05
"""Between two signals of one kind: closer ones count as one."""
BRUTAL_S = 3.0

SUPERVISORS = ("supervisor", "dynamic", "partition")
SUPERVISOR_CLASS = ":SupervisorActor"


@dataclass(frozen=True, slots=True)
class _Node:
    """An actor of the tree as its slot and the registry show it."""

    address: int
    view: SlotView
    path: str
    name: str | None

    @property
    def is_supervisor(self) -> bool:
        return self.path.endswith(SUPERVISOR_CLASS)

    @property
    def kind(self) -> str:
        return "supervisor" if self.is_supervisor else self.path.rpartition(":")[2]


def _match(nodes: Iterable[_Node], line: Outline | None) -> list[tuple[_Node, Outline | None]]:
    """Pair a supervisor's children with the lines of its specification, and put them into its order.

    By name; who has none takes the next line of his kind that nobody has. Who was started at run time comes last.
    """
    lines = list(line.children) if line is not None else []
    taken: dict[int, int] = {}
    for node in sorted(nodes, key=lambda node: node.name is None):
        for at, child in enumerate(lines):
            fits = child.name == node.name if node.name is not None else child.kind == node.kind
            fits = fits or (node.name is None and node.is_supervisor and child.kind in SUPERVISORS)
            if fits and at not in taken.values():
                taken[node.address] = at
                break
    ordered = sorted(nodes, key=lambda node: taken.get(node.address, len(lines)))
    return [(node, lines[taken[node.address]] if node.address in taken else None) for node in ordered]


class NodeView:
    """A running node read from outside."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.path = Path(directory)
        if not has_controller(self.path):
            raise StartError(str(self.path), "no controller runs there; actorlab doctor --clean removes what is left")
        self._board = Board.open(self.path / "board", writable=False)
        self._names = open_reader(self.path / "names")
        self._books = {
            int(path.name.split(".")[1]): Books.open(self.path, int(path.name.split(".")[1]))
            for path in sorted(self.path.glob("table.*"))
        }

    def workers(self) -> Sequence[WorkerRow]:
        """Return a row a worker, and one for the controller (0)."""
        rows = []
        slots = {process_of(home) for home in self._books}
        guests = {slot for slot in slots if self._board.u8[slot * ROW_BYTES + GUEST]}
        hosts = {self._board.u32[slot * ROW_U32 + PID]: slot for slot in slots - guests}
        for slot in sorted(slots):
            pid = self._board.u32[slot * ROW_U32 + PID]
            epoch = self._board.u32[slot * ROW_U32 + EPOCH]
            homes = [home for home in self._books if process_of(home) == slot]
            actors = sum(1 for home in homes for _ in self._books[home].table.live())
            state, pss, uptime = _process(pid)
            host = hosts.get(pid, 0) if slot in guests else 0
            rows.append(WorkerRow(slot, pid, state, actors, None if host else pss, max(0, epoch - 1), uptime, host))
        return rows

    def actors(self) -> Sequence[ActorRow]:
        """Return a row an actor, by home and slot."""
        names = {entry.address: split(entry.name).name for entry in self._names.items()}
        return [
            ActorRow(
                show(address), names.get(address, ""), books.class_path(view.class_id), process_of(books.home),
                State(view.state).name.lower(), view.incarnation, view.depth, view.handled, view.failed,
            )
            for books, address, view in self._slots()
        ]  # fmt: skip

    def tree(self) -> Sequence[TreeRow]:
        """Return the supervision trees, parents before children, in start order as far as a specification says it.

        Actors without a supervisor are not in them.
        """
        names = {entry.address: split(entry.name).name for entry in self._names.items()}
        below: dict[int, list[_Node]] = {}
        for books, address, view in self._slots(in_trees=True):
            node = _Node(address, view, books.class_path(view.class_id), names.get(address))
            below.setdefault(view.supervisor, []).append(node)
        roots = dict(read_roots(self.path))
        rows: list[TreeRow] = []

        def walk(nodes: Iterable[tuple[_Node, Outline | None]], depth: int) -> None:
            for node, line in nodes:
                rows.append(
                    TreeRow(
                        depth, node.name or (line.name if line else node.kind), line.kind if line else node.kind,
                        line.restart if line else "", State(node.view.state).name.lower(), node.view.incarnation,
                        show(node.address),
                    )
                )  # fmt: skip
                walk(_match(below.get(node.address, ()), line), depth + 1)

        walk(((node, roots.get(node.address)) for node in below.get(0, ()) if node.is_supervisor), 0)
        return rows

    def _slots(self, *, in_trees: bool = False) -> Iterator[tuple[Books, int, SlotView]]:
        for home, books in self._books.items():
            for index in _in_trees(books) if in_trees else books.table.live():
                view = books.table.read(index)
                if view.state:
                    yield books, pack(home, index, view.generation), view

    def stop(self, *, brutal: bool = False, timeout_s: float = 10.0) -> bool:
        """Ask the controller to stop (SIGTERM) and wait for the end; return whether it came.

        `brutal` asks twice, and kills a controller that does not even listen to that; its workers go with it. What a
        killed one leaves in shared memory is removed.
        """
        who = read_identity(self.path / "node.json")
        if who is None:
            return True
        if not who.send_signal(signal.SIGTERM):
            return True
        if brutal and not self._ends_within(TWICE_S):
            who.send_signal(signal.SIGTERM)
            if not self._ends_within(min(timeout_s, BRUTAL_S)):
                who.send_signal(signal.SIGKILL)
        ended = self._ends_within(timeout_s)
        if ended and self.path.exists():
            sweep(self.path.parent)
        return ended

    def _ends_within(self, timeout_s: float) -> bool:
        end = time.monotonic() + timeout_s
        while has_controller(self.path):
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    def close(self) -> None:
        """Unmap."""
        self._board.close()
        self._names.close()
        for books in self._books.values():
            books.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _in_trees(books: Books) -> Iterator[int]:
    """Yield the slots of supervisors and of whom they supervise: of 100,000 actors without one, none is looked at."""
    table = books.table
    supervisors = table.words[SUPERVISOR : table.grown * SLOT_WORDS : SLOT_WORDS].tolist()
    classes = table.u32[CLASS_ID : table.grown * SLOT_U32 : SLOT_U32].tolist()
    roots = {class_id for class_id in set(classes) if books.class_path(class_id).endswith(SUPERVISOR_CLASS)}
    for index, (supervisor, class_id) in enumerate(zip(supervisors, classes, strict=True)):
        if supervisor or class_id in roots:
            yield index


def _process(pid: int) -> tuple[str, int | None, float]:
    import psutil  # 1 MB that a node's processes can do without

    try:
        process = psutil.Process(pid)
        pss = process.memory_full_info().pss if has("proc") else None  # elsewhere there are no shares
        return process.status(), pss, time.time() - process.create_time()
    except psutil.Error:
        return "gone", None, 0.0


def open_view(directory: str | os.PathLike[str]) -> NodeView:
    """Look at a running node. Raises StartError if none runs there."""
    return NodeView(directory)


def running_nodes(runtime_dir: str | os.PathLike[str] | None = None) -> Sequence[NodeRow]:
    """Return a row a node directory of this user. Raises UnsafeDirectory where somebody else could have made them."""
    base, rows = base_directory(runtime_dir), []
    if base.is_symlink() or base.exists():
        check_safe(base)
    for path in node_directories(base):
        who: Identity | None = read_identity(path / "node.json")
        if who is None:
            continue
        alive = has_controller(path)
        actors = workers = 0
        if alive:
            try:
                with NodeView(path) as view:
                    counted = view.workers()
                    actors, workers = sum(row.actors for row in counted), len([row for row in counted if row.worker])
            except (OSError, StartError):
                pass
        uptime = time.time() - who.created
        rows.append(NodeRow(who.name, who.pid, "running" if alive else "dead", workers, actors, uptime, str(path)))
    return rows
