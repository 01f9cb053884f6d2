"""The bytes of a node table: 64 a slot, a slot an actor, and what each of them means.

Pure; used by node_table.py, and by the kernel, which stores single fields without a call. Little-endian; every field
stands at a multiple of its size, so each store is one move and a killed writer leaves it old or new, never half.

    file:  0     the segment header: "alTable", version, geometry = (capacity, home)
           64    grown   u64   slots that have pages behind them and may be in use; readers look no further
           72    intent  u64   a message that is leaving its lane unhandled (see the node floor's `fate`), 0: none
           4096  slots   capacity × 64 bytes, allocated by 4096 slots

    slot:  0     8         12       16    17    18   19       20       24       28    32     36            40
           ┌─────┬─────────┬────────┬─────┬─────┬────┬────────┬────────┬────────┬─────┬──────┬─────────────┐
           │word │generat. │incarn. │state│flags│full│overflow│class_id│capacity│depth│failed│dead_lettered│
           └─────┴─────────┴────────┴─────┴─────┴────┴────────┴────────┴────────┴─────┴──────┴─────────────┘
           40         44   46        47      48    52    56         64
           ┌──────────┬────┬─────────┬───────┬─────┬─────┬──────────┐
           │timeout_ms│at  │redeliver│attempt│epoch│tried│supervisor│
           └──────────┴────┴─────────┴───────┴─────┴─────┴──────────┘

    word = handled (40 bits) << 24 | in hand (24 bits)        one store says both "n handled" and "this one is in hand"
    in hand = 0                     nothing
            = slot << 16 | b + 1    block b of the lane from process slot `slot` (a lane has at most 32,768 blocks)
            = IN_HAND_LOCAL         a message from this process, which dies with it

`generation` is the slot's tenant, `incarnation` counts the tenant's restarts (from 0). `at` (depth_at) is
what handled + failed + dead_lettered came to (the low 16 bits) when the depth was written: since then so many more have
gone. `supervisor` is the address of who decides about its restart (0 nobody), `epoch` that of the supervisor's process
(the board's), so that nobody waits for one that died with it; `attempt` how often message `tried` (see takeover) was
begun before.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from ..memory import HEADER_BYTES, PAGE

MAGIC = b"alTable"
VERSION = 1

SLOT_BYTES = 64
SLOTS_AT = PAGE
CHUNK_SLOTS = 4096
MAX_CAPACITY = 2**24
DEFAULT_CAPACITY = 1_048_576
GROWN = HEADER_BYTES // 8  # this and the next index the file as u64
INTENT = GROWN + 1


class State(IntEnum):
    """What a slot's tenant is doing. RESTARTING is a husk: the actor is gone, its supervisor has not yet decided."""

    FREE = 0
    STARTING = 1
    RUNNING = 2
    RESTARTING = 3
    STOPPING = 4
    DEAD = 5


_STATES = tuple(State)


class Flag(IntEnum):
    """Bits of a slot's `flags`."""

    SUPERVISED = 1
    BLOCKING = 2
    REENTRANT = 4
    HUNG = 8
    NAMED = 16


OVERFLOW_CODES = ("block", "reject", "drop_new", "drop_old")

# Offsets within a slot, in units of the field's size: `u32[index * SLOT_U32 + DEPTH]`.
SLOT_WORDS, SLOT_U32, SLOT_U16, SLOT_U8 = 8, 16, 32, 64
WORD, SUPERVISOR = 0, 7  # u64
GENERATION, INCARNATION, CLASS_ID, CAPACITY, DEPTH = 2, 3, 5, 6, 7  # u32
FAILED, DEAD_LETTERED, TIMEOUT_MS, SUPERVISOR_EPOCH, TRIED = 8, 9, 10, 12, 13
DEPTH_AT = 22  # u16
STATE, FLAGS, FULL, OVERFLOW, REDELIVER, ATTEMPT = 16, 17, 18, 19, 46, 47  # u8

SLOT = struct.Struct("<QIIBBBBIIIIIIHBBIIQ")
TEMPLATE_AT = 12  # a template leaves out the word and the generation, which are stored apart

HANDLED_SHIFT = 24
HANDLED_ONE = 1 << HANDLED_SHIFT
IN_HAND_MASK = HANDLED_ONE - 1
IN_HAND_LOCAL = 0xFFFF


def in_hand(slot: int, block: int) -> int:
    """Return the code for "block `block` of the lane from process slot `slot` is in hand".

    >>> in_hand(0, 0), in_hand(2, 5) == 2 << 16 | 6
    (1, True)
    """
    return slot << 16 | block + 1


def lane_and_block(code: int) -> tuple[int, int] | None:
    """Return (process slot, block) of an in-hand code, or None when it is nothing or a local message.

    >>> lane_and_block(in_hand(2, 5)), lane_and_block(0), lane_and_block(IN_HAND_LOCAL)
    ((2, 5), None, None)
    """
    if not code or code == IN_HAND_LOCAL:
        return None
    return code >> 16, (code & 0xFFFF) - 1


def slot_template(
    *,
    class_id: int = 0,
    capacity: int = 1024,
    overflow: int = 0,
    timeout_ms: int = 5000,
    redeliver: int = 0,
    flags: int = 0,
    supervisor: int = 0,
    supervisor_epoch: int = 0,
) -> bytes:
    """Return what a new tenant's slot begins with, from TEMPLATE_AT on: build it once a class, pass it to `allocate`.

    `overflow` indexes OVERFLOW_CODES. Raises struct.error for numbers out of range.
    """
    return SLOT.pack(
        0,
        0,
        0,
        0,
        flags,
        0,
        overflow,
        class_id,
        capacity,
        0,
        0,
        0,
        timeout_ms,
        0,
        redeliver,
        0,
        supervisor_epoch,
        0,
        supervisor,
    )[TEMPLATE_AT:]


class SlotView(NamedTuple):
    """A slot as it was at one moment; fields of one store each are exact, the whole may mix two moments.

    A named tuple, for whoever takes over a thousand slots builds a thousand of these: 1 µs, a frozen dataclass 4.
    """

    handled: int
    in_hand: int
    generation: int
    incarnation: int
    state: State
    flags: int
    full: bool
    overflow: int
    class_id: int
    capacity: int
    depth: int
    failed: int
    dead_lettered: int
    timeout_ms: int
    depth_at: int
    redeliver: int
    attempt: int
    supervisor_epoch: int
    tried: int
    supervisor: int


def view_slot(raw: bytes) -> SlotView:
    """Return what the 64 bytes of a slot say."""
    word, generation, incarnation, state, flags, full, *rest = SLOT.unpack(raw)
    return SlotView(
        word >> HANDLED_SHIFT,
        word & IN_HAND_MASK,
        generation,
        incarnation,
        _STATES[state],
        flags,
        bool(full),
        *rest,
    )
