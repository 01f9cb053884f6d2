"""The team: who reads the corpus, who searches a share of it, and who asks them all.

Actors; started by job.py. What is large stands in shared memory and travels as a handle. Every one of them can be
killed at any moment and started again from its arguments: none has state that is not in the shared tables.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from ..actor import Actor, Future
from ..clock import SYSTEM
from ..errors import CallTimeout, SharedMemoryError
from ..memory import ContextPool, Handle
from .bm25 import Index, share
from .files import TextFile
from .gather import Answering, gather
from .index import Shard, Tables, ingest, join
from .ranking import Hit, merge

COORDINATOR = "coordinator"


class Stored(NamedTuple):
    """Three tables in shared memory: of a Shard, or an index's Tables, in their order."""

    first: Handle
    second: Handle
    third: Handle

    def get(self) -> tuple[Any, Any, Any]:
        """Map the tables: zero-copy, once a process."""
        return self.first.get(), self.second.get(), self.third.get()


class Indexed(NamedTuple):
    """What stands in shared memory now, and how much it is."""

    stored: Stored
    passages: int
    terms: int
    postings: int
    size_bytes: int


class Answer(NamedTuple):
    """A query's hits, best first. `asked_again`: how often a searcher that had died was asked once more."""

    hits: list[Hit]
    asked_again: int


def searcher_name(part: int) -> str:
    """Return the registered name of the searcher of share `part` (from 0)."""
    return f"searcher-{part + 1}"


def pause(seconds: float) -> None:
    """Wait without holding up the worker: the actor parks, others run."""
    try:
        Future("a pause").get(timeout=seconds)
    except CallTimeout:
        pass


class Ingest(Actor):
    """Reads and tokenizes; it has a thread of its own, because a shard takes a second and its worker must go on."""

    blocking = True
    reply_errors = (SharedMemoryError,)  # that there is no room is an answer; it would not be otherwise after a restart

    def __init__(self, pool: ContextPool) -> None:
        self._pool = pool

    def ingest(self, name: str, files: Sequence[TextFile]) -> Indexed:
        """Read `files` and put their shard into the pool, under names that begin with `name`."""
        shard = ingest(files)
        return self._put(name, shard, shard.vocabulary.num_rows, shard.occurrences.num_rows)

    def join(self, name: str, shards: Sequence[Stored]) -> Indexed:
        """Join shards, given in the order of their files, and put the index into the pool."""
        tables = join([Shard(*stored.get()) for stored in shards])
        return self._put(name, tables, tables.terms.num_rows, tables.postings.num_rows)

    def on_stop(self) -> None:
        """Give the memory that reading took back to the system, so that it is not taken for the searchers' own."""
        pa.default_memory_pool().release_unused()

    def _put(self, name: str, tables: Shard | Tables, terms: int, postings: int) -> Indexed:
        handles = [self._pool.put(f"{name}-{part}", table) for part, table in zip(tables._fields, tables, strict=True)]
        size_bytes = sum(table.nbytes for table in tables)
        return Indexed(Stored(*handles), tables[0].num_rows, terms, postings, size_bytes)


class Searcher(Actor):
    """Searches one share of the passages, with the figures of the whole corpus."""

    def __init__(self, stored: Stored, part: int, parts: int) -> None:
        self._index = Index(Tables(*stored.get()))
        self._share = share(self._index.size, part, parts)

    def search(self, query: str, k: int = 10) -> list[Hit]:
        """Return the share's best `k` passages for the query, best first."""
        return self._index.search(query, k, self._share)

    def memory(self) -> dict[str, int]:
        """Say what this searcher stands on: its process, its passages, and the shared bytes it did not copy."""
        return {"pid": os.getpid(), "passages": len(self._share), "shared_bytes": self._index.tables.size_bytes}


class Coordinator(Actor):
    """Asks every searcher and merges what they found; whoever dies meanwhile is asked again when it is back."""

    def __init__(self, searchers: int, patience_s: float = 10.0) -> None:
        self._names = [searcher_name(part) for part in range(searchers)]
        self._patience_s = patience_s

    def search(self, query: str, k: int = 10) -> Answer:
        """Return the best `k` passages of the corpus, best first.

        Raises CallTimeout or ActorDied if a searcher is not back within the coordinator's patience: an answer is
        whole or none.
        """

        def ask(name: str) -> Answering | None:
            searcher = self.node.whereis(name)
            return None if searcher is None else searcher.request.search(query, k)

        found = gather(self._names, ask, timeout_s=self._patience_s, now=SYSTEM.now, pause=pause)
        return Answer(merge(found.answers, k), found.asked_again)
