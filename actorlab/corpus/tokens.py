"""Words of source code and prose, as the index counts them.

Pure; used by index.py, scan.py and whoever asks. A word begins with a letter or underscore; numbers are
dropped, because tables of constants would outnumber the vocabulary. A compound name counts as itself and as
its parts, so that `ThreadPoolExecutor` is found by `thread pool` and `max_workers` by `workers`. Case is folded.
"""

from __future__ import annotations

import re

MAX_LETTERS = 64
"""Longer words are no words of any language but encoded data: dropped."""

_WORD = re.compile(r"\b[^\W\d]\w*")
_HUMP = re.compile(r"U+(?=Ul)|U?l+|U+")

find_words = _WORD.findall
"""`find_words(text)`: the words of a text in order, unfolded and unsplit."""


def terms_of(word: str) -> tuple[str, ...]:
    """Return the terms one word counts as: itself, then its parts where it has several; each folded, none twice.

    >>> terms_of("ThreadPoolExecutor")
    ('threadpoolexecutor', 'thread', 'pool', 'executor')
    >>> terms_of("max_workers"), terms_of("__init__"), terms_of("HTTPServer2")
    (('max_workers', 'max', 'workers'), ('__init__', 'init'), ('httpserver2', 'http', 'server'))
    >>> terms_of("heap"), terms_of("_")
    (('heap',), ())
    """
    if len(word) > MAX_LETTERS:
        return ()
    whole = word.casefold()
    if word.isalpha() and (word.islower() or word.isupper() or word[1:].islower()):
        return (whole,)
    shape = "".join("_" if c == "_" else "d" if c.isdigit() else "U" if c.isupper() else "l" for c in word)
    parts = [word[hump.start() : hump.end()].casefold() for hump in _HUMP.finditer(shape)]
    return tuple(dict.fromkeys([whole, *parts])) if parts else ()


def tokens(text: str) -> list[str]:
    """Return every term of a text, in order, repeated as often as it counts.

    >>> tokens("def merge_all(x): return 0x1f  # 42 heaps")
    ['def', 'merge_all', 'merge', 'all', 'x', 'return', 'heaps']
    """
    return [term for word in find_words(text) for term in terms_of(word)]


def query_terms(query: str) -> tuple[str, ...]:
    """Return the distinct terms of a query in sorted order: the order in which every ranking adds up its scores.

    >>> query_terms("merge sorted merge")
    ('merge', 'sorted')
    """
    return tuple(sorted(set(tokens(query))))
