"""Suggestions: "did you mean …?" for a word that is not one of those that are known.

Pure; used wherever config refuses a name.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the known word nearest to `word`, or `""` if none is near.

    >>> did_you_mean("wrokers", ["workers", "spares"])
    "; did you mean 'workers'?"
    >>> did_you_mean("colour", ["workers", "spares"])
    ''
    """
    if not isinstance(word, str):
        return ""
    by_plain = {_plain(name): name for name in known}
    near = get_close_matches(_plain(word), by_plain, n=1, cutoff=0.6)
    return f"; did you mean {by_plain[near[0]]!r}?" if near else ""


def _plain(word: str) -> str:
    """Forget case, dashes and underscores, so that `One-For-All` is next to `one_for_all`."""
    return word.casefold().replace("-", "_").strip()
