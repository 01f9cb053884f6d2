"""Processes SIGKILLed at any store of a spilled message, or at a doorbell: no file is left, no news is lost."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest

from actorlab.errors import SegmentGone, SharedMemoryError
from actorlab.transport import (
    AWAKE,
    Board,
    Doorbell,
    Ringer,
    arm_crashpoints,
    crashpoint_labels,
    create_doorbell,
    doorbell,
    kill_at,
    spill,
)

META = bytes(range(256)) * 800
LABELS = crashpoint_labels(spill)
WRITING = ["spill.allocate", "spill.write", "spill.wrote", "spill.written"]
UNDOING = ["spill.undo", "spill.undone"]
READING = ["spill.take", "spill.taken", "spill.discard", "spill.discarded"]
SWEEPING = ["spill.sweep", "spill.swept"]


def spill_of(directory, slot, epoch=1):
    return spill.Spill(directory, slot, epoch, quota_bytes=1 << 24)


def killed(module, label, n, work):
    """Run `work(say)` in a child that is killed at the n-th pass of a label; return the bytes it said."""
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            arm_crashpoints(module, kill_at(label, n))
            work(lambda said: os.write(write, said))
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    return said


def message(number):
    """Return a pickle of some 200 KB that says which message it is."""
    return spill.wire.dumps((number, META))


def files(directory):
    return sorted(name for name in os.listdir(directory) if name.startswith("spill"))


def test_every_crash_point_is_killed_at():
    assert sorted(LABELS) == sorted(WRITING + UNDOING + READING + SWEEPING)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("label", [*WRITING, *UNDOING])
def test_a_sender_killed_while_it_writes_leaves_what_it_sent_and_its_successor_removes_the_rest(
    tmp_path, monkeypatch, label, n
):
    def fail(fd, parts):
        raise OSError("no more")

    def work(say):
        mine = spill_of(tmp_path, 1)
        for number in range(3):
            if label in UNDOING:
                monkeypatch.setattr(spill, "_write_all", fail)
                with suppress(SharedMemoryError):
                    mine.write(message(number))
                continue
            say(mine.write(message(number)))

    said = killed(spill, label, n, work)
    size = len(spill_of(tmp_path, 9).write(b""))
    tokens = [said[at : at + size] for at in range(0, len(said), size)]
    heir, reader = spill_of(tmp_path, 1, epoch=2), spill_of(tmp_path, 2)
    heir.sweep(set(tokens))
    assert len(files(tmp_path)) == len(tokens) + 1  # and the empty one above
    assert len(tokens) == (0 if label in UNDOING else n - 1)
    assert [reader.read(token) for token in tokens] == [(number, META) for number in range(len(tokens))]
    assert reader.read(heir.write(message(7))) == (7, META)
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("label", READING)
def test_a_receiver_killed_while_it_takes_a_message_loses_none_but_that(tmp_path, label, n):
    sender = spill_of(tmp_path, 1)
    tokens = [sender.write(message(number)) for number in range(6)]

    def work(say):
        mine = spill_of(tmp_path, 2)
        for number in range(4):
            if number % 2:
                mine.discard(tokens[number])
            else:
                mine.read(tokens[number])
            say(b"x")

    begun = len(killed(spill, label, n, work))  # this one was in hand
    heir = spill_of(tmp_path, 2, epoch=2)
    assert len(files(tmp_path)) == 6 - begun - label.endswith(("taken", "discarded"))
    heir.discard(tokens[begun])
    for number in range(begun + 1, 6):
        assert heir.read(tokens[number]) == (number, META)
    assert files(tmp_path) == []
    with pytest.raises(SegmentGone):
        heir.read(tokens[begun])


@pytest.mark.parametrize("label", SWEEPING)
def test_a_successor_killed_while_it_sweeps_leaves_the_rest_to_the_next(tmp_path, label):
    sender = spill_of(tmp_path, 1)
    tokens = [sender.write(message(number)) for number in range(4)]
    killed(spill, label, 2 if label == "spill.sweep" else 1, lambda say: spill_of(tmp_path, 1, 2).sweep({tokens[2]}))
    assert len(files(tmp_path)) == (3 if label == "spill.sweep" else 1)
    spill_of(tmp_path, 1, epoch=3).sweep({tokens[2]})
    assert len(files(tmp_path)) == 1
    assert spill_of(tmp_path, 2).read(tokens[2]) == (2, META)


@pytest.mark.parametrize("label", crashpoint_labels(doorbell))
def test_a_sender_killed_at_the_bell_leaves_its_news_up_and_the_bell_for_the_next(tmp_path, label):
    Board.create(tmp_path / "board").close()
    create_doorbell(tmp_path / "bell")
    with Doorbell(tmp_path / "bell") as bell:
        mine = Board.open(tmp_path / "board")
        assert mine.sleep(2)

        def work(say):
            assert Board.open(tmp_path / "board").post(2, 1) != AWAKE
            Ringer(tmp_path / "bell").ring()

        killed(doorbell, label, 1, work)
        assert bell.clear() == (label == "bell.rung")
        assert not mine.sleep(2)  # so its bounded sleep ends here, rung or not
        assert mine.take(2) == [1]
        ringer = Ringer(tmp_path / "bell")
        assert ringer.ring() and bell.clear()
        ringer.close()
        mine.close()
