"""Options of the corpus job: what `[job.options]` and the command line may say, with their bounds.

Pure; used by job.py. Everything wrong is refused here, before a file is read or an actor started.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ..errors import SpecError

DEMO_QUERIES = (
    "merge sorted iterables",
    "thread pool executor shutdown",
    "parse http response headers",
    "walk a directory tree",
    "json decode error",
    "cancel a task with a timeout",
    "how does the garbage collector find cycles",
    "ZipFile extract all members",
)
"""Asked when nobody says what to ask; good for the standard library."""


class JobOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the job is to do. `seconds` is how long `chaos` repeats the queries; None `folder`: the standard library."""

    folder: str | None = None
    queries: tuple[Annotated[str, Meta(min_length=1, max_length=10_000)], ...] = ()
    interactive: bool = False
    chaos: bool = False
    seconds: Annotated[float, Meta(gt=0, le=86_400)] = 10.0
    kill_every_s: Annotated[float, Meta(ge=0.01, le=3600)] = 1.0
    searchers: Annotated[int, Meta(ge=1, le=1000)] = 12
    k: Annotated[int, Meta(ge=1, le=1000)] = 3
    max_restarts: Annotated[int, Meta(ge=0)] = 10
    max_seconds: Annotated[float, Meta(gt=0)] = 5.0
    pool_bytes: Annotated[int, Meta(ge=1 << 20)] = 2 << 30
    patience_s: Annotated[float, Meta(gt=0)] = 10.0


def read_options(options: Mapping[str, Any]) -> JobOptions:
    """Check the options given; those that are None count as not given. Raises SpecError naming the key."""
    given = {key: value for key, value in options.items() if value is not None}
    known = JobOptions.__struct_fields__
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
            raise SpecError(f"job.options.{key}", f"there is no such option: {hint}")
    try:
        return msgspec.convert(given, JobOptions)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        raise SpecError(f"job.options.{place.rstrip('`')}", what[:1].lower() + what[1:]) from None
