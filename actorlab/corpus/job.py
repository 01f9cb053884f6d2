"""The corpus job: read, share, start the team, ask, say what it cost.

Edge; `actorlab run config/corpus.toml` calls `run`. It conducts and computes nothing: reading is done by Ingest
actors, searching by a supervised team, asking by a Session, and what is in memory belongs to the pool.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..memory import ContextPool
from ..supervision import Supervisor, child
from .account import megabytes, pss_bytes
from .actors import COORDINATOR, Coordinator, Indexed, Ingest, Searcher, searcher_name
from .files import Corpus, find_text, shards
from .gather import Answering, gather
from .options import JobOptions, read_options
from .protocols import Node, Report
from .session import Session, worker_pids

INGEST_TIMEOUT_S = 600.0
SHARDS_A_WORKER = 4
"""More shards than workers: none waits long for the slowest, and progress is seen. Each repeats the common words."""


def run(node: Node, options: Mapping[str, Any], report: Report) -> int:
    """Do the whole job on a running node; blocks until it is done. Returns 0, or 1 if chaos changed an answer.

    Raises SpecError for options, CorpusError for the folder, SharedMemoryFull where the index does not fit; what had
    been started is stopped.
    """
    wanted = read_options(options)
    corpus = find_text(wanted.folder)
    skipped = f", {corpus.skipped:,} others skipped" if corpus.skipped else ""
    report.event(
        "corpus",
        f"{corpus.folder}: {len(corpus.files):,} text files, {megabytes(corpus.size_bytes)}{skipped}",
        folder=corpus.folder, files=len(corpus.files), size_bytes=corpus.size_bytes, skipped=corpus.skipped,
    )  # fmt: skip
    index = _index(node, node.pool("corpus", max_bytes=wanted.pool_bytes), corpus, report)
    before_bytes = pss_bytes(worker_pids(node))
    with _running(node, _team(wanted, index)):
        report.event("team", f"{wanted.searchers} searchers and a coordinator", searchers=wanted.searchers)
        return 0 if Session(node, wanted, report, index, before_bytes).run() else 1


def _index(node: Node, pool: ContextPool, corpus: Corpus, report: Report) -> Indexed:
    """Have the workers read and join the corpus; what they needed on the way is gone when this returns."""
    began = time.monotonic()
    readers = [f"ingest-{n + 1}" for n in range(max(len(node.workers), 1))]
    parts = {f"shard-{n}": files for n, files in enumerate(shards(corpus.files, SHARDS_A_WORKER * len(readers)))}
    turns = {name: readers[n % len(readers)] for n, name in enumerate(parts)}
    read: list[str] = []

    def progress(name: str, part: Indexed) -> None:
        read.append(name)
        text = f"{len(read)} of {len(parts)} parts read: {len(parts[name]):,} files, {part.passages:,} passages"
        report.event("ingest", text, part=len(read), parts=len(parts), passages=part.passages)

    def ask_to_read(name: str) -> Answering | None:
        reader = node.whereis(turns[name])
        return None if reader is None else reader.request.ingest(name, parts[name])

    with _running(node, Supervisor(name="ingest", children=[child(Ingest, pool, name=name) for name in readers])):
        stored = [part.stored for part in _gather(parts, ask_to_read, progress)]

        def ask_to_join(_: str) -> Answering | None:
            reader = node.whereis(readers[0])
            return None if reader is None else reader.request.join("index", stored)

        (index,) = _gather(["index"], ask_to_join)
    for part in stored:
        for handle in part:
            pool.drop(handle)
    took_s = time.monotonic() - began
    report.event(
        "index",
        f"{index.passages:,} passages, {index.terms:,} terms, {index.postings:,} postings: "
        f"{megabytes(index.size_bytes)} of shared memory, in {took_s:.1f} s",
        passages=index.passages, terms=index.terms, postings=index.postings, size_bytes=index.size_bytes, took_s=took_s,
    )  # fmt: skip
    return index


def _gather(
    names: Iterable[str],
    ask: Callable[[str], Answering | None],
    on_answer: Callable[[str, Indexed], object] | None = None,
) -> list[Indexed]:
    return gather(
        names, ask, timeout_s=INGEST_TIMEOUT_S, now=time.monotonic, pause=time.sleep, on_answer=on_answer
    ).answers


def _team(wanted: JobOptions, index: Indexed) -> Supervisor:
    """The supervised team; the searchers come first, so that a coordinator that starts finds them."""
    searchers = [
        child(Searcher, index.stored, part, wanted.searchers, name=searcher_name(part))
        for part in range(wanted.searchers)
    ]
    return Supervisor(
        name="team",
        strategy="one_for_one",
        max_restarts=wanted.max_restarts,
        max_seconds=wanted.max_seconds,
        children=[*searchers, child(Coordinator, wanted.searchers, wanted.patience_s, name=COORDINATOR)],
    )


@contextmanager
def _running(node: Node, tree: Supervisor) -> Iterator[None]:
    """Run a supervised team for as long as the block lasts."""
    supervisor = node.start(tree)
    try:
        yield
    finally:
        supervisor.stop()
