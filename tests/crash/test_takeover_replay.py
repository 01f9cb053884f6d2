"""A worker after every prefix of its stores while messages come in: its successor has each of them in the books once.

Both are kernels of this process, in a folder with what a node's has: the board, the tables, the lanes. The test is
their controller: it sends, and decides about restarts.
"""

from __future__ import annotations

import os
from _thread import get_ident
from collections.abc import Callable
from pathlib import Path
from typing import Any

import greenlet
import pytest
from logged_memory import Logged
from replayed_memory import Log, Prefix

import actorlab as al
from actorlab.actor import HELD, Future, Kernel, Mailbox, StartRequest, current
from actorlab.message import WorkerDied
from actorlab.node.books import Books
from actorlab.node.inlet import Inlet
from actorlab.node.large_messages import open_spill
from actorlab.node.options import NodeOptions
from actorlab.node.runtime import ProcessRuntime
from actorlab.node.takeover import take_over
from actorlab.transport import Board, Outlet, State, bell_path, class_names, create_doorbell

OPTIONS = NodeOptions(workers=1, lane_blocks=64, max_actors=16)
DIED = WorkerDied(1, "died")
HEAR: list[Callable[[str, int], object]] = []
"""Who is told what handlers do."""
MATE: list[al.ActorRef[Any]] = []


class Clerk(al.Actor):
    """Fails at 6; sends each even number on, within its worker."""

    def on_receive(self, number: int) -> None:
        HEAR[-1]("ran", number)
        if number == 6:
            raise ValueError(number)
        if number % 2 == 0:
            HEAR[-1]("passes on", number)
            MATE[-1].tell(number)


class Mate(al.Actor):
    def on_receive(self, number: int) -> None: ...


class Retried(Clerk):
    redeliver = 1


class Process:
    """A process slot's part of the node in `folder`."""

    def __init__(self, folder: Path, slot: int) -> None:
        for number in (0, 1):
            if not bell_path(folder, number).exists():
                create_doorbell(bell_path(folder, number))
        self.folder, self.board = folder, Board.open(folder / "board")
        runtime = self.runtime = ProcessRuntime(f"slot {slot} in {folder}", slot, OPTIONS, folder)
        runtime.board = self.board
        runtime.epoch = self.board.occupy(slot, os.getpid())
        self.books = Books.create(folder, OPTIONS.max_actors, slot)
        runtime.own_table(slot, self.books)
        runtime.sending.number_from(runtime.epoch)
        runtime.sending.go_by(Outlet(folder, slot, self.board, OPTIONS.lane_blocks))
        runtime.spill = open_spill(folder, slot, OPTIONS, self.board)

    def close(self) -> None:
        self.runtime.close()
        self.board.close()


class Worker(Process):
    """One with a kernel, which takes a turn when it is told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 1)
        self.inlet = self.runtime.inlet = Inlet(self.runtime, folder, 1, self.board)
        self.kernel = self.runtime.kernels[1] = Kernel(self.runtime, 1, self.inlet)
        self.kernel.ident, self.kernel.hub_greenlet = get_ident(), greenlet.getcurrent()
        self.inlet.attach(self.kernel)

    def turn(self) -> None:
        """Take what has come and work through it, in as many slices of time as that takes."""
        kernel, inlet = self.kernel, self.inlet
        current.kernels[get_ident()] = kernel
        try:
            kernel.hub.turn(0)
            while kernel.inbox or kernel.runq or kernel.yielded or kernel.resumable or inlet.unfinished:
                kernel.hub.turn(0)
        finally:
            del current.kernels[get_ident()]

    def start(self, request: StartRequest) -> int:
        """Start an actor, or start it anew in its place; return its address."""
        started: Future[int] = Future()
        settled: list[bool] = []
        started.on_settled(lambda: settled.append(True))
        self.kernel.post(self.kernel.submit, lambda: self.kernel.lifecycle.start(request), started)
        while not settled:
            self.turn()
        return started.get(timeout=0)

    def succeed(self) -> None:
        current.kernels[get_ident()] = self.kernel
        try:
            take_over(self.kernel, self.inlet, self.board, self.folder, DIED)
        finally:
            del current.kernels[get_ident()]

    def queued(self, address: int) -> list[int]:
        """Return the numbers of the messages that wait at an actor."""
        return [self.inlet.peek(record) for record in self.kernel.cells[address].mailbox]

    def close(self) -> None:
        self.kernel.stop()
        self.kernel.hub.run()  # which closes it
        super().close()


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_names, "FILE_BYTES", 16 * 4096)


class Play:
    """What was logged: of `clerk`, to whom the controller sends, and of `mate`, to whom the clerk passes on."""

    def __init__(self, base: Path, kind: type[Clerk], overflow: str) -> None:
        self.base, folder = base, base / "played"
        folder.mkdir(mode=0o700)
        Board.create(folder / "board").close()
        controller, worker = Process(folder, 0), Worker(folder)
        supervisor, word = controller.books.open_slot("app:Supervisor", 10, "block", 5.0, 0, 0, 0)
        controller.books.set_state(word, State.RUNNING)
        wanted = StartRequest(
            kind, (), {}, mailbox=Mailbox(4, overflow), parent=supervisor, parent_epoch=1, redeliver=kind.redeliver
        )
        self.clerk = worker.start(wanted)
        self.mate = worker.start(wanted._replace(actor=Mate, mailbox=Mailbox(100), redeliver=0))
        self.again = wanted._replace(address=self.clerk)
        ref = controller.runtime.ref(self.clerk)
        MATE.append(worker.runtime.ref(self.mate))
        with Logged(folder) as logged:
            HEAR.append(logged.note)
            for number in range(14):
                logged.note("sends", number)
                ref.tell(number)
                logged.note("sent", number)
                if number in (1, 5, 7):
                    worker.turn()
                if number == 8:  # 6 has failed, and 7 waits
                    worker.start(self.again)
            worker.turn()
            HEAR.pop()
        self.log: Log = logged.log
        books = worker.books.statistics(self.clerk)
        for process in (worker, controller):
            process.close()
        assert books is not None and (books.failed, books.accepted, books.depth) == (1, 14, 0)
        assert books.dead_lettered, "one too many had come"

    def check(self, prefix: Prefix, folder: Path) -> None:
        """Be the successor in a copy of the folder: nothing is lost, or in the books twice, and all goes on."""
        heir = Worker(folder)
        try:
            self.look_at(heir, prefix)
        finally:
            heir.close()

    def look_at(self, heir: Worker, prefix: Prefix) -> None:
        heir.succeed()
        sent, begun, ran = prefix.said("sent"), prefix.said("sends"), prefix.said("ran")
        books = heir.books.statistics(self.clerk)
        assert books is not None and books.accepted in (len(sent), len(begun)), (prefix, books)
        queued = heir.queued(self.clerk)
        assert queued == sorted(queued) and len(queued) == books.depth, (prefix, books)
        # one that was in hand may be tried again, or is a dead letter; the others that ran are done, and wait no more
        assert len(set(queued) & set(ran)) <= self.again.redeliver, prefix
        assert books.handled + books.failed <= len(ran) and books.failed <= (6 in ran), (prefix, books)
        known = len({*ran, *queued}) + books.dead_lettered
        assert books.accepted <= known <= books.accepted + 1, (prefix, books)
        # what was passed on within the worker died with it: known by number, as far as it was known
        mates = heir.books.statistics(self.mate)
        assert mates is not None and mates.accepted <= len(prefix.said("passes on")) and not mates.depth, prefix
        self.go_on(heir, queued, books.accepted, prefix)

    def go_on(self, heir: Worker, queued: list[int], accepted: int, prefix: Prefix) -> None:
        now: list[int] = []
        HEAR.append(lambda what, number: now.append(number) if what == "ran" else None)
        MATE.append(heir.runtime.ref(self.mate))
        try:
            for _ in range(9):
                if heir.kernel.cells[self.clerk].phase == HELD:
                    heir.start(self.again)
                heir.turn()
        finally:
            HEAR.pop()
            MATE.pop()
        assert now == queued, prefix
        after = heir.books.statistics(self.clerk)
        assert after is not None and (after.accepted, after.depth) == (accepted, 0), (prefix, after)

    def replay(self, log: Log) -> None:
        for prefix in log.prefixes(self.base / "replay", many=2):
            self.check(prefix, prefix.copy())


@pytest.mark.parametrize(("kind", "overflow"), [(Clerk, "drop_old"), (Retried, "drop_new")])
def test_a_successor_has_every_message_in_the_books_once_whichever_store_was_the_last(
    tmp_path: Path, kind: type[Clerk], overflow: str
) -> None:
    play = Play(tmp_path, kind, overflow)
    play.replay(play.log)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("reader.status[block] = free if length <= one_block else returned", "words[cell.word] = handled << 24"),
        ("words[cell.word] = cell.handled << 24 | hand", "reader.status[block] = free if length"),
        ("table.header[INTENT] = pack_intent", "table.u32[counter] = count"),
    ],
    ids=["handled before freed", "freed before in hand", "counted before intended"],
)
def test_a_worker_that_stores_in_the_wrong_order_is_found_out(tmp_path: Path, one: str, other: str) -> None:
    play = Play(tmp_path, Clerk, "drop_old")
    early, late = play.log.store_by(one), play.log.store_by(other)
    assert early < late
    with pytest.raises(AssertionError):
        play.replay(play.log.swapped(early, late))


def test_a_successor_stopped_while_it_takes_over_leaves_all_to_the_next(tmp_path: Path) -> None:
    play, tried = Play(tmp_path, Retried, "drop_old"), 0
    for prefix in play.log.prefixes(tmp_path / "replay", many=1):
        if prefix.number % 14:
            continue
        copy = prefix.copy()
        with Logged(copy) as again:
            heir = Worker(copy)
            heir.succeed()
        heir.close()
        for second in again.log.prefixes(tmp_path / "again"):
            play.check(prefix, second.copy())
            tried += 1
    assert tried > 30
