"""Lanes: one process's messages to another, in blocks of shared memory, without a lock between the two.

An edge (memory). One sending process, one receiving process; the file belongs to their slots and survives both.
`LaneWriter` (lane_writer.py) is the sender's end, `LaneReader` (lane_reader.py) the receiver's, `LaneView` anybody's;
the bytes are in lane_layout.py, and what all three share is here.

A message is *accepted* when the tail passes it (`try_send` returned a block). Then it stays until the receiver frees
its block: `drain` hands it on and moves the head, but a slow actor's block holds up nobody else's. Any process may be
killed between any two stores:

- Sender: data and header, status bytes, ring entry, tail. A status other than FREE thus stands over a whole header,
  and whatever has a position at or past the tail was never accepted: the next sender frees it (`LaneWriter(path)`).
- Receiver: freeing is one store of one byte. So a message is the receiver's, or not; nothing is half freed.
  The next receiver finds what is still there (`survivors`), in order, whatever the head said.
- REST bytes are the sender's alone. It sets them before the SPAN byte and clears them before it, so the ones that no
  SPAN or RETURNED byte covers are those of a sender killed in between: the next one frees them.
- Both recoveries may run at once: one touches what stands below the tail only, the other what does not.

Order of stores is what x86 promises (each process's stores are seen in the order it made them); the fence between
"published" and "is the receiver asleep?" is the writer's lock, whose release is a locked instruction there. On other
processors both are unproven. `# crash:` lines are the places where the tests kill a process; see crashpoints.py.
"""

from __future__ import annotations

import os
from itertools import compress
from typing import Self

from ..lean_dataclass import dataclass
from ..memory import Segment
from .lane_layout import (
    BLOCK_SHIFT,
    DEFAULT_BLOCKS,
    FREE,
    HEAD,
    HEADER,
    IS_MESSAGE,
    MESSAGE_HEADER_BYTES,
    RING,
    SENT_BYTES,
    TAIL,
    WAITS,
    WANT,
    LaneLayout,
    layout_of,
)


@dataclass(frozen=True, slots=True)
class LaneStatistics:
    """What a lane did and holds. `sent_bytes` may be some 128 messages behind; the rest is of this moment."""

    blocks: int
    used: int
    """Blocks not free, among them those of the `depth` messages and those that wait at their actor."""
    sent: int
    sent_bytes: int
    drained: int
    depth: int
    """Messages published and not yet drained."""
    waits: int
    """Times the sender found no room."""
    wanted: bool
    """Whether the sender waits for room now."""


def create_lane(path: str | os.PathLike[str], blocks: int = DEFAULT_BLOCKS) -> None:
    """Create an empty lane: `blocks` is a power of two, 261 bytes each, all allocated now.

    Raises SharedMemoryFull (nothing is left behind) or FileExistsError.
    """
    layout = LaneLayout(blocks)
    Segment.create(path, layout.size_bytes, what=f"a lane of {blocks} blocks", header=layout.header()).close()


class LaneEnd:
    """What both ends and the view share: the mapping and its parts, which are open to the two ends only."""

    __slots__ = ("blocks", "buf", "data", "mapped", "mask", "ring", "segment", "status", "status_at", "words")

    def __init__(self, path: str | os.PathLike[str], *, writable: bool) -> None:
        segment = Segment.open(path, writable=writable, grows=False, what="a lane")
        try:
            layout = layout_of(segment)
        except BaseException:
            segment.close()
            raise
        self.segment = segment
        self.mapped = segment.mmap
        self.blocks, self.mask = layout.blocks, layout.blocks - 1
        self.status_at, self.data = layout.status, layout.data
        self.buf = segment.buf
        self.words = segment.buf[:RING].cast("Q")
        self.ring = segment.buf[RING : layout.status].cast("I")
        self.status = segment.buf[layout.status : layout.status + layout.blocks]

    @property
    def path(self) -> str:
        """Return the lane's file."""
        return self.segment.path

    def statistics(self) -> LaneStatistics:
        """Return what the lane did and holds, read from the shared bytes; for any process, at any time."""
        words = self.words
        head = words[HEAD]  # before the tail, or a drain in between would make the depth negative
        tail = words[TAIL]
        statuses = self.mapped[self.status_at : self.status_at + self.blocks]
        return LaneStatistics(
            blocks=self.blocks,
            used=self.blocks - statuses.count(FREE),
            sent=tail - 1,
            sent_bytes=words[SENT_BYTES],
            drained=head - 1,
            depth=tail - head,
            waits=words[WAITS],
            wanted=bool(self.buf[WANT]),
        )

    def close(self) -> None:
        """Unmap. The file and what it holds stay. Idempotent."""
        for view in (self.words, self.ring, self.status):
            view.release()
        self.segment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LaneView(LaneEnd):
    """A read-only look at a lane, from any process: it can neither disturb the ends nor wait for them."""

    __slots__ = ()

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, writable=False)

    def payloads(self, flag: int) -> list[bytes]:
        """Return the payloads of the messages accepted and not yet freed whose flags have `flag`, in no order.

        For a lane whose sender is dead: while it is read, its receiver may free some, which may be among them or not.
        """
        tail = self.words[TAIL]
        statuses = self.mapped[self.status_at : self.status_at + self.blocks]
        found = []
        for block in compress(range(self.blocks), statuses.translate(IS_MESSAGE)):
            at = self.data + (block << BLOCK_SHIFT)
            position, _dest, _corr, _kind, flags, _block, length = HEADER.unpack_from(self.mapped, at)
            if 0 < position < tail and flags & flag:
                found.append(self.mapped[at + MESSAGE_HEADER_BYTES : at + MESSAGE_HEADER_BYTES + length])
        return found
