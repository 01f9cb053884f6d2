"""Handover: what a worker process leaves to the next one in its slot, in one file that is there whole or not at all.

Edge (a file in the node's directory). Written by a worker that stands still (see leaving), read by its successor (see
resuming). The rename is the moment of the hand-over: killed before it, a worker dies as any other and its successor
takes over what a crash leaves; killed after it, all its actors are in the file, and there is nothing left for it to do.
The successor unlinks the file when it has all of it: killed before that, the next one begins anew, for nothing was
changed; killed after it, it dies as any other worker whose actors run.
"""

from __future__ import annotations

import gc
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..actor import PackedActor
from ..errors import SharedMemoryError
from ..memory import allocate, no_room

_FORMAT = 2


class Handover(NamedTuple):
    """All that goes from one process to the next.

    The epoch stays, so that nobody takes the slot's actors for dead; so the numbers of questions and of
    monitors go on, or answers meant for an earlier one could find a later. `died` is what its kernel knows of dead
    workers, `restart` those that could not be moved: their queue is, and their supervisors are to start them anew.
    """

    epoch: int
    question: int
    monitor: int
    died: dict[int, int]
    actors: list[PackedActor]
    restart: list[int]


@contextmanager
def no_collections() -> Iterator[None]:
    """Have the garbage collector rest meanwhile, in this process."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def handover_path(directory: Path, slot: int) -> Path:
    """Return the file of a slot's hand-over."""
    return directory / f"handover.{slot}"


def write_handover(directory: Path, slot: int, handover: Handover) -> int:
    """Write the file, whole; return its bytes. Raises SharedMemoryFull; then there is none."""
    plain = handover._replace(actors=[tuple(actor) for actor in handover.actors])  # type: ignore[misc]
    data = pickle.dumps((_FORMAT, tuple(plain)), 5)
    path = handover_path(directory, slot)
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        allocate(descriptor, 0, len(data))
        left = memoryview(data)
        # crash: handover.write
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError as error:
        os.unlink(new)
        raise no_room(f"the hand-over of worker {slot}", len(data), directory) from error
    finally:
        os.close(descriptor)
    # Killed here: nobody looks at the draft, and the next one writes over it.
    # crash: handover.rename
    os.replace(new, path)
    # Killed here: handed over.
    # crash: handover.renamed
    return len(data)


def read_handover(directory: Path, slot: int) -> Handover:
    """Read the file. Raises SharedMemoryError if it is of another make than ours."""
    form, fields = pickle.loads(handover_path(directory, slot).read_bytes())
    if form != _FORMAT:
        raise SharedMemoryError(f"the hand-over of worker {slot} has format {form}, not {_FORMAT}")
    handover = Handover(*fields)
    return handover._replace(actors=[PackedActor(*actor) for actor in handover.actors])
