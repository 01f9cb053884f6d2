"""Books: the node table as one kernel writes it and as everybody reads it.

Edge (memory); the actor floor's `Table`, made of transport's node table and class names. A *word* is the index of a
slot's first 8-byte word, which is how cells remember their slot. Only the kernel of the home stores here; when its
worker died, whoever took over its slots does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..actor import LAST_KIND, OVERFLOWS
from ..errors import SharedMemoryError
from ..ids import MAX_INDEX, generation_of, index_of, pack
from ..lean_dataclass import dataclass
from ..transport import (
    CLASS_ID,
    DEAD_LETTERED,
    DEPTH,
    DEPTH_AT,
    FAILED,
    FLAGS,
    FULL,
    GENERATION,
    HANDLED_SHIFT,
    IN_HAND_MASK,
    INCARNATION,
    SLOT_U8,
    SLOT_U32,
    SLOT_WORDS,
    STATE,
    SUPERVISOR,
    SUPERVISOR_EPOCH,
    WORD,
    ClassNames,
    Flag,
    NodeTable,
    SlotView,
    State,
    Tally,
    slot_template,
)


@dataclass(frozen=True, slots=True)
class ActorStatistics:
    """An actor's books at one moment: accepted = handled + failed + dead_lettered + depth (+ 1 in hand), at rest."""

    state: str
    incarnation: int
    depth: int
    handled: int
    failed: int
    dead_lettered: int
    capacity: int
    full: bool

    @property
    def accepted(self) -> int:
        """Messages taken in so far."""
        return self.handled + self.failed + self.dead_lettered + self.depth


class Books:
    """The node table of one home."""

    depth_offset = DEPTH
    supervisor_offset = 7

    def __init__(self, table: NodeTable, names: ClassNames | None, tally: Tally | None = None) -> None:
        self.table = table
        self.home = table.home
        self.words = table.words
        self.u32 = table.u32
        self._u8 = table.u8
        self._u16 = table.u16
        self._names = names
        self._tally = tally
        self._anonymous_names: dict[str, int] = {}
        self._templates: dict[tuple[Any, ...], bytes] = {}
        self.census_at = MAX_INDEX + 1  # how many actors are to be more than ever before, to be counted
        self.take_census: Callable[[], None] = _nobody_counts

    @classmethod
    def create(cls, directory: Path, capacity: int, home: int) -> Books:
        """Make the table of `home` in a node's directory, or take over what a dead kernel left there.

        The table comes last: who sees it finds the rest. A kernel that was killed before that leaves files without a
        table, which the next one goes on with.
        """
        path, names_path, tally_path = _paths(directory, home)
        names = ClassNames.adopt(names_path) if os.path.exists(names_path) else ClassNames.create(names_path)
        tally = Tally.adopt(tally_path) if os.path.exists(tally_path) else Tally.create(tally_path)
        table = NodeTable.adopt(path) if os.path.exists(path) else _fresh(NodeTable.create(path, capacity, home))
        return cls(table, names, tally)

    @classmethod
    def open(cls, directory: Path, home: int) -> Books:
        """Map the table of `home` to read it."""
        path, names, _ = _paths(directory, home)
        return cls(NodeTable.open(path), ClassNames.open(names))

    @classmethod
    def anonymous(cls, capacity: int, home: int) -> Books:
        """Make a table that only this process sees."""
        return cls(_fresh(NodeTable.anonymous(capacity, home)), None)

    # -- the kernel's side --------------------------------------------------------------------------------------

    def open_slot(
        self,
        path: str,
        capacity: int,
        overflow: str,
        timeout_s: float,
        supervisor: int,
        supervisor_epoch: int,
        redeliver: int,
        max_bytes: int | None = None,
    ) -> tuple[int, int]:
        """Give a new actor a slot; return (address, word). Raises TableFull or SharedMemoryFull."""
        key = (path, capacity, overflow, timeout_s, supervisor, supervisor_epoch, redeliver, max_bytes)
        template = self._templates.get(key)
        if template is None:
            template = slot_template(
                class_id=self._class_id(path if max_bytes is None else f"{max_bytes} {path}"),
                capacity=capacity,
                overflow=OVERFLOWS.index(overflow),
                timeout_ms=min(int(timeout_s * 1000), 2**32 - 1) if timeout_s < 4e6 else 2**32 - 1,
                flags=Flag.SUPERVISED if supervisor else 0,
                redeliver=redeliver,
                supervisor=supervisor,
                supervisor_epoch=supervisor_epoch,
            )
            if len(self._templates) > 10_000:
                self._templates.clear()
            self._templates[key] = template
        index, generation = self.table.allocate(template)
        if index + 1 >= self.census_at:  # all lower slots are taken, or it would have been one of those
            self.take_census()
        return pack(self.home, index, generation), index * SLOT_WORDS

    def _class_id(self, path: str) -> int:
        if self._names is not None:
            return self._names.class_id(path)
        return self._anonymous_names.setdefault(path, len(self._anonymous_names) + 1)

    def close_slot(self, word: int) -> None:
        """Its actor is gone for good: somebody else may have it. What it had done stays in its class's counts."""
        table = self.table
        tally = self._tally
        if tally is None:
            table.release(word // SLOT_WORDS)
            return
        u32 = self.u32
        at = word * 2
        done = int(self.words[word + WORD]) >> HANDLED_SHIFT, u32[at + FAILED], u32[at + DEAD_LETTERED]
        class_id, incarnation = u32[at + CLASS_ID], u32[at + INCARNATION]
        table.release(word // SLOT_WORDS)
        try:
            tally.bury(class_id, *done, incarnation)
        except SharedMemoryError:
            pass  # a full file system costs us these counts, and must not keep an actor from ending

    def say_local(self, path: str, messages: int, size_bytes: int) -> None:
        """Say what waits by reference at the actors of a class."""
        if self._tally is not None:
            try:
                self._tally.say_local(self._class_id(path), messages, size_bytes)
            except SharedMemoryError:
                pass

    @property
    def ended(self) -> int:
        """How many actors have given up their slots in this process's time."""
        return self._tally.ended if self._tally is not None else 0

    def set_state(self, word: int, state: int) -> None:
        """Say what the actor is doing."""
        # Killed before this: it is what it was, a start or an end under way, which whoever takes over sees to anyway.
        # crash: state.before
        self._u8[word * 8 + STATE] = state
        # crash: state.after

    def set_named(self, word: int) -> None:
        """Say that names stand for the actor: they are to be freed when it ends, by whichever process sees to that."""
        # Before any name is published. Killed after it and before that: its names are looked for, and there are none.
        # crash: named.before
        self._u8[word * 8 + FLAGS] |= Flag.NAMED
        # crash: named.after

    def is_named(self, word: int) -> bool:
        """Whether names stand, or stood, for the actor."""
        return bool(self._u8[word * 8 + FLAGS] & Flag.NAMED)

    def set_incarnation(self, word: int, incarnation: int) -> None:
        """Count its restarts."""
        # Killed before or after it: the next start in its place has this number, or one that nobody saw is left out.
        # crash: incarnation.before
        self.u32[word * 2 + INCARNATION] = incarnation
        # crash: incarnation.after

    def set_supervisor(self, word: int, supervisor: int, epoch: int) -> None:
        """Say who decides about its restart (0: nobody), and in which epoch of that one's process it was started."""
        # Killed between the two: the epoch is that of the start before, which the same supervisor asked for. Were it
        # another's, nobody would be waited for, and the place given up: the start is lost with us either way.
        # crash: supervisor.before
        self.words[word + SUPERVISOR] = supervisor
        # crash: supervisor.epoch
        self.u32[word * 2 + SUPERVISOR_EPOCH] = epoch
        # crash: supervisor.after

    def supervisor_epoch(self, word: int) -> int:
        """Return the epoch of the process in which its supervisor started it."""
        return int(self.u32[word * 2 + SUPERVISOR_EPOCH])

    def depth(self, word: int) -> int:
        """Return how many messages waited, as far as it was written."""
        return int(self.u32[word * 2 + DEPTH])

    def gone(self, word: int) -> int:
        """Return how many messages have been handled, have failed or are dead letters: the low 16 bits."""
        u32, at = self.u32, word * 2
        return (int(self.words[word]) >> HANDLED_SHIFT) + u32[at + FAILED] + u32[at + DEAD_LETTERED] & 0xFFFF

    def gone_since(self, word: int) -> int:
        """Return how many have gone since the depth was written."""
        return self.gone(word) - int(self._u16[word * 4 + DEPTH_AT]) & 0xFFFF

    def set_depth(self, word: int, depth: int, gone: int | None = None) -> None:
        """Say how many messages wait; `gone`, if others may go meanwhile, is how many had before these were counted."""
        # crash: depth.before
        self.u32[word * 2 + DEPTH] = depth
        # Killed before this: more seem to have gone since than have, and fewer are written off than were lost. In the
        # other order an old depth would stand beside what has gone by now, and what was handled be written off as well.
        # crash: depth.at
        self._u16[word * 4 + DEPTH_AT] = self.gone(word) if gone is None else gone
        # crash: depth.after

    def note_gone(self, word: int) -> None:
        """The depth has just been written, and is not 0: note how many have gone by now."""
        # crash: gone.before
        self._u16[word * 4 + DEPTH_AT] = self.gone(word)
        # crash: gone.after

    def set_full(self, word: int, full: bool) -> None:
        """Say whether the mailbox is at capacity."""
        # crash: full.before
        self._u8[word * 8 + FULL] = full
        # crash: full.after

    def count_failed(self, word: int) -> None:
        """Count a message whose handler raised."""
        # It came by reference. Killed before this, it is written off by number, as what waits.
        # crash: failed.before
        self.u32[word * 2 + FAILED] += 1
        # crash: failed.after

    def count_dead(self, word: int, count: int = 1) -> None:
        """Count dead letters."""
        # It came by reference. Killed before this, it is written off by number, as what waits.
        # crash: dead.before
        self.u32[word * 2 + DEAD_LETTERED] += count
        # crash: dead.after

    # -- everybody's side -----------------------------------------------------------------------------------------

    def is_tenant(self, address: int) -> bool:
        """Whether that very actor has its slot and may still answer, now or in its next incarnation."""
        index = index_of(address)
        table = self.table
        if index >= table.capacity or self.u32[index * SLOT_U32 + GENERATION] != generation_of(address):
            return False
        state = self._u8[index * SLOT_U8 + STATE]
        if state == State.STOPPING:
            return bool(self._u8[index * SLOT_U8 + FLAGS] & Flag.SUPERVISED)  # else nobody comes after it
        return state not in (State.FREE, State.DEAD)

    def will_free(self, address: int) -> bool:
        """Whether that very actor runs, and its kernel knows that names are to be freed when it ends.

        What was published before this was asked is among what is freed: an actor shows that it is ending before its
        names are looked for.
        """
        at = index_of(address) * SLOT_U8
        return (
            bool(self._u8[at + FLAGS] & Flag.NAMED)
            and self._u8[at + STATE] in (State.STARTING, State.RUNNING)
            and self.is_tenant(address)
        )

    def has_place(self, address: int) -> bool:
        """Whether that very actor has its slot still, if only to end in."""
        index = index_of(address)
        if index >= self.table.capacity or self.u32[index * SLOT_U32 + GENERATION] != generation_of(address):
            return False
        return self._u8[index * SLOT_U8 + STATE] not in (State.FREE, State.DEAD)

    def read(self, address: int) -> SlotView | None:
        """Return what an address's slot says, or None if somebody else has it now."""
        view = self.table.read(index_of(address))
        return view if view.generation == generation_of(address) else None

    def statistics(self, address: int) -> ActorStatistics | None:
        """Return an actor's books, or None if its slot was given to another."""
        view = self.read(address)
        if view is None:
            return None
        state = "dead" if view.state == State.FREE else view.state.name.lower()
        return ActorStatistics(
            state, view.incarnation, view.depth, view.handled, view.failed, view.dead_lettered, view.capacity, view.full
        )

    def class_path(self, class_id: int) -> str:
        """Return the class a slot's number stands for, as `module:qualname`."""
        sort = self._sort(class_id)
        return sort.partition(" ")[2] if sort[:1].isdigit() else sort

    def max_bytes(self, class_id: int) -> int | None:
        """Return by how many bytes the mailboxes of this sort of actor are bounded: said with the class, if at all."""
        sort = self._sort(class_id)
        return int(sort.partition(" ")[0]) if sort[:1].isdigit() else None

    def _sort(self, class_id: int) -> str:
        if self._names is not None:
            return self._names.name_of(class_id)
        return next((path for path, number in self._anonymous_names.items() if number == class_id), "?")

    def load_reader(self, address: int) -> Callable[[], int]:
        """Return what says how many messages an actor has to do: those that wait, and one in hand that came by a lane.

        A closure over the table's memory: routers ask several actors for each message.
        """
        index = address >> 32 & MAX_INDEX
        u32, words, depth_at, word_at, mask = (
            self.u32, self.words, index * SLOT_U32 + DEPTH, index * SLOT_WORDS + WORD, IN_HAND_MASK,
        )  # fmt: skip
        return lambda: u32[depth_at] + (1 if words[word_at] & mask else 0)

    def path_at(self, address: int) -> str | None:
        """Return the class of the actor at `address`, or None if its slot was given to another. 0.5 µs."""
        index, u32 = address >> 32 & MAX_INDEX, self.u32
        at = index * SLOT_U32
        if index >= self.table.capacity:
            return None
        class_id = u32[at + CLASS_ID]
        # The generation after the class: a new tenant's is stored first, so this class is not the new one's.
        return self.class_path(class_id) if u32[at + GENERATION] == address & 0xFFFFFFFF else None

    def handled(self, word: int) -> int:
        """Return how many messages the actor has handled."""
        return int(self.words[word + WORD]) >> HANDLED_SHIFT

    def close(self) -> None:
        """Unmap."""
        self.table.close()
        if self._names is not None:
            self._names.close()
        if self._tally is not None:
            self._tally.close()


def _fresh(table: NodeTable) -> NodeTable:
    """Have the first tenant of slot 0 be one of a later generation: its address in home 0 would else be a small number.

    Small numbers are kinds of envelopes, and a lane's record begins with an address.
    """
    # no crash point: of home 0 alone it matters, the controller's, and nobody takes over from that
    table.u32[GENERATION] = LAST_KIND
    return table


def class_id_at(books: Books, word: int) -> int:
    """Return the class number in a slot."""
    return int(books.u32[word * 2 + CLASS_ID])


def _nobody_counts() -> None:
    pass


def _paths(directory: Path, home: int) -> tuple[Path, Path, Path]:
    return directory / f"table.{home}", directory / f"classes.{home}", directory / f"tally.{home}"
