"""Stepping: the ways of a message, run in this process and in workers forked of it, round after round.

Actors, and an edge (processes, SIGSTOP); `bench_steps` starts it in processes of their own, plain, with probes, or with
probes that note instructions instead of the time.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import fmean, median
from typing import Any, Literal

import actorlab as al
from actorlab.actor import hub, scheduler

from . import instructions
from .cores import apart
from .probes import EMPTY, plant, reset, stamps, taken
from .steps import AFTER_THE_METHOD, ANSWERING, ASKING, CALL, HANDLING, SEEN, SENDING, TELL, Path

Mode = Literal["plain", "probed", "counted"]
Round = dict[str, float]
"""ns, or instructions, a message: by step; `WHOLE` is from the first to the last message."""

WHOLE = "the whole"
ROUNDS = {"plain": 40, "probed": 40, "counted": 5}
TRIES = 10  # rounds for one in which every call went the same way
MESSAGES = {"plain": 2_000, "probed": 2_000, "counted": 300}
CALLS = {"plain": 100, "probed": 100, "counted": 100}

_mode: list[Mode] = ["plain"]
_clock: list[Callable[[], int]] = [time.perf_counter_ns]


def now() -> int:
    """Return the time in ns, or how many instructions there were."""
    return _clock[0]()


def begin() -> None:
    """Forget what was noted, and count from here on."""
    reset()
    if _mode[0] == "counted":
        instructions.begin()


def end() -> None:
    """Count no more."""
    if _mode[0] == "counted":
        instructions.end()


def account(first: int, last: int, n: int) -> Round:
    """Return what each step took a message, of `n` between two moments, without the probes; and the whole."""
    noted = sorted((at, step) for step, times in stamps.items() for at in times if first <= at <= last)
    took: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    empty = []
    for (before, _), (at, step) in pairwise(noted):
        took[step] += at - before
        passed[step] += 1
        if step == EMPTY:
            empty.append(at - before)
    a_probe = median(empty) if empty else 0.0
    return {step: (took[step] - passed[step] * a_probe) / n for step in stamps if step != EMPTY} | {
        WHOLE: (last - first) / n
    }


class Sink(al.Actor):
    """Notes when the first and the last of some messages were handled."""

    def __init__(self) -> None:
        self.n = self.left = self.first = self.last = 0

    def expect(self, n: int) -> None:
        self.n = self.left = n
        self.first = self.last = 0
        begin()

    def take(self, message: Any) -> None:
        if not self.first:
            self.first = now()
        self.left -= 1
        if not self.left:
            self.last = now()

    def took(self) -> Round:
        end()
        return account(self.first, self.last, self.n - 1)

    def echo(self, message: Any) -> Any:
        return message

    def last_at(self) -> int:
        return self.last

    def noted(self) -> dict[str, list[int]]:
        return taken()

    def restart(self) -> None:
        begin()


class Source(al.Actor):
    """Tells and asks from within its worker."""

    def tell(self, sink: al.ActorRef[Sink], n: int) -> Round:
        take = sink.cast.take
        sink.call.expect(n)
        began = now()
        for i in range(n):
            take(i)
        sink.call.echo(0)  # comes after them
        end()
        return account(began, sink.call.last_at(), n)

    def ask(self, sink: al.ActorRef[Sink], n: int) -> Round:
        echo = sink.call.echo
        echo(0)
        begin()
        began = now()
        for i in range(n):
            echo(i)
        ended = now()
        end()
        return account(began, ended, n)

    def ask_away(self, sink: al.ActorRef[Sink], n: int) -> tuple[float, dict[str, list[int]]]:
        """Ask another process `n` times; return what each call took, and what was noted here."""
        echo = sink.call.echo
        sink.call.restart()
        begin()
        began = now()
        for i in range(n):
            echo(i)
        ended = now()
        end()
        return (ended - began) / n, taken()


def _node(workers: int) -> al.Node:
    """Return a node whose workers have the code that was put in place here."""
    watched = ("tools.bench.watched",) if _mode[0] == "counted" else ()
    return al.Node(workers=workers, start_method="fork", preload=watched)


def _within_a_worker(way: str, n: int) -> list[Round]:
    """Have a source do to a sink of the same worker what its method `way` does, `n` times a round."""
    with _node(1) as node, apart(node):
        source, sink = node.spawn(Source, placement=1), node.spawn(Sink, placement=1)
        return [getattr(source.within(60).call, way)(sink, n) for _ in range(ROUNDS[_mode[0]])]


def tell() -> list[Round]:
    """Tell an actor of the same worker."""
    return _within_a_worker("tell", MESSAGES[_mode[0]])


def call() -> list[Round]:
    """Call an actor of the same worker."""
    return _within_a_worker("ask", CALLS[_mode[0]])


def _to_a_stopped_worker(take_up: Callable[[Round, Round], Round]) -> list[Round]:
    rounds, n = [], MESSAGES[_mode[0]]
    with _node(1) as node, apart(node):
        sink = node.spawn(Sink, mailbox=al.Mailbox(capacity=1_000_000), placement=1)
        take, pid = sink.cast.take, node.workers[0].pid
        assert pid is not None
        for _ in range(ROUNDS[_mode[0]]):
            sink.call.expect(n)
            os.kill(pid, signal.SIGSTOP)
            begin()
            began = now()
            for i in range(n):
                take(i)
            ended = now()
            end()
            sent = account(began, ended, n)
            os.kill(pid, signal.SIGCONT)
            node.wait_idle()
            rounds.append(take_up(sent, sink.call.took()))
    return rounds


def sending() -> list[Round]:
    """Send to a worker that is stopped."""
    return _to_a_stopped_worker(lambda sent, _handled: sent)


def handling() -> list[Round]:
    """Handle what lies in the lane."""
    return _to_a_stopped_worker(lambda _sent, handled: handled)


def call_between() -> list[Round]:
    """Call an actor of another worker; the steps of both, in the order in which they are passed."""
    rounds: list[Round] = []
    n = CALLS[_mode[0]]
    with _node(2) as node, apart(node):
        source, sink = node.spawn(Source, placement=1), node.spawn(Sink, placement=2)
        tries = TRIES * ROUNDS[_mode[0]]
        while len(rounds) < ROUNDS[_mode[0]] and (tries := tries - 1):
            whole, asked = source.within(60).call.ask_away(sink, n)
            answered = sink.call.noted()
            if not stamps:
                rounds.append({WHOLE: whole})
            elif (one := in_turn(asked, answered, n)) is not None:
                rounds.append(one | {WHOLE: whole})
    return rounds


def in_turn(asked: dict[str, list[int]], answered: dict[str, list[int]], n: int) -> Round | None:
    """Return what the steps of `n` calls took, from what both sides noted; None if one went another way meanwhile.

    The callee's side was told to begin by a message whose answer it noted, and asked by one that it noted as well.
    """
    there = {
        step: answered[step][-n:] if place >= AFTER_THE_METHOD else answered[step][:n]
        for place, step in enumerate(ANSWERING.steps)
    }
    if any(len(asked[step]) != n for step in (*ASKING.steps, EMPTY)) or any(len(it) != n for it in there.values()):
        return None
    a_probe = median(b - a for a, b in zip(asked[ASKING.steps[0]], asked[EMPTY], strict=True))
    out, back = ASKING.steps[: ASKING.steps.index(SEEN)], ASKING.steps[ASKING.steps.index(SEEN) :]
    timeline = [(EMPTY, asked[EMPTY])]
    timeline += [(step, asked[step]) for step in out[1:]]
    timeline += [(f"there: {step}", there[step]) for step in ANSWERING.steps]
    timeline += [(step if step != SEEN else SEEN_BACK, asked[step]) for step in back]
    timeline.append((out[0], [*asked[out[0]][1:]]))
    same_clock = _mode[0] != "counted"
    found: Round = {}
    for (_, before), (step, after) in pairwise(timeline):
        if same_clock or SEEN not in step:
            found[step] = fmean(b - a for a, b in zip(before, after, strict=False)) - a_probe
    return found


SEEN_BACK = f"back: {SEEN}"
WAYS: dict[str, tuple[Callable[[], list[Round]], Sequence[Path]]] = {
    "tell": (tell, (TELL,)),
    "sending": (sending, (SENDING,)),
    "handling": (handling, (HANDLING,)),
    "call": (call, (CALL,)),
    "call between": (call_between, (ASKING, ANSWERING)),
}
def run_here(way: str, mode: Mode) -> list[Round]:
    """Run one way of a message in this process, which is nobody else's, and those forked of it."""
    _mode[0] = mode
    run, paths = WAYS[way]
    if mode == "counted":
        _clock[0] = instructions.count
    if mode != "plain":
        plant(tuple(dict.fromkeys(probe for path in paths for probe in path.probes)), _clock[0])
    if mode == "counted":
        instructions.watch()
        # how often a slice runs out, or somebody falls asleep, is the machine's business, the more so while we count
        scheduler.SLICE_NS = 1 << 60
        hub.POLL_NS = hub.ANSWER_NS = hub.RECENT_NS = hub.SWEEP_NS = 10**9
    return run()
