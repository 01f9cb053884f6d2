"""The sending end of the slabs: shared memory that stays mapped at both ends and is lent to one message after another.

An edge (files, memory); used by spill.py. Creating, faulting in and unlinking the pages of a file costs several times
what copying a megabyte into warm pages does. Any thread of the sending process may use it; `rest` is for its helper.

A receiver gives a slab back by a store that the sender sees when it looks for a free one, so nobody is told anything.
What a kill leaves behind (the layout's words: a slab is free, lent or held):
 1. Sender, before its lane shows the token: the slab is lent, and no block refers to it. The slot's next process
    `adopt`s the file and frees it.
 2. Sender, after that: the message stands. The file keeps its name until the last of its messages was given back, and
    the receivers' mappings hold longer still.
 3. Receiver, before it stored "held": the block still has the token, for the next receiver to read or to discard.
 4. Receiver, after that, before it freed the block: in hand. The next receiver discards it, or takes it anew.
 5. Receiver, after it freed the block (the message was handled, and kept in some actor's state): held by an epoch that
    is past, and no block refers to it. The sender frees it (`_free_of_the_dead`).
A block is freed after its slab was held or given back, never before; so a slab that is held by a dead epoch, whose
token is in no block, is nobody's: no process will ever look at it. (Looked at in this order: held by whom, is he
dead, is there a block, is it still held by him. A successor that settles the block meanwhile changes the last.)
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from ..errors import SegmentCorrupt
from ..lean_dataclass import dataclass
from ..memory import PAGE, round_up, unlink
from .lane import LaneView
from .outlet import lane_path
from .slab_borrower import has_forked_children
from .slab_file import SlabFile, entry_at, slab_file_name
from .slab_layout import BYTES, GENERATION_MASK, GENERATION_SHIFT, LENT
from .spill_layout import SPILLED, Token, parse_token, slab_serial

IDLE_S = 5.0
"""After so long without a message a slab's pages go back to the system."""
LOOK_AGAIN_S = 0.1
"""While all slabs are out, those who hold them are looked at no more often than this."""
ENOUGH_OUT, ENOUGH_OUT_BYTES = 4, 16 << 20
"""With so many messages of a size out, a sender waits a little before it takes one more slab, which is cold."""
COLD_BYTES_PER_S = 1e9
PAUSE_S = 20e-6


@dataclass(frozen=True, slots=True)
class SlabStatistics:
    """What a process's slabs did and hold. `bytes` have pages behind them; lent ones are unread, held ones read.

    `fallbacks` messages found no slab, or no file system with room, and went into files. `recovered` were held by
    processes that died, `given_back_bytes` went back to the system. `adopted` files are a dead predecessor's.
    """

    slabs: int = 0
    bytes: int = 0
    lent: int = 0
    held: int = 0
    messages: int = 0
    fallbacks: int = 0
    recovered: int = 0
    given_back_bytes: int = 0
    adopted: int = 0


class SlabLender:
    """The slabs of the process in `slot` and `epoch`; `epoch_of` tells the epoch of any slot's process.

    Their pages take at most `budget_bytes`. Nothing exists before the first message.
    """

    def __init__(
        self, directory: str, slot: int, epoch: int, budget_bytes: int, epoch_of: Callable[[int], int]
    ) -> None:
        self._directory, self._slot, self._epoch, self._budget = directory, slot, epoch, budget_bytes
        self._epoch_of = epoch_of
        self._lock = threading.Lock()
        self._file: SlabFile | None = None
        self._free: list[list[int]] = []  # by class; the one given back last is taken first: its pages are warm
        self._out: list[list[int]] = []  # by class: lent or held when last seen, in the order they were lent
        self._lent_at: dict[int, float] = {}  # of slabs with pages
        self._bytes = 0
        self._look_again_at = 0.0
        self._closed = False
        self._patient = True  # whether it is worth waiting for a slab: one has come back since it last was not
        self._adopted: dict[SlabFile, list[int]] = {}  # of dead predecessors, with the slabs that are not free
        self._messages = self._fallbacks = self._recovered = self._given_back = 0

    # ---- lending

    def write(self, parts: Collection[tuple[int, bytes | memoryview]], size: int, to: int) -> bytes | None:
        """Copy a message's image of `size` bytes into a slab for the process in slot `to`; return its token.

        None: no slab is free that is large enough, or no memory is; nothing has changed then. While the receiver is
        behind it waits a little for a warm slab, as long at most as the cold pages it spares would cost.
        """
        with self._lock:
            behind = self._patient and self._is_behind(size)
        if behind:
            self._wait(size)
        with self._lock:
            lent = self._lend(size, to)
            self._messages += lent is not None
            self._fallbacks += lent is None
            if self._file is not None:
                self._file.count(self._messages, self._fallbacks)
        if lent is None or self._file is None:
            return None
        index, generation = lent
        token = Token(self._slot, self._epoch, slab_serial(index, generation), size)
        try:
            buf, base = self._file.segment.buf, self._file.layout.offsets[index]
            for at, part in parts:
                # crash: lend.copy
                buf[base + at : base + at + len(part)] = part
        except BaseException:
            self.take_back(token)
            raise
        # crash: lend.done
        return token.pack()

    def _is_behind(self, size: int) -> bool:
        """Return whether some slabs of this size are out, and none with its pages is back."""
        file = self._file
        if file is None or size > file.layout.largest_bytes:
            return False
        c = file.layout.class_of(size)
        if not self._free[c] or file.words[entry_at(self._free[c][-1]) + BYTES] < size:
            self._look(file, c)
        if self._free[c] and file.words[entry_at(self._free[c][-1]) + BYTES] >= size:
            return False
        out = len(self._out[c])
        return out >= ENOUGH_OUT and out * size >= ENOUGH_OUT_BYTES

    def _wait(self, size: int) -> None:
        end = time.monotonic() + size / COLD_BYTES_PER_S
        while time.monotonic() < end:
            time.sleep(PAUSE_S)
            with self._lock:
                if not self._is_behind(size):
                    return
        # Whoever holds them keeps them, or does not run: no more waiting until one has come back.
        self._patient = False

    def take_back(self, token: Token) -> None:
        """Free the slab of a message that was not sent after all."""
        with self._lock:
            if self._file is not None:
                at = entry_at(token.slab)
                if self._file.words[at + LENT] >> GENERATION_SHIFT == token.generation:
                    self._file.free(token.slab)

    def _lend(self, size: int, to: int) -> tuple[int, int] | None:
        file = self._file or self._create()
        if file is None or size > file.layout.largest_bytes:
            return None
        index = self._find(file, size)
        if index is None:
            return None
        words, at = file.words, entry_at(index)
        generation = (words[at + LENT] >> GENERATION_SHIFT) + 1 & GENERATION_MASK
        # crash: lend.before
        words[at + LENT] = generation << GENERATION_SHIFT | to
        # crash: lend.lent
        self._lent_at[index] = time.monotonic()
        return index, generation

    def _create(self) -> SlabFile | None:
        if self._closed:
            return None
        path = os.path.join(self._directory, slab_file_name(self._slot, self._epoch))
        try:
            file = self._file = SlabFile.create(path, self._budget)
        except OSError:  # no room even for the table, or files may not be so large
            return None
        self._free = [list(reversed(slabs)) for _size, slabs in file.layout.classes]
        self._out = [[] for _ in file.layout.classes]
        return file

    def _find(self, file: SlabFile, size: int) -> int | None:
        """Take a slab with pages for `size` bytes off the free ones; of the class that fits, or one or two above."""
        first = file.layout.class_of(size)
        classes = range(first, min(first + 3, len(self._free)))
        for again in (False, True):
            for c in classes:
                if not self._free[c]:
                    self._look(file, c)
                if self._free[c]:
                    index = self._free[c].pop()
                    if self._has_pages(file, index, size):
                        self._out[c].append(index)
                        return index
                    self._free[c].append(index)  # no memory for it; but a larger one may have its pages
            if again or time.monotonic() < self._look_again_at:
                break
            self._look_again_at = time.monotonic() + LOOK_AGAIN_S
            self._free_of_the_dead()
        return None

    def _has_pages(self, file: SlabFile, index: int, size: int) -> bool:
        before = file.words[entry_at(index) + BYTES]
        if before >= size:
            return True
        more = round_up(size, PAGE) - before
        if self._bytes + more > self._budget:
            self._make_room(file, index, self._bytes + more - self._budget)
        if self._bytes + more > self._budget or not file.grow(index, size):
            return False
        self._bytes += more
        return True

    def _make_room(self, file: SlabFile, but: int, needed: int) -> None:
        """Give back the pages of free slabs, those unused for longest first, until `needed` bytes came free."""
        for c in range(len(self._out)):
            self._look(file, c)
        free = {index for slabs in self._free for index in slabs}
        for index in sorted((index for index in self._lent_at if index in free), key=self._lent_at.__getitem__):
            if needed <= 0:
                return
            if index != but:
                needed -= self._shrink(file, index)

    def _shrink(self, file: SlabFile, index: int) -> int:
        size = file.shrink(index)
        if size:
            del self._lent_at[index]
            self._bytes -= size
            self._given_back += size
        return size

    def _look(self, file: SlabFile, c: int) -> None:
        """See which slabs of a class were given back."""
        out: list[int] = []
        for index in self._out[c]:
            (self._free[c] if file.is_free(index) else out).append(index)
        if len(out) < len(self._out[c]):
            self._out[c], self._patient = out, True

    # ---- now and then, and after a crash

    def rest(self, now: float) -> None:
        """Give back to the system what was not used for a while, and free what the dead held. A few µs if idle."""
        if self._file is None and not self._adopted:
            return
        with self._lock:
            self._free_of_the_dead()
            file = self._file
            if file is not None:
                for c in range(len(self._free)):
                    self._look(file, c)
                    for index in self._free[c]:
                        if self._lent_at.get(index, now) < now - IDLE_S:
                            self._shrink(file, index)
            for left, slabs in tuple(self._adopted.items()):
                self._settle_adopted(left, slabs)

    def adopt(self, referenced: Collection[bytes]) -> int:
        """Take over the slabs of the slot's dead processes; return how many messages of theirs were never sent.

        `referenced`: the tokens in the slot's lanes, collected since it is dead. Those and what receivers hold stays,
        the rest is freed at once; a file goes with the last of its messages. Killed anywhere, it can be repeated.
        """
        unsent = 0
        with self._lock:
            for name in os.listdir(self._directory):
                epoch = int(name.rpartition(".")[2]) if name.startswith(f"slabs.{self._slot}.") else self._epoch
                if epoch >= self._epoch:
                    continue
                try:
                    file = SlabFile.open(os.path.join(self._directory, name))
                except (OSError, SegmentCorrupt):
                    continue  # its memory goes with the node
                known = {token.serial for token in map(parse_token, referenced) if token.epoch == epoch}
                left = []
                for index in range(len(file.layout.offsets)):
                    if file.is_free(index):
                        continue
                    generation = file.words[entry_at(index) + LENT] >> GENERATION_SHIFT
                    if file.holder(index) is None and slab_serial(index, generation) not in known:
                        # crash: adopt.free
                        file.free(index)
                        unsent += 1
                    left.append(index)
                for index in set(range(len(file.layout.offsets))).difference(left):
                    file.shrink(index)  # whatever its entry says: its sender may have been killed before it could count
                self._adopted[file] = left
                self._settle_adopted(file, left)
        return unsent

    def _settle_adopted(self, file: SlabFile, slabs: list[int]) -> None:
        for index in tuple(slabs):
            if file.is_free(index):
                file.shrink(index)
                slabs.remove(index)
        if not slabs:
            # crash: adopt.unlink
            unlink(file.segment.path)
            # crash: adopt.unlinked
            del self._adopted[file]
            file.close()

    def _free_of_the_dead(self) -> int:
        """Free what dead receivers held; return how many slabs. See the crash argument above, 5."""
        suspects: dict[int, list[tuple[SlabFile, int, int]]] = {}
        files = [(file, slabs) for file, slabs in self._adopted.items()]
        if self._file is not None:
            files += [(self._file, out) for out in self._out]
        for file, slabs in files:
            for index in slabs:
                holder = file.holder(index)
                if holder is not None and holder[1] != self._epoch_of(holder[0]):
                    suspects.setdefault(holder[0], []).append((file, index, holder[1]))
        freed = 0
        for slot, theirs in suspects.items():
            try:
                in_lane = self._serials_in_lane(slot)
            except OSError:
                continue  # no descriptor is to be had: another time
            for file, index, epoch in theirs:
                serial = slab_serial(index, file.words[entry_at(index) + LENT] >> GENERATION_SHIFT)
                if (
                    serial not in in_lane
                    and file.holder(index) == (slot, epoch)
                    and not has_forked_children(self._directory, slot, epoch)
                ):
                    # crash: dead.free
                    file.free(index)
                    freed += 1
        self._recovered += freed
        return freed

    def _serials_in_lane(self, slot: int) -> set[int]:
        with LaneView(lane_path(Path(self._directory), self._slot, slot)) as lane:
            return {parse_token(token).serial for token in lane.payloads(SPILLED)}

    # ---- looking

    def statistics(self) -> SlabStatistics:
        """Return what the slabs did and hold now."""
        with self._lock:
            lent = held = 0
            if self._file is not None:
                for c in range(len(self._out)):
                    self._look(self._file, c)
                    for index in self._out[c]:
                        held += self._file.holder(index) is not None
                        lent += self._file.holder(index) is None
            counts = self._messages, self._fallbacks, self._recovered, self._given_back
            return SlabStatistics(len(self._lent_at), self._bytes, lent, held, *counts, len(self._adopted))

    def close(self) -> None:
        """Unmap; what was sent stays. Nothing can be lent afterwards."""
        with self._lock:
            for file in (*self._adopted, *((self._file,) if self._file is not None else ())):
                file.close()
            self._adopted, self._file, self._free, self._out, self._closed = {}, None, [], [], True
