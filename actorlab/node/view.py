"""View: a running node as anybody sees it from outside, through its files and /proc; it asks nobody.

Edge (files, read-only); used by the command line and dashboards. A hung node can still be looked at. The tree is read
off the node table, where every actor's slot names its supervisor.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import psutil

from ..errors import StartError
from ..ids import LOCAL_HOME, pack, process_of, show
from ..registry import SharedReader, split
from ..telemetry import ActorRow, NodeRow, TreeRow, WorkerRow
from ..transport import EPOCH, PID, ROW_U32, Board, SlotView, State
from .books import Books
from .directory import base_directory, has_controller, node_directories
from .identity import Identity, read_identity


class NodeView:
    """A running node read from outside."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.path = Path(directory)
        if not has_controller(self.path):
            raise StartError(str(self.path), "no controller runs there; actorlab doctor --clean removes what is left")
        self._board = Board.open(self.path / "board", writable=False)
        self._names = SharedReader.open(self.path / "names")
        self._books = {
            int(path.name.split(".")[1]): Books.open(self.path, int(path.name.split(".")[1]))
            for path in sorted(self.path.glob("table.*"))
        }

    def workers(self) -> Sequence[WorkerRow]:
        """Return a row a process: the controller (0) and the workers."""
        rows = []
        slots = {process_of(home) for home in self._books}
        for slot in sorted(slots):
            pid = self._board.u32[slot * ROW_U32 + PID]
            epoch = self._board.u32[slot * ROW_U32 + EPOCH]
            homes = [home for home in self._books if process_of(home) == slot]
            actors = sum(1 for home in homes for _ in self._books[home].table.live())
            state, pss, uptime = _process(pid)
            rows.append(WorkerRow(slot, pid, state, actors, pss, max(0, epoch - 1), uptime))
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
        """Return the supervision tree, parents before children; actors without a supervisor are not in it."""
        names = {entry.address: split(entry.name).name for entry in self._names.items()}
        below: dict[int, list[tuple[int, SlotView, str]]] = {}
        for books, address, view in self._slots():
            below.setdefault(view.supervisor, []).append((address, view, books.class_path(view.class_id)))
        rows: list[TreeRow] = []

        def walk(parent: int, depth: int) -> None:
            for address, view, path in below.get(parent, ()):
                is_supervisor = path.endswith(":SupervisorActor")
                if depth == 0 and not is_supervisor:
                    continue
                label = path.rpartition(":")[2]
                rows.append(
                    TreeRow(
                        depth, names.get(address) or label, "supervisor" if is_supervisor else label, "",
                        State(view.state).name.lower(), view.incarnation, show(address),
                    )
                )  # fmt: skip
                walk(address, depth + 1)

        walk(0, 0)
        return rows

    def _slots(self) -> Iterator[tuple[Books, int, SlotView]]:
        for home, books in self._books.items():
            for index in books.table.live():
                view = books.table.read(index)
                if view.state:
                    yield books, pack(home, index, view.generation), view

    def stop(self, *, brutal: bool = False, timeout_s: float = 10.0) -> bool:
        """Ask the controller to stop (SIGTERM; twice is brutal) and wait for the end; return whether it came."""
        who = read_identity(self.path / "node.json")
        if who is None or not who.is_alive():
            return True
        os.kill(who.pid, signal.SIGTERM)
        if brutal:
            os.kill(who.pid, signal.SIGTERM)
        end = time.monotonic() + timeout_s
        while has_controller(self.path):
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
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


def _process(pid: int) -> tuple[str, int | None, float]:
    try:
        process = psutil.Process(pid)
        pss = process.memory_full_info().pss
        return process.status(), pss, time.time() - process.create_time()
    except (psutil.Error, AttributeError):
        return "gone", None, 0.0


def open_view(directory: str | os.PathLike[str]) -> NodeView:
    """Look at a running node. Raises StartError if none runs there."""
    return NodeView(directory)


def running_nodes(runtime_dir: str | os.PathLike[str] | None = None) -> Sequence[NodeRow]:
    """Return a row a node directory of this user."""
    rows = []
    for path in node_directories(base_directory(runtime_dir)):
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


__all__ = ["LOCAL_HOME", "NodeView", "open_view", "running_nodes"]
