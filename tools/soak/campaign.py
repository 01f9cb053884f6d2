"""A campaign: rounds of traffic under a nemesis on one node, each followed by rest and judgement.

Edge (processes). A round's history is checked and thrown away when it is good, and kept when it is not.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import actorlab as al
from actorlab.telemetry import Event as Happening

from .actors import Receiver, Retrying, Sender, Threaded, Watcher
from .clients import Clients
from .journal import close, note
from .judge import judge_apart
from .nemesis import Nemesis

FOREVER = 1_000_000
FAR = ("far.first", "far.second", "far.third")
"""Children of a supervisor that lives in a worker: when that dies they are started anew, elsewhere in the table."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One campaign: on how many workers, from which seed, how many blows a second, how long a round."""

    workers: int = 2
    seed: int = 1
    rate: float = 4.0
    round_s: float = 5.0
    room: Path | None = None


@dataclass(slots=True)
class Round:
    """What came of a round. `orderly`: how many of the blows were a worker's handing over that was carried out."""

    number: int
    violations: list[str]
    kills: int
    messages: int
    handled: int
    outcomes: Counter[str]
    blows: Counter[str]
    took_s: float
    recovered_s: float
    history: Path | None = None
    orderly: int = 0


class ErrorLog(logging.Handler):
    """Keeps what actorlab logs as an error, here or in a worker, but for crashes of actors, which were asked for."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record's text and the end of its traceback."""
        if getattr(record, "event", "") != "actor_crashed":
            trace = record.exc_text or (logging.Formatter().formatException(record.exc_info) if record.exc_info else "")
            self.errors.append(f"logged: {record.getMessage()[:300]} {trace[-600:]}".strip())


@dataclass(slots=True)
class Campaign:
    """A node with its tree, through many rounds. Open it with `with`."""

    plan: Plan
    keep_in: Path
    node: al.Node = field(init=False)
    folder: str = field(init=False)
    deaths: dict[int, str] = field(default_factory=dict)

    def __enter__(self) -> Campaign:
        self._log = ErrorLog()
        logging.getLogger("actorlab").addHandler(self._log)
        self.folder = tempfile.mkdtemp(prefix="actorlab-soak-")
        tree, self._kinds = tree_of(self.plan.workers, self.folder)
        options: dict[str, Any] = {}
        if self.plan.room is not None:
            options["runtime_dir"] = str(self.plan.room)
        self.node = al.Node(
            workers=self.plan.workers,
            tree=tree,
            on_event=self._hear,
            log_level="ERROR",
            lane_blocks=1024,
            max_actors=16_384,
            recycle=al.RecycleOptions(timeout_s=2.0),
            **options,
        )
        self.node.dead_letters.subscribe(self._mourn)
        return self

    def __exit__(self, *_: object) -> None:
        self.node.stop()
        logging.getLogger("actorlab").removeHandler(self._log)
        close(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    _kinds: dict[str, type[Receiver]] = field(init=False)
    _log: ErrorLog = field(init=False)

    def _mourn(self, letter: al.DeadLetter) -> None:
        note(self.folder, "letter", to=letter.actor, reason=letter.reason, message=letter.message)

    def _hear(self, event: Happening) -> None:
        if event.kind == "worker_died":
            self.deaths[int(event.fields["pid"])] = str(event.fields["why"])

    def run(self, number: int, look: Callable[[], object] = lambda: None) -> Round:
        """Run one round; `look` is called about ten times a second."""
        node, folder, plan = self.node, self.folder, self.plan
        self.deaths.clear()
        self._log.errors.clear()
        began = time.monotonic()
        kept: list[tuple[str, Any, int]] = [
            (name, node.whereis(name), kind.redeliver) for name, kind in self._kinds.items()
        ]
        senders: Any = [node.whereis(f"sender.{worker}") for worker in range(1, plan.workers + 1)]
        watchers: Any = [(name, node.whereis(name)) for name in watcher_names(plan.workers)]
        far = [(name, None, 0) for name in FAR]
        for worker in node.workers:
            note(folder, "process", of=worker.pid, worker=worker.number)
        for name, ref, _ in kept:
            note(folder, "place", to=name, worker=ref.home)
        before = {name: ref.statistics() for name, ref, _ in kept}
        seed, tag = plan.seed * 1_000_003 + number, f".{number}"
        clients = Clients(node, folder, seed, [*kept, *far], senders, watchers, tag)
        nemesis = Nemesis(node, folder, seed, plan.rate, kept, plan.room, tag)
        clients.start()
        nemesis.start()
        end = time.monotonic() + plan.round_s
        while time.monotonic() < end:
            look()
            time.sleep(min(0.1, max(0.0, end - time.monotonic())))
        nemesis.stop()
        trouble = clients.stop(30.0)
        if nemesis.error is not None:
            trouble.append(f"the nemesis failed: {type(nemesis.error).__name__}: {nemesis.error}")
        calm = time.monotonic()
        try:
            node.wait_idle(timeout=30.0)
            clients.conclude()
            clients.free_names()
            node.wait_idle(timeout=30.0)
        except al.CallError as error:
            trouble.append(f"the node does not come to rest: {type(error).__name__}: {error}")
        recovered_s = time.monotonic() - calm
        for name, ref, _ in kept:
            now, was = ref.statistics(), before[name]
            note(
                folder, "books", to=name, accepted=now.accepted - was.accepted, handled=now.handled - was.handled,
                failed=now.failed - was.failed, dead_lettered=now.dead_lettered - was.dead_lettered,
                depth=now.depth, drops=name.startswith(("drop", "small")),
            )  # fmt: skip
        verdict = judge_apart(folder)
        by_themselves = {pid: why for pid, why in self.deaths.items() if pid not in verdict.killed}
        if nemesis.blows["fill"]:  # one that finds no room when it starts says so, ends and is tried again
            by_themselves = {pid: why for pid, why in by_themselves.items() if why != "exit 1"}
        unasked = [f"worker process {pid} died by itself: {why}" for pid, why in by_themselves.items()]
        outcome = Round(
            number,
            [*trouble, *self._log.errors[:20], *unasked, *verdict.violations],
            nemesis.kills,
            verdict.messages,
            verdict.handled,
            Counter(verdict.outcomes),
            nemesis.blows,
            time.monotonic() - began,
            recovered_s,
            orderly=nemesis.orderly,
        )
        self._clear(outcome)
        return outcome

    def _clear(self, outcome: Round) -> None:
        if outcome.violations:
            outcome.history = self.keep_in / f"seed-{self.plan.seed}-round-{outcome.number}"
            shutil.copytree(self.folder, outcome.history, dirs_exist_ok=True)
        for path in Path(self.folder).glob("*.jsonl"):
            with path.open("r+") as file:  # others append to it: it is emptied, not removed
                file.truncate(0)


def watcher_names(workers: int) -> list[str]:
    """Return the watchers' names: one here, one in each worker."""
    return ["watcher.0", *(f"watcher.{worker}" for worker in range(1, workers + 1))]


def tree_of(workers: int, folder: str) -> tuple[al.Supervisor, dict[str, type[Receiver]]]:
    """Return a tree of receivers, senders and watchers in every worker, and the receivers' classes by name.

    One supervisor lives in the controller; another, of `far` receivers, in worker 1 with its children in the last.
    """
    kinds: dict[str, type[Receiver]] = {}
    children: list[Any] = []
    room = al.Mailbox(1024, "block", 1.0)
    for worker in range(1, workers + 1):
        for name, kind, mailbox in (
            ("plain", Receiver, room),
            ("retry", Retrying, room),
            ("small", Receiver, al.Mailbox(8, "reject", 1.0)),
            ("narrow", Receiver, al.Mailbox(8, "block", 0.5)),
            ("drop", Receiver, al.Mailbox(8, "drop_old", 1.0)),
            ("thread", Threaded, room),
        ):
            kinds[f"{name}.{worker}"] = kind
            full = f"{name}.{worker}"
            children.append(al.child(kind, folder, full, name=full, mailbox=mailbox, placement=worker))
        for sort, actor in (("sender", Sender), ("watcher", Watcher)):
            full = f"{sort}.{worker}"
            children.append(al.child(actor, folder, full, name=full, placement=worker))
    children.append(al.child(Watcher, folder, "watcher.0", name="watcher.0", placement="local"))
    far = [
        al.child(Receiver, folder, name, name=name, mailbox=room, placement=worker)
        for name, worker in zip(FAR, (workers, 1, workers), strict=True)
    ]
    children.append(
        al.Supervisor(
            strategy="rest_for_one", max_restarts=FOREVER, max_seconds=1.0, children=far, name="far", placement=1
        )
    )
    return al.Supervisor(max_restarts=FOREVER, max_seconds=1.0, children=children), kinds
