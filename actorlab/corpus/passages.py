"""Passages: the pieces of a file that are ranked, found and shown.

Pure; used by index.py and scan.py. A passage ends at a blank line once it is long enough, and in any case at
`MAX_LINES`, so that an answer points into a function or a paragraph and not at a file of 3,000 lines. Lines are
what `grep -n` and editors call lines: ended by a line feed, numbered from 1.
"""

from __future__ import annotations

from collections.abc import Iterator

MIN_LINES = 20
MAX_LINES = 50  # below 256: the index keeps a line within its passage in one byte


def passages(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the first line, lines) of each passage; together they are the text.

    >>> [(first, len(lines)) for first, lines in passages("x\\n" * 120)]
    [(1, 50), (51, 50), (101, 21)]
    """
    lines = text.split("\n")
    start = 0
    while start < len(lines):
        end = min(start + MAX_LINES, len(lines))
        for at in range(start + MIN_LINES, end):
            if not lines[at] or lines[at].isspace():
                end = at + 1
                break
        yield start + 1, lines[start:end]
        start = end
