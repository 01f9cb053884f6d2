"""A plain scan: the same ranking without an index, by reading everything for each query.

Pure but for reading the files; the oracle that tests compare the team's answers with, and deliberately naive: one
process, one loop over all passages, no table, no division, no heap. It shares with the index only what defines the
answer: what a word, a passage, a score and the best line are.
"""

from __future__ import annotations

from collections.abc import Iterable

from .files import TextFile, read_text
from .passages import passages
from .ranking import MAX_COUNT, Hit, best_line, idf, rank_of, snippet, weight
from .tokens import query_terms, tokens


class Scan:
    """The passages of some files, kept as lines of terms; `search` looks at every one of them."""

    def __init__(self, files: Iterable[TextFile]) -> None:
        self._passages: list[tuple[str, int, list[str], list[list[str]]]] = []
        for file in files:
            for first_line, lines in passages(read_text(file) or ""):
                terms = [tokens(line) for line in lines]
                if any(terms):
                    self._passages.append((file.path, first_line, lines, terms))
        self._lengths = [sum(len(line) for line in terms) for _, _, _, terms in self._passages]

    def search(self, query: str, k: int) -> list[Hit]:
        """Return the best `k` passages for the query, best first; blocks for a look at every word of the corpus."""
        wanted = query_terms(query)
        documents = len(self._passages)
        average = sum(self._lengths) / max(documents, 1)
        holding = {
            term: sum(any(term in line for line in terms) for _, _, _, terms in self._passages) for term in wanted
        }
        hits = []
        for (path, first_line, lines, terms), length in zip(self._passages, self._lengths, strict=True):
            score = 0.0
            begins: list[tuple[int, float]] = []
            for term in wanted:
                count = sum(line.count(term) for line in terms)
                if count:
                    added = weight(idf(documents, holding[term]), min(count, MAX_COUNT), length, average)
                    score += added
                    begins.append((next(at for at, line in enumerate(terms) if term in line), added))
            if begins:
                at = best_line(begins)
                hits.append(Hit(path, first_line + at, snippet(lines[at]), score))
        return sorted(hits, key=rank_of)[:k]
