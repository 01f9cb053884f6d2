"""The index as something to search: BM25 over Arrow tables, read where they lie.

Pure; used by actors.py. Nothing is built at start and nothing of the index is copied: a term is found by bisecting
the sorted terms' bytes, its postings by slicing, a searcher's share of them by bisecting the slice. All figures of a
score (number of documents, average length, how many hold the term) are those of the whole corpus, so the ranked lists
of any division into shares merge to exactly the answer of one search over everything.
"""

from __future__ import annotations

import heapq
import struct
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, overload

import pyarrow.compute as pc

from .index import Tables
from .ranking import Hit, best_line, idf, snippet, weight
from .tokens import query_terms

_Kind = Literal["B", "H", "i", "q"]


def share(documents: int, part: int, parts: int) -> range:
    """Return the documents of share `part` (from 0) of `parts`; the shares cover all, none twice.

    >>> [share(10, part, 3) for part in range(3)]
    [range(0, 3), range(3, 6), range(6, 10)]
    """
    return range(documents * part // parts, documents * (part + 1) // parts)


class _Found(NamedTuple):
    """A query's term in a share: how telling it is, and its postings there."""

    telling: float
    documents: memoryview[int]
    counts: memoryview[int]
    lines: memoryview[int]


class _Strings(Sequence[bytes]):
    """A column of strings, each copied only when looked at."""

    def __init__(self, column: Any) -> None:
        chunk = _single(column)
        _, offsets, data = chunk.buffers() if len(chunk) else (None, None, None)
        self._count = len(chunk)
        self._offsets = _cast(offsets, "q", chunk.offset, len(chunk) + 1 if len(chunk) else 0)
        self._data = memoryview(b"" if data is None else data)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[bytes]: ...
    def __getitem__(self, at: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(self._count))]
        return bytes(self._data[self._offsets[at] : self._offsets[at + 1]])


class Index:
    """Search over the index's tables, which stay pinned while this lives. A few kB, whatever the corpus."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        documents, terms, postings = tables
        self.size = documents.num_rows
        lengths = documents["length"]
        self.average = (pc.sum(lengths).as_py() or 0) / max(self.size, 1)
        self._paths, self._texts = _Strings(documents["path"]), _Strings(documents["text"])
        self._first_lines, self._lengths = _numbers(documents["line"], "i"), _numbers(lengths, "i")
        self._terms = _Strings(terms["term"])
        self._starts, self._holding = _numbers(terms["start"], "q"), _numbers(terms["holding"], "i")
        self._documents = _numbers(postings["document"], "i")
        self._counts, self._lines = _numbers(postings["count"], "H"), _numbers(postings["line"], "B")

    def search(self, query: str, k: int, within: range | None = None) -> list[Hit]:
        """Return the best `k` passages of `within` (default: of all) that hold any of the query's words, best first.

        Blocks for about 0.3 µs a posting of the query's terms in the share. An empty query has no answer.
        """
        share = range(self.size) if within is None else within
        found = [held for term in query_terms(query) if (held := self._find(term, share)) is not None]
        scores: dict[int, float] = {}
        lengths, average, known = self._lengths, self.average, scores.get
        for telling, documents, counts, _ in found:
            for document, count in zip(documents.tolist(), counts.tolist(), strict=True):
                added = weight(telling, count, lengths[document], average)
                scores[document] = known(document, 0.0) + added
        # documents are numbered by path, then line, so the number breaks ties as rank_of does
        best = heapq.nsmallest(k, ((-score, document) for document, score in scores.items()))
        return [self._hit(document, -score, found) for score, document in best]

    def _find(self, term: str, share: range) -> _Found | None:
        wanted = term.encode()
        at = bisect_left(self._terms, wanted)
        if at == len(self._terms) or self._terms[at] != wanted:
            return None
        holding = self._holding[at]
        start = self._starts[at]
        end = start + holding
        low = bisect_left(self._documents, share.start, start, end)
        high = bisect_left(self._documents, share.stop, low, end)
        return _Found(idf(self.size, holding), self._documents[low:high], self._counts[low:high], self._lines[low:high])

    def _hit(self, document: int, score: float, found: list[_Found]) -> Hit:
        weights: list[tuple[int, float]] = []
        for telling, documents, counts, lines in found:
            at = bisect_left(documents, document)
            if at < len(documents) and documents[at] == document:
                added = weight(telling, counts[at], self._lengths[document], self.average)
                weights.append((lines[at], added))
        line = best_line(weights)
        text = self._texts[document].decode()
        return Hit(
            self._paths[document].decode(),
            self._first_lines[document] + line,
            snippet(text.split("\n")[line]),
            score,
        )


def _single(column: Any) -> Any:
    """Return the column's only chunk; a table of several, which no writer of ours makes, is copied into one."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _numbers(column: Any, kind: _Kind) -> memoryview[int]:
    chunk = _single(column)
    return _cast(chunk.buffers()[1] if len(chunk) else None, kind, chunk.offset, len(chunk))


def _cast(buffer: Any, kind: _Kind, offset: int, count: int) -> memoryview[int]:
    size = struct.calcsize(kind)
    view = memoryview(b"" if buffer is None else buffer).cast("B")
    return view[offset * size : (offset + count) * size].cast(kind)
