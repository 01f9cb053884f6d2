"""Ranking: Okapi BM25, what a hit is, and how ranked lists become one.

Pure; used by bm25.py (the index), scan.py (the oracle) and actors.py (the fan-out). The score of a passage is
the sum over the query's distinct terms, added in sorted order, of `idf · tf·(k1+1) / (tf + k1·(1−b+b·length/average))`
with k1 = 1.2 and b = 0.75 (Robertson and Zaragoza, 2009), and the idf that is never negative. Best first; equal
scores by path, then line: an answer does not depend on how the corpus was divided. Scores are compared bit by bit, so
whoever ranks must use `idf` and `weight` and that order of addition.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

K1 = 1.2
B = 0.75
MAX_COUNT = 65_535
"""A term counts at most so often in a passage: the index keeps counts in two bytes, and BM25 is flat there."""

SNIPPET_LETTERS = 160


class Hit(NamedTuple):
    """One answer: the passage's best line. `path` is relative to the corpus, `line` counts from 1."""

    path: str
    line: int
    snippet: str
    score: float


def idf(documents: int, holding: int) -> float:
    """Return how telling a term is that `holding` of all `documents` contain.

    >>> round(idf(1000, 1), 3), round(idf(1000, 1000), 4)
    (6.503, 0.0005)
    """
    return math.log(1.0 + (documents - holding + 0.5) / (holding + 0.5))


def weight(telling: float, count: int, length: int, average: float) -> float:
    """Return what one term that occurs `count` times adds to the score of a passage of `length` terms.

    >>> weight(1.0, 1, 100, 100.0)
    1.0
    """
    return telling * count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length / average))


def best_line(weights: Iterable[tuple[int, float]]) -> int:
    """Return the line on which the most weight begins; the first of equals. `weights`: (line, weight) a term.

    >>> best_line([(3, 1.0), (7, 0.6), (7, 0.6)])
    7
    """
    by_line: dict[int, float] = {}
    for line, added in weights:
        by_line[line] = by_line.get(line, 0.0) + added
    return min(by_line, key=lambda line: (-by_line[line], line))


def snippet(line: str) -> str:
    """Return a line as an answer shows it: white space collapsed, control characters gone, at most 160 letters.

    >>> snippet("\\tdef  merge(*iterables):\\x1b ")
    'def merge(*iterables):'
    """
    shown = " ".join("".join(c if c.isprintable() else " " for c in line[: 4 * SNIPPET_LETTERS]).split())
    return shown if len(shown) <= SNIPPET_LETTERS else shown[: SNIPPET_LETTERS - 1] + "…"


def rank_of(hit: Hit) -> tuple[float, str, int]:
    """Return what hits are sorted by: score descending, path, line."""
    return -hit.score, hit.path, hit.line


def merge(ranked: Iterable[Iterable[Hit]], k: int) -> list[Hit]:
    """Return the best `k` of lists that are ranked already.

    >>> merge([[Hit("a", 1, "", 3.0)], [Hit("b", 1, "", 4.0), Hit("b", 2, "", 3.0)]], 2)
    [Hit(path='b', line=1, snippet='', score=4.0), Hit(path='a', line=1, snippet='', score=3.0)]
    """
    return list(islice(heapq.merge(*ranked, key=rank_of), k))
