"""The lanes, copied: what is on its way between processes, and how many bytes wait for whom.

Edge (files, read-only); used by the observer. A message stays in its lane until it is handled, so the lanes say
exactly how many bytes wait in the mailbox of every actor, as far as they came from other processes.
"""

from __future__ import annotations

from collections import Counter
from itertools import compress
from pathlib import Path

from ..actor import CALL
from ..lean_dataclass import dataclass
from ..transport import (
    BLOCK_SHIFT,
    FREE,
    LANE_BLOCKS,
    LANE_HEAD,
    LANE_HEADER,
    LANE_IS_MESSAGE,
    LANE_SENT_BYTES,
    LANE_TAIL,
    LANE_WAITS,
    MESSAGE_HEADER_BYTES,
    RING_AT,
    SPILLED,
    LaneLayout,
    spill_size_in,
)
from .board import read_at


@dataclass(frozen=True, slots=True)
class LaneImage:
    """A lane as it was at one moment. `waiting` is payload bytes by the address that they wait for."""

    sender: int
    receiver: int
    blocks: int
    used: int
    sent: int
    drained: int
    sent_bytes: int
    waits: int
    waiting: Counter[int]


def read_lane(path: Path) -> LaneImage:
    """Copy a lane's counters, and the headers of the messages in it. Raises OSError if it is gone.

    Costs 25 kB of copying and 1 µs a message in it.
    """
    _, sender, receiver = path.name.split(".")
    words = memoryview(read_at(path, 0, RING_AT)).cast("Q")
    layout = LaneLayout(words[LANE_BLOCKS])
    statuses = read_at(path, layout.status, layout.blocks)
    used = layout.blocks - statuses.count(FREE)
    waiting: Counter[int] = Counter()
    if used:
        tail = words[LANE_TAIL]
        last = max(compress(range(layout.blocks), statuses))
        data = read_at(path, layout.data, (last + 1) << BLOCK_SHIFT)
        for block in compress(range(layout.blocks), statuses.translate(LANE_IS_MESSAGE)):
            at = block << BLOCK_SHIFT
            position, dest, _corr, kind, flags, _block, length = LANE_HEADER.unpack_from(data, at)
            if 0 < position < tail and kind <= CALL:
                if flags & SPILLED:
                    start = at + MESSAGE_HEADER_BYTES
                    length = spill_size_in(data[start : start + length])
                waiting[dest] += length
    return LaneImage(
        int(sender), int(receiver), layout.blocks, used, words[LANE_TAIL] - 1, words[LANE_HEAD] - 1,
        words[LANE_SENT_BYTES], words[LANE_WAITS], waiting,
    )  # fmt: skip
