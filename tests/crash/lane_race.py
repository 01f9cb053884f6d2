"""A lane's two ends as greenlets that stop before and after every store, and all the ways to interleave them.

Two greenlets stand in for the two processes. A schedule says which one takes each step, from one crash point to the
next; `schedules` enumerates them, so that what it finds does not hang on luck.
"""

from __future__ import annotations

import greenlet

from actorlab.transport import (
    LaneReader,
    LaneWriter,
    arm_crashpoints,
    create_lane,
    lane_reader,
    lane_writer,
    span_of,
)

BLOCKS = 64
SIZES = [5, 700, 30, 4000, 224, 225, 5, 2000]
SENDER, RECEIVER = 0, 1


def new_lane(path, sizes=()):
    """Return the bytes of a lane that holds messages of these sizes, none of them drained."""
    create_lane(path, BLOCKS)
    with LaneWriter(path) as writer:
        for size in sizes:
            assert writer.try_send(1, 0, 0, 0, bytes(size)) >= 0
    raw = path.read_bytes()
    path.unlink()
    return raw


def payload(number):
    return bytes([number & 255]) * SIZES[number % len(SIZES)]


def check(reader, record):
    _, number, _, _, block, length = record
    assert reader.payload_bytes(block, length) == payload(number)
    return number


class Hooks:
    """Arms both ends' code for a while with one hook, which the test changes as it goes."""

    def __init__(self):
        self.hook = None

    def __enter__(self):
        self.undo = [arm_crashpoints(module, self) for module in (lane_writer, lane_reader)]
        return self

    def __exit__(self, *_):
        self.hook = None
        for undo in self.undo:
            undo()

    def __call__(self, label):
        if self.hook is not None:
            self.hook(label)


def schedules(run, switches=None):
    """Let `run` follow every schedule in which an end that could go on is left at most `switches` times; count them.

    `run(schedule)` follows it, then lets the end of the last step go on as long as it can, the other after it, and so
    on; it returns the ends that took the steps, and whether the other one could have taken each. None: all there are.
    """
    runs, waiting = 0, [[SENDER], [RECEIVER]]
    while waiting:
        schedule = waiting.pop()
        taken, choice = run(schedule)
        runs += 1
        left = [taken[at] != taken[at - 1] and choice[at] for at in range(1, len(schedule))].count(True)
        if switches is None or left < switches:
            waiting += [[*taken[:at], 1 - taken[at]] for at in range(len(schedule), len(taken)) if choice[at]]
    return runs


class Steps:
    """Two ends, `self.sender` and `self.receiver`, that stop at every crash point; subclasses say what they do."""

    def __init__(self, hooks, path):
        self.hooks, self.path = hooks, path

    def hook(self, label):
        self.main.switch()

    def able(self, turn):
        """Return whether an end has a step to take."""
        return not self.ends[turn].dead

    def run(self, schedule, cut=None):
        """Follow a schedule, then run to the end, or kill both after `cut` steps; see `schedules` for what it returns.

        `self.raw` is what the lane's file holds after it.
        """
        self.main = greenlet.getcurrent()
        self.ends = [greenlet.greenlet(self.sender), greenlet.greenlet(self.receiver)]
        self.hooks.hook = self.hook
        taken, choice = [], []
        turn = SENDER
        while cut is None or len(taken) < min(cut, len(schedule)):
            if len(taken) < len(schedule):
                turn = schedule[len(taken)]
            if not self.able(turn):
                turn = 1 - turn
                if not self.able(turn):
                    break
            choice.append(self.able(1 - turn))
            taken.append(turn)
            self.ends[turn].switch()
        self.hooks.hook = None
        if cut is not None:
            self.raw = self.path.read_bytes()
        for end in self.ends:  # no killed process unwinds as these do now; what they do no longer matters
            end.throw()
        return taken, choice


class Race(Steps):
    """A sender of some messages of all sizes, and a receiver that frees some of them in between."""

    def __init__(self, hooks, path, begin, numbers):
        """`begin`: the bytes of the lane, and the numbers of the messages in it."""
        super().__init__(hooks, path)
        self.numbers = numbers
        path.write_bytes(begin[0])
        self.expected_survivors = list(begin[1])
        self.accepted, self.freed, self.delivered = list(begin[1]), [], []
        self.sending = 0
        self.reader = None
        self.survivors = None

    def sender(self):
        writer = LaneWriter(self.path)
        for number in self.numbers:
            self.sending = number
            writer.try_send(1, number, 0, 0, payload(number))
        self.writer = writer

    def receiver(self):
        reader = self.reader = LaneReader(self.path)
        records = reader.survivors()
        self.survivors = [check(reader, record) for record in records]
        self.delivered += self.survivors
        for turn in range(len(self.numbers)):
            found = reader.drain(2)
            self.delivered += [check(reader, record) for record in found]
            records += found
            if turn % 2 and records:
                record = records.pop(0)
                self.freeing = record[1]
                check(reader, record)
                reader.free(record[4])

    def hook(self, label):
        if label.endswith(".published"):
            self.accepted.append(self.sending)
        if label == "free.after":
            self.freed.append(self.freeing)
        self.main.switch()

    def finish(self):
        """After a full run: in order, once, nothing leaked."""
        self.delivered += [check(self.reader, record) for record in self.rest()]
        assert self.delivered == self.accepted
        assert len(set(self.delivered)) == len(self.delivered)
        with LaneWriter(self.path) as writer:
            spans = sum(span_of(len(payload(number))) for number in self.accepted if number not in self.freed)
            assert writer.statistics().used == spans
        self.reader.close()
        self.writer.close()

    def rest(self):
        while records := self.reader.drain():
            yield from records


class FullRace(Steps):
    """A lane without a free block: a sender that wants room and sleeps until it is rung, a receiver that makes some.

    The bell is a latch, as the board's news is. The receiver frees the first `freed` messages of the `full` lane
    (its bytes), one a pass, while the sender sends more: `wanted` are their sizes, in bytes.
    """

    def __init__(self, hooks, path, full, freed, wanted):
        super().__init__(hooks, path)
        self.wanted = wanted
        path.write_bytes(full)
        self.writer, self.reader = LaneWriter(path), LaneReader(path)
        self.held = [record[4] for record in self.reader.survivors()][:freed]
        self.sent, self.asleep, self.rung = 0, False, False

    def sender(self):
        for size in self.wanted:
            while self.writer.try_send(1, 0, 0, 0, bytes(size)) < 0:
                if not self.writer.want_room(size):
                    self.asleep = True
                    self.main.switch()
                    self.asleep = self.rung = False
            self.sent += 1

    def receiver(self):
        for block in self.held:
            self.reader.free(block)
            if self.reader.take_want():
                self.rung = True

    def able(self, turn):
        return super().able(turn) and (turn == RECEIVER or not self.asleep or self.rung)

    def finish(self):
        """After a full run: there was room for all, so the sender does not sleep for ever."""
        assert self.sent == len(self.wanted), "the sender sleeps, there is room, and nobody rings"
        assert len(self.reader.drain()) == self.sent
        self.reader.close()
        self.writer.close()
