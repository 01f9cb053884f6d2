"""Real processes, killed by SIGKILL between any two stores of the board: nobody sleeps over a message for good."""

from __future__ import annotations

import os
import signal

import pytest

from actorlab.transport import (
    AWAKE,
    Board,
    LaneReader,
    LaneWriter,
    Watch,
    arm_crashpoints,
    board,
    crashpoint_labels,
    create_lane,
    kill_at,
    watch,
)

SENDER, RECEIVER = 1, 2
TAKING = [label for label in crashpoint_labels(board) if label.startswith("occupy.")]
LABELS = [(module, label) for module in (board, watch) for label in crashpoint_labels(module)]
NAMES = [f"{label}" for _, label in LABELS]


@pytest.fixture
def folder(tmp_path):
    Board.create(tmp_path / "board").close()
    create_lane(tmp_path / "lane", 64)
    return tmp_path


def in_child(work, module, label, n):
    """Run `work()` in a child that is killed at the n-th pass of a label; return whether it was."""
    pid = os.fork()
    if pid == 0:
        try:
            arm_crashpoints(module, kill_at(label, n))
            work()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def both_ends(folder):
    """Be sender and receiver in one process, through all that either does with the board."""
    shared = Board.open(folder / "board")
    reader = LaneReader(folder / "lane")
    found = Watch(shared, RECEIVER, lambda sender: reader)
    with LaneWriter(folder / "lane") as writer:
        for number in range(1, 7):
            assert writer.try_send(7, number, 1, 0, b"x") >= 0
            shared.post(RECEIVER, SENDER)
            if number % 3 == 0:  # nobody watches
                assert shared.take(RECEIVER) == [SENDER]
            elif number % 3 == 1:  # it is watched, and looked at again
                assert SENDER in found.take(True)
                assert found.take(True) in ([], [SENDER])
            found.rest()
            if number != 4:
                for record in reader.drain(1):
                    reader.free(record[4])
            if shared.sleep(RECEIVER):
                shared.wake(RECEIVER)
            shared.post(RECEIVER, SENDER)
            assert not shared.sleep(RECEIVER)  # there is news
            assert shared.take(RECEIVER) == [SENDER]
            shared.post_room(SENDER, RECEIVER)
            shared.occupy(SENDER, number)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize(("module", "label"), LABELS, ids=NAMES)
def test_who_comes_after_either_end_sees_every_message_and_is_rung_for_the_next(folder, module, label, n):
    assert in_child(lambda: both_ends(folder), module, label, n)
    come_after(folder)


def come_after(folder):
    """Be the next receiver, and then a sender: what was sent is found, and the next message is rung for."""
    shared = Board.open(folder / "board")
    before = shared.u32[RECEIVER * 80 + 7]
    assert shared.occupy(RECEIVER, os.getpid()) == before + 1
    assert shared.u8[RECEIVER * 320] == AWAKE  # or a sender would ring a bell that nobody hears
    with LaneReader(folder / "lane") as reader, LaneWriter(folder / "lane") as writer:
        found = Watch(shared, RECEIVER, lambda sender: reader)
        left = [record[1] for record in reader.survivors()]  # as every new receiver looks, whatever news is up
        assert left == list(range(left[0], left[-1] + 1)) if left else True
        for record in reader.survivors():
            reader.free(record[4])
        found.take(False)
        found.rest()
        assert shared.sleep(RECEIVER)
        # whatever the dead left standing, the next message's sender is told to ring, and its news is found
        assert writer.try_send(7, 100, 1, 0, b"x") >= 0
        assert shared.post(RECEIVER, SENDER) != AWAKE
        shared.wake(RECEIVER)
        assert found.take(False) == [SENDER]
        assert [record[1] for record in reader.drain()] == [100]
    shared.close()


def test_news_that_a_killed_sender_did_not_put_up_is_put_up_by_its_reaper(folder):
    """Between the message and its news, and between the news and the bell: whoever sees the sender die looks itself."""

    def send():
        shared = Board.open(folder / "board")
        with LaneWriter(folder / "lane") as writer:
            writer.try_send(7, 1, 1, 0, b"x")
            shared.post(RECEIVER, SENDER)

    for label in ("post.news", "post.asleep"):
        shared = Board.open(folder / "board")
        asleep = shared.sleep(RECEIVER)
        assert in_child(send, board, label, 1)
        with LaneReader(folder / "lane") as reader:
            assert reader.ready  # what the reaper looks at (`drain_from`)
            assert len(reader.drain()) == 1
        assert asleep  # it had gone to sleep in good faith
        shared.wake(RECEIVER)
        shared.close()


ROW64, ROW32, ROW8 = board.ROW_U64 * RECEIVER, board.ROW_U32 * RECEIVER, board.ROW_BYTES * RECEIVER
OLD, NEW = 4711, 4712


def seat(shared):
    """Return what a row says of its process: pid, epoch, processes, guest, shedding, how it sleeps, its beats."""
    u8 = shared.u8[ROW8], shared.u8[ROW8 + board.SHEDDING], shared.u8[ROW8 + board.GUEST]
    beats = [shared.u64[ROW64 + at] for at in (board.BEAT, board.BEAT2, board.CURRENT, board.BUSY_FROM)]
    return (*(shared.u32[ROW32 + at] for at in (board.PID, board.EPOCH, board.PROCESSES)), *u8, beats)


SEATS = [(label, n) for label in TAKING for n in range(1, 1 + 4 ** ("beats" in label))]


@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize(("label", "n"), SEATS)
def test_a_pid_that_is_seen_belongs_to_the_epoch_and_to_all_else_that_is_seen(folder, label, n, goes_on):
    """Its predecessor's pid is a dead one's, whatever else is seen; with the new one all is the new one's."""
    shared = Board.open(folder / "board")
    assert shared.occupy(RECEIVER, OLD) == 1
    for at in (board.BEAT, board.BEAT2, board.CURRENT, board.BUSY_FROM):
        shared.u64[ROW64 + at] = 9
    shared.u8[ROW8] = shared.u8[ROW8 + board.SHEDDING] = 1
    assert in_child(
        lambda: Board.open(folder / "board").occupy(RECEIVER, NEW, goes_on=goes_on, guest=True), board, label, n
    )
    epoch = 1 if goes_on else 2
    pid, *rest = seat(shared)
    assert pid == (NEW if label == "occupy.over" else OLD)
    if pid == NEW:
        assert rest == [epoch, 2, AWAKE, 0, 1, [0] * 4]
    else:
        assert rest[0] in (1, epoch) and rest[1] in (1, 2)
    again = shared.occupy(RECEIVER, NEW + 1)
    assert seat(shared) == (NEW + 1, again, rest[1] + 1, AWAKE, 0, 0, [0] * 4)
    assert again == rest[0] + 1  # an epoch is nobody else's
    shared.close()
