"""A session of questions to the team: the answers, how long each took, what was killed meanwhile, the account.

Edge; used by job.py. Under chaos the same queries are asked again and again while workers are killed, and each
answer is compared with the undisturbed one.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext

from .account import SearcherCost, mapped_bytes, milliseconds, pss_bytes
from .actors import COORDINATOR, Answer, Indexed
from .chaos import Chaos, WorkerProcess
from .gather import Answering, gather
from .options import DEMO_QUERIES, JobOptions
from .protocols import Node, Report
from .ranking import Hit


def worker_pids(node: Node) -> list[int]:
    """Return the processes in which the team works: the workers; of an embedded node, which has none, this one."""
    return [worker.pid for worker in node.workers] or [os.getpid()]


class Session:
    """One run's questions. `before_bytes`: the workers' PSS before the team was started, None where nobody tells."""

    def __init__(
        self, node: Node, wanted: JobOptions, report: Report, index: Indexed, before_bytes: int | None
    ) -> None:
        self._node, self._wanted, self._report = node, wanted, report
        self._index, self._before_bytes = index, before_bytes
        self._times_s: list[float] = []
        self._asked_again = 0

    def run(self) -> bool:
        """Ask everything and report it; False if an answer under chaos was not the undisturbed one."""
        wanted = self._wanted
        restarts_before = self._restarts()
        queries = wanted.queries or (() if wanted.interactive else DEMO_QUERIES)
        answers = {query: self._show(query) for query in queries}
        # now, before fresh workers are compared with ones that had read the corpus
        cost = self._cost() if answers else None
        identical: bool | None = None
        chaos = Chaos(lambda: self._node.workers, self._report_kill, wanted.kill_every_s) if wanted.chaos else None
        with chaos or nullcontext():
            if wanted.interactive:
                for query in self._typed():
                    self._show(query)
            elif chaos is not None:
                identical = self._repeat(answers)
        if identical is not None:  # once more, with nobody killing: the team is whole again
            identical = self._differences(answers) == 0 and identical
        self._report_times()
        self._report_restarts(self._restarts() - restarts_before, chaos.kills if chaos else 0, identical)
        cost = cost or self._cost()
        if cost is None:
            self._report.event("memory", "what one searcher costs is not known: this system tells no PSS")
        else:
            self._report.event("memory", str(cost), shared_bytes=cost.shared_bytes, copied_bytes=cost.copied_bytes)
        return identical is not False

    def _show(self, query: str) -> list[Hit]:
        hits = self._search(query)
        self._report.answer(query, hits)
        return hits

    def _search(self, query: str) -> list[Hit]:
        """Ask the coordinator, whichever incarnation of it answers."""

        def ask(name: str) -> Answering | None:
            coordinator = self._node.whereis(name)
            if coordinator is None:
                return None
            return coordinator.request.search(query, self._wanted.k)  # type: ignore[no-any-return]

        began = time.monotonic()
        # twice the coordinator's own patience: it may be killed itself at the end of it
        timeout_s = 2 * self._wanted.patience_s
        found = gather([COORDINATOR], ask, timeout_s=timeout_s, now=time.monotonic, pause=time.sleep)
        self._times_s.append(time.monotonic() - began)
        answer: Answer = found.answers[0]
        self._asked_again += found.asked_again + answer.asked_again
        return answer.hits

    def _repeat(self, expected: Mapping[str, list[Hit]]) -> bool:
        """Repeat the queries for the time of the chaos; whether all answers were the expected ones."""
        end = time.monotonic() + self._wanted.seconds
        rounds = different = 0
        while rounds == 0 or time.monotonic() < end:
            different += self._differences(expected)
            rounds += 1
        text = f"{rounds:,} rounds of {len(expected)} queries, {different:,} answers not the same as before"
        self._report.event("compared", text, rounds=rounds, queries=len(expected), different=different)
        return different == 0

    def _differences(self, expected: Mapping[str, list[Hit]]) -> int:
        different = [query for query, hits in expected.items() if self._search(query) != hits]
        for query in different:
            self._report.event("differs", f"another answer to {query!r} than before", query=query)
        return len(different)

    def _typed(self) -> Iterator[str]:
        """Yield what is typed, line by line, until the end of input; blank lines are passed over."""
        if sys.stdin.isatty() and not self._report.json:
            self._report.line("Type a query and Enter; Ctrl-D ends.")
        for line in sys.stdin:
            if query := line.strip():
                yield query

    def _cost(self) -> SearcherCost | None:
        pids = worker_pids(self._node)
        after_bytes = pss_bytes(pids)
        if self._before_bytes is None or after_bytes is None:
            return None
        mapped = mapped_bytes(pids, self._index.stored.first.pool)
        return SearcherCost.of(
            self._wanted.searchers, self._before_bytes, after_bytes, mapped, self._index.size_bytes
        )

    def _restarts(self) -> int:
        return sum(worker.restarts for worker in self._node.workers)

    def _report_kill(self, worker: WorkerProcess) -> None:
        text = f"SIGKILL to worker {worker.number} (pid {worker.pid})"
        self._report.event("kill", text, worker=worker.number, pid=worker.pid)

    def _report_times(self) -> None:
        times_s = self._times_s
        if times_s:
            text = f"{len(times_s):,} answer{'' if len(times_s) == 1 else 's'}: {milliseconds(times_s)}"
            self._report.event("answers", text, answers=len(times_s), median_s=statistics.median(times_s))

    def _report_restarts(self, restarts: int, kills: int, identical: bool | None) -> None:
        text = f"{restarts} worker restart{'' if restarts == 1 else 's'}"
        if identical is not None:
            text += f" after {kills} kills; answers identical: {'yes' if identical else 'no'}"
        if self._asked_again:
            text += f"; {self._asked_again:,} questions were asked again"
        self._report.event(
            "restarts", text, restarts=restarts, kills=kills, asked_again=self._asked_again, identical=identical
        )
