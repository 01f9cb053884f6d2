"""Fate: how a message that lies in a lane leaves it unhandled, so that the books have it once, whoever is killed when.

Edge (memory); used by the inlet and by takeover. A message that fails or becomes a dead letter takes two stores in two
places: its count in the node table, its block in the lane. One word of the table's header, the *intent*, says
beforehand which message it is and what the count will be then:

    intent = 0                nothing is under way
           = 1 << 63 | position (10 bits) << 53 | count (4 bits) << 49 | failed << 48 | index (24) << 24 | in hand (24)

A process killed between any two of these stores leaves the intent to whoever takes its place, who sees by the count's
low bits whether it was counted and by the block and its position whether it was given back, and does what is missing.
"""

from __future__ import annotations

from collections.abc import Callable

from ..lean_dataclass import dataclass
from ..transport import (
    DEAD_LETTERED,
    FAILED,
    HANDLED_ONE,
    IN_HAND_MASK,
    INTENT,
    SLOT_U32,
    SLOT_WORDS,
    NodeTable,
)

POSITION_MASK = (1 << 10) - 1
COUNT_MASK = (1 << 4) - 1
INDEX_MASK = (1 << 24) - 1


@dataclass(frozen=True, slots=True)
class Intent:
    """What a killed process was about to do: with the message `hand` (an in-hand code) of the actor in slot `index`."""

    hand: int
    index: int
    failed: bool
    count: int
    position: int


def pack_intent(hand: int, index: int, failed: bool, count: int, position: int) -> int:
    """Return an intent as one word.

    >>> unpack_intent(pack_intent(5, 7, True, 19, 1030)) == Intent(5, 7, True, 3, 6)
    True
    """
    low = (position & POSITION_MASK) << 5 | (count & COUNT_MASK) << 1 | failed
    return 1 << 63 | low << 48 | index << 24 | hand


def unpack_intent(word: int) -> Intent:
    """Return what an intent says; `count` and `position` are their low bits."""
    low = word >> 48
    return Intent(
        word & IN_HAND_MASK,
        word >> 24 & INDEX_MASK,
        bool(low & 1),
        low >> 1 & COUNT_MASK,
        low >> 5 & POSITION_MASK,
    )


def settle(
    table: NodeTable, word: int, hand: int, position: int, failed: bool, free: Callable[[int], None], in_hand: bool
) -> None:
    """Count message `hand` of the actor at `word` as failed or as a dead letter, and give its block back.

    `in_hand`: it stands in the actor's word, which then says that nothing is. In one thread at a time.
    """
    counter = word // SLOT_WORDS * SLOT_U32 + (FAILED if failed else DEAD_LETTERED)
    count = table.u32[counter] + 1
    # Killed before this store: nothing has happened; the message is queued, or in hand. After it: it will be counted
    # and its block given back, by us or by our successor.
    # crash: fate.intent
    table.header[INTENT] = pack_intent(hand, word // SLOT_WORDS, failed, count, position)
    # crash: fate.count
    table.u32[counter] = count
    # crash: fate.free
    free(hand - 1)
    # crash: fate.word
    if in_hand:
        table.words[word] &= ~IN_HAND_MASK & (1 << 64) - 1
    # crash: fate.done
    table.header[INTENT] = 0
    # crash: fate.over


def finish(table: NodeTable, still_there: Callable[[int, int], bool], free: Callable[[int], None]) -> Intent | None:
    """Do what is missing of a killed owner's intent, if it had one; return it. It can be killed, and repeated.

    `still_there(hand - 1, position)` says whether the block holds that message still; `free` answers its caller, too.
    """
    word = table.header[INTENT]
    if not word:
        return None
    intent = unpack_intent(word)
    counter = intent.index * SLOT_U32 + (FAILED if intent.failed else DEAD_LETTERED)
    if table.u32[counter] & COUNT_MASK != intent.count:
        # crash: finish.count
        table.u32[counter] += 1
    if still_there(intent.hand - 1, intent.position):
        # crash: finish.free
        free(intent.hand - 1)
    at = intent.index * SLOT_WORDS
    if table.words[at] & IN_HAND_MASK == intent.hand:
        # crash: finish.word
        table.words[at] = table.words[at] // HANDLED_ONE * HANDLED_ONE
    # crash: finish.done
    table.header[INTENT] = 0
    # crash: finish.over
    return intent
