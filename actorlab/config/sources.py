"""Sources: the files that a configuration is made of, read, checked and merged.

Edge (files, the environment); used by load. A file may `include` others, which come before it; several files given
together come in their order. A file that somebody else could have written is refused before it is read, whichever way
it came in: it names code that runs as whoever loads it.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import ConfigError
from ..memory import foreign_owner, other_writers
from .overlay import Document, Whole, fill_in, merge

_LARGEST_BYTES = 4 << 20
_MOST_FILES = 64


def gather(files: Sequence[str], environment: Mapping[str, str]) -> tuple[Whole, list[tuple[str, str]]]:
    """Read the files, what they include, and the variables they name; return the whole and what is wrong with it.

    Raises ConfigError for a file that cannot be read, is not safe, is no TOML, or includes itself.
    """
    found = [pair for file in files for pair in _with_includes(file, ())]
    whole = merge(found)
    whole.document.pop("include", None)
    allowed = whole.document.pop("environment", [])
    if not isinstance(allowed, list) or not all(isinstance(name, str) for name in allowed):
        return whole, [("environment", f"must be a list of variables' names, not {allowed!r}")]
    if all("environment" not in document for _, document in found):
        return whole, []  # a dollar sign is nothing but one, where no document asked for more
    whole.variables = tuple(allowed)
    whole.document, problems = fill_in(whole.document, environment, allowed)
    return whole, problems


def _with_includes(file: str, outer: tuple[str, ...]) -> Iterator[tuple[str, Document]]:
    """Yield what a file includes, in its order and first, and then the file."""
    real = os.path.realpath(file)
    if real in outer:
        raise _refuse(outer[0], f"includes itself: {' → '.join((*outer[outer.index(real) :], real))}")
    if len(outer) >= _MOST_FILES:
        raise _refuse(outer[0], f"includes more than {_MOST_FILES} files within each other")
    document = _parse(_contents(file, outer), file)
    included = document.get("include", [])
    if not isinstance(included, list) or not all(isinstance(name, str) and name for name in included):
        raise ConfigError(file, (("include", f"must be a list of files, not {included!r}"),))
    for name in included:
        yield from _with_includes(os.path.join(os.path.dirname(file), name), (*outer, real))
    yield file, {key: value for key, value in document.items() if key != "include"}


def _contents(file: str, outer: tuple[str, ...]) -> bytes:
    try:
        # O_NONBLOCK: a FIFO must be refused, not waited for
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        by = f"; {outer[-1]} includes it" if outer else ""
        raise _refuse(file, f"there is no such file{by}") from None
    except OSError as error:
        raise _refuse(file, f"cannot be read: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _refuse(file, "is not a file")
        _check_safe(file, found)
        if found.st_size > _LARGEST_BYTES:
            raise _refuse(file, f"has {found.st_size:,} bytes; a configuration has at most {_LARGEST_BYTES:,}")
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read()
    finally:
        os.close(descriptor)


def _check_safe(file: str, found: os.stat_result) -> None:
    """Refuse a file that others may write to: it names code that runs as whoever loads it."""
    if (owner := foreign_owner(found)) is not None:
        raise _refuse(
            file,
            f"belongs to uid {owner}, who could run code as you through it; "
            f"if you trust its contents: chown {os.geteuid()} {file}",
        )
    if who := other_writers(found):
        raise _refuse(
            file,
            f"may be written by {who} (mode {stat.S_IMODE(found.st_mode):o}), who could run code as you through it; "
            f"chmod go-w {file}",
        )


def _parse(contents: bytes, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(contents.decode())
    except UnicodeDecodeError as error:
        raise _refuse(file, f"is not UTF-8: byte {error.start} is {contents[error.start]:#04x}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _refuse(file, f"is not TOML: {error}") from None


def _refuse(file: str, why: str) -> ConfigError:
    return ConfigError(file, (("", why),))
