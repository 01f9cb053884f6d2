"""Large messages of one process: where they lie, when their memory is given back, and what a dead predecessor left.

Edge (files, memory); used by every process of a node when it starts, and now and then.
"""

from __future__ import annotations

from pathlib import Path

from ..transport import PROCESSES, ROW_U32, SPILLED, Board, LaneView, Spill
from .options import NodeOptions

FILES_SHARE = 8
"""So many messages of the largest size may wait in files of their own, unread."""


def open_spill(directory: Path, slot: int, options: NodeOptions, board: Board) -> Spill:
    """Return what the process in `slot` sends large messages with, and receives them.

    What it wrote and holds is a process's own, handed over or not: so processes count here, and not the board's epochs.
    """

    def process_in(slot: int) -> int:
        return int(board.u32[slot * ROW_U32 + PROCESSES])

    quota_bytes = options.max_message_bytes * FILES_SHARE
    return Spill(directory, slot, process_in(slot), quota_bytes, options.slab_bytes, process_in)


def sweep_large_messages(spill: Spill, directory: Path, slot: int) -> int:
    """Remove the large messages that a dead process of this slot wrote and did not send; return how many.

    What it did send is referred to by its lanes, and is its reader's. It is dead, so nothing is added meanwhile.
    """
    if not spill.has_predecessors():
        return 0
    referenced: set[bytes] = set()
    for path in directory.glob(f"lane.{slot}.*"):
        with LaneView(path) as lane:
            referenced.update(lane.payloads(SPILLED))
    return spill.sweep(referenced)
