"""The board: who sleeps, who has news for whom, and whether everybody is alive; one small file a node.

An edge (memory). Made by the controller, mapped by every process of the node. A row a process slot, 320 bytes:

    0       1      4           8      16      24   28     32       40        48      64
    ┌───────┬──────┬───────────┬──────┬───────┬────┬──────┬────────┬─────────┬───────┬─────────────────────────────┐
    │asleep │ shed │ processes │ beat │ beat2 │pid │epoch │current │busy_from│       │ news: 256 bytes, one a slot │
    └───────┴──────┴───────────┴──────┴───────┴────┴──────┴────────┴─────────┴───────┴─────────────────────────────┘

`news[s]` is set by the sender in slot s (1: look at my lane; 2: and there is room in yours) and cleared by the row's
owner; the rest of a row is its owner's alone. `beat` counts turns of its loop and `beat2` those of its helper thread
(standing still: hung, or stopped); `current` is the address of the actor in hand since `busy_from` (ns, monotonic);
`processes` counts the processes the slot has had, `epoch` those of them that began anew, and did not go on with what
their predecessor handed over; `shed` says that it takes no new actors just now, and the byte behind
it that the slot is a guest in another one's process.
How an awake receiver spares its senders all this is in watch.py.

The sleeping protocol, in which each side's fence stands between its store and its load (Dekker):

    sender:    publish in the lane; fence; news = 1; fence; asleep? then ring
    receiver:  asleep = 1; fence; any news? then wake = do not sleep;    and: news = 0; fence; drain the lane

So a message published is seen by the drain, or its news is seen before sleep, or its sender sees the sleeper. The
fence is a lock acquired and released: a locked instruction on x86; on other processors this is unproven. A sender
killed between publishing and ringing leaves a message without news: whoever reaps it posts to all its receivers.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from itertools import compress
from typing import Self

from ..errors import SegmentCorrupt
from ..memory import PAGE, Segment, encode_header

MAGIC = b"alBoard"
VERSION = 1

SLOTS = 256
ROW_BYTES = 320
ROWS_AT = PAGE
NEWS_AT = 64
WORKERS_AT = 128
AWAKE, ASLEEP, ASLEEP_SECOND = 0, 1, 2

# Offsets within a row, in units of the field's size: `u64[board.row64(slot) + BEAT]`.
ROW_U64, ROW_U32 = ROW_BYTES // 8, ROW_BYTES // 4
BEAT, BEAT2, CURRENT, BUSY_FROM = 1, 2, 4, 5  # u64
PROCESSES, PID, EPOCH = 1, 6, 7  # u32
SHEDDING, GUEST = 1, 2  # u8

_FILE_BYTES = ROWS_AT + SLOTS * ROW_BYTES
_QUIET = bytes(SLOTS)


class Board:
    """The board as one process sees it. `u8`, `u32` and `u64` show the rows, to load from and to store into directly.

    One thread may `take` and `sleep` for a slot; any thread may `post`. Do not carry it over a fork: open another.
    """

    __slots__ = ("_lock", "_segment", "fence", "mapped", "u8", "u32", "u64")

    fence: Callable[[], None]
    """Let no load that follows overtake a store that precedes (x86; elsewhere unproven). 0.1 µs."""

    def __init__(self, segment: Segment) -> None:
        """Use `create` or `open`."""
        segment.geometry(MAGIC, VERSION)
        if segment.size_bytes != _FILE_BYTES:
            raise SegmentCorrupt(segment.path, f"a board has {_FILE_BYTES} bytes, not {segment.size_bytes}")
        self._segment, self.mapped = segment, segment.mmap
        self.u8 = segment.buf[ROWS_AT:]
        self.u32, self.u64 = self.u8.cast("I"), self.u8.cast("Q")
        self._lock = threading.RLock()  # reentrant: a signal handler may post while this thread does
        self.fence = _fence(self._lock)

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> Self:
        """Create an empty board. Raises SharedMemoryFull or FileExistsError."""
        return cls(Segment.create(path, _FILE_BYTES, what="the board", header=encode_header(MAGIC, VERSION)))

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, writable: bool = True) -> Self:
        """Map a board; observers do so read-only."""
        return cls(Segment.open(path, writable=writable, grows=False, what="the board"))

    def post(self, receiver: int, sender: int) -> int:
        """Say that `sender` published something for `receiver`; return how it sleeps (AWAKE: no need to ring).

        Call it after a send whose end is a fence, as `LaneWriter.try_send`'s is. News that is already up needs
        nothing more: whoever put it up rings, and the receiver has not looked at the lane since.
        """
        row = receiver * ROW_BYTES
        at = row + NEWS_AT + sender
        if self.u8[at]:
            return AWAKE
        # crash: post.news
        with self._lock:  # its release is the fence
            if not self.u8[at]:
                self.u8[at] = 1
        # Killed here: news is up and nobody rings; the receiver's bounded sleep, or our reaper's post, finds it.
        # crash: post.asleep
        return int(self.u8[row])

    def post_room(self, receiver: int, sender: int) -> int:
        """Say that `sender` freed blocks that `receiver` waits for, whatever news is up; return how it sleeps."""
        # Killed before this: the room is there, and who waits for it finds it when he looks again, a little later.
        # crash: room.news
        with self._lock:
            self.u8[receiver * ROW_BYTES + NEWS_AT + sender] = 2
        # crash: room.asleep
        return int(self.u8[receiver * ROW_BYTES])

    def take(self, receiver: int) -> list[int]:
        """Return the senders with news for `receiver` and take their news down: then drain each one's lane empty.

        Killed after it, the news is gone but the messages are not: a new receiver looks at every lane once.
        """
        start = ROWS_AT + receiver * ROW_BYTES + NEWS_AT
        news = self.mapped[start : start + SLOTS]
        if news == _QUIET:
            return []
        at = receiver * ROW_BYTES + NEWS_AT
        senders = []
        for sender in compress(range(SLOTS), news):
            senders.append(sender)
            # crash: take.clear
            self.u8[at + sender] = 0
        # crash: take.fence
        self.fence()  # or the load of a tail could overtake the clearing, and that tail's news would be lost
        # crash: take.done
        return senders

    def sleep(self, receiver: int, how: int = ASLEEP) -> bool:
        """Say that `receiver` goes to sleep. False: there is news, and it is awake again."""
        # crash: sleep.mark
        self.u8[receiver * ROW_BYTES] = how
        # crash: sleep.fence
        self.fence()
        # crash: sleep.look
        start = ROWS_AT + receiver * ROW_BYTES + NEWS_AT
        if self.mapped[start : start + SLOTS] == _QUIET:
            return True
        # Killed with the mark up, here as anywhere in its sleep: senders ring for nobody until a new process is awake.
        # crash: sleep.awake
        self.u8[receiver * ROW_BYTES] = AWAKE
        # crash: sleep.over
        return False

    def wake(self, receiver: int) -> None:
        """Say that `receiver` is awake. No sender does this for it: one killed before it rang would leave it asleep."""
        # crash: wake.mark
        self.u8[receiver * ROW_BYTES] = AWAKE
        # crash: wake.over

    def occupy(self, slot: int, pid: int, *, goes_on: bool = False, guest: bool = False) -> int:
        """Put a new process into a slot (nobody else's is left in it) and return its epoch, from 1.

        Its beats begin at 0, and it is awake. News stays: it is about lanes, which outlive processes. `goes_on`: all
        that its predecessor had was handed over to it, so the epoch is the same. `guest`: its process has another slot.

        Killed before the last store: the pid is the predecessor's, who is dead, so nobody is taken for alive; what the
        rest says is nobody's, and the next process says it anew.
        """
        row, at = slot * ROW_BYTES, slot * ROW_U32
        words, u32 = self.u64, self.u32
        # crash: occupy.awake
        self.u8[row] = AWAKE
        # crash: occupy.shedding
        self.u8[row + SHEDDING] = 0
        # crash: occupy.guest
        self.u8[row + GUEST] = guest
        for field in (BEAT, BEAT2, CURRENT, BUSY_FROM):
            # crash: occupy.beats
            words[slot * ROW_U64 + field] = 0
        epoch = u32[at + EPOCH] + (not goes_on) & 0xFFFFFFFF or 1
        # Killed after this: an epoch in which nobody did anything, and which is left out.
        # crash: occupy.number
        u32[at + EPOCH] = epoch
        # crash: occupy.processes
        u32[at + PROCESSES] += 1
        # Last, for a pid that is seen belongs to the epoch that is seen.
        # crash: occupy.pid
        u32[at + PID] = pid
        # crash: occupy.over
        return epoch

    @property
    def workers(self) -> int:
        """How many workers the node has by now; 0: as many as it was started with."""
        return int.from_bytes(self.mapped[WORKERS_AT : WORKERS_AT + 4], "little")

    @workers.setter
    def workers(self, number: int) -> None:
        """By the controller, when the new one is ready: from here on actors are placed there. One aligned store."""
        # no crash point: one store of the controller's, which nobody comes after
        self._segment.buf[WORKERS_AT : WORKERS_AT + 4].cast("I")[0] = number

    def close(self) -> None:
        """Unmap. Idempotent; the file stays."""
        for view in (self.u64, self.u32, self.u8):
            view.release()
        self._segment.close()


def _fence(lock: threading.RLock) -> Callable[[], None]:
    acquire, release = lock.acquire, lock.release

    def fence() -> None:
        acquire()
        release()

    return fence
