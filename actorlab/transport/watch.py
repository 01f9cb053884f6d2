"""Watch: how an awake receiver looks for messages: at a few busy lanes' tails, at its row of the board for the rest.

An edge (memory); used by the one thread that drains a process's lanes. While it is awake it leaves the news of the
lanes it watches *up*. Their senders then find it up and neither store nor fence nor look who sleeps, and the receiver
finds their messages by the tails: a third of what a message costs otherwise. Before it sleeps it takes them down, and
from then on all is as the board says:

    sender:    publish; fence (of the lane); news up? then it is seen, or else it is posted as the board says
    receiver:  news = 0; fence; look at the tail: something? then drain, do not sleep

So a message published before the receiver's look is seen by it, and one published after it finds the news down. A
receiver killed while it watches leaves news up over lanes that its successor looks at anyway, once, before it sleeps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sized

from .board import NEWS_AT, ROW_BYTES, ROWS_AT, SLOTS, Board
from .lane_layout import HEAD, TAIL
from .lane_reader import LaneReader

MOST_WATCHED = 4
LONG, SHORT = range(48), range(4)
"""How many looks (0.2 µs each) before the core is offered to others: usually, and while somebody else wants it."""
PASSED_OVER = 8
"""How many times in a row the other lanes' news is not looked at because a watched lane has something."""
TAKEN_NS = 2_000
"""A core that was offered is back sooner when nobody took it."""

_QUIET = bytes(SLOTS)
_NEWS, _ROOM = 1, 2
_UP = bytes([_NEWS])


class Watch:
    """What one receiver looks at. With `most=0` it watches no tails, and several threads may use it in turn."""

    __slots__ = ("has_news", "look", "rest", "room", "take")

    take: Callable[[bool], list[int]]
    """Return the senders whose lanes have something, or had; drain each of them empty. If `busy`, watch them then."""
    has_news: Callable[[], bool]
    """Whether `take` would find something: 0.2 µs, for who polls."""
    look: Callable[[Sized], bool]
    """Look for news for some 8 µs, or until its argument is not empty; then offer the core to others. True: news.

    A sender that shares our core can send only when we offer it, and whoever offers it to nobody is deaf for as long as
    four looks take. So we offer it seldom, until somebody takes it; then often, until nobody does."""
    rest: Callable[[], list[int]]
    """Take all news down, to sleep; return the lanes that have something after all: drain them, do not sleep."""

    def __init__(
        self, board: Board, receiver: int, lane: Callable[[int], LaneReader | None], most: int = MOST_WATCHED
    ) -> None:
        """`lane` returns the open lane from a sender, if it is open: one that is not cannot be watched yet."""
        self.room: set[int] = set()
        """Senders that said there is room in our lane to them. The caller takes them out."""
        mapped, flags = board.mapped, board.u8
        fence, room = board.fence, self.room
        at = receiver * ROW_BYTES + NEWS_AT
        start = ROWS_AT + at
        end = start + SLOTS
        watched: dict[int, memoryview] = {}
        expected = _QUIET
        tail_at, head_at = TAIL, HEAD

        def has_news() -> bool:
            for words in watched.values():
                if words[tail_at] != words[head_at]:
                    return True
            news: bool = mapped[start:end] != expected
            return news

        passed_over = 0

        def take(busy: bool = False) -> list[int]:
            nonlocal passed_over
            senders = []
            for sender, words in watched.items():
                if words[tail_at] != words[head_at]:
                    senders.append(sender)
            if senders and passed_over < PASSED_OVER:
                passed_over += 1
                return senders
            passed_over = 0
            news = mapped[start:end]
            if news != expected:
                look_at(news, senders, busy)
            return senders

        def look_at(news: bytes, senders: list[int], busy: bool) -> None:
            nonlocal expected
            for value in (_NEWS, _ROOM) if _ROOM in news else (_NEWS,):
                sender = news.find(value)
                while sender >= 0:
                    if value == _ROOM:
                        room.add(sender)  # acted on after the store below: a mark that it overwrites is not lost
                    if sender not in watched or value == _ROOM:
                        if sender not in senders:
                            senders.append(sender)
                        if (
                            busy
                            and sender not in watched
                            and len(watched) < most
                            and (reader := lane(sender)) is not None
                        ):
                            watched[sender] = reader.words
                            expected = expected[:sender] + _UP + expected[sender + 1 :]
                        # crash: watch.store
                        flags[at + sender] = _NEWS if sender in watched else 0
                    sender = news.find(value, sender + 1)
            # crash: watch.fence
            fence()  # or the load of a tail could overtake the store above, and that tail's news would be lost
            # crash: watch.done

        def rest() -> list[int]:
            nonlocal expected
            if not watched:
                return []
            for sender in watched:
                # crash: rest.store
                flags[at + sender] = 0
            # crash: rest.fence
            fence()
            # crash: rest.look
            found = [sender for sender, words in watched.items() if words[TAIL] != words[HEAD]]
            room.update(watched)  # a mark may have been overwritten
            watched.clear()
            expected = _QUIET
            return found

        looks = LONG
        clock, offer_core = time.perf_counter_ns, os.sched_yield

        def look(also: Sized) -> bool:
            nonlocal looks
            for _ in looks:
                if has_news():
                    return True
                if also:
                    return False
            offered = clock()
            offer_core()
            looks = SHORT if clock() - offered > TAKEN_NS else LONG
            return False

        self.take, self.has_news, self.look, self.rest = take, has_news, look, rest
