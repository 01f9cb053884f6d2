"""The board loses no wake-up, whoever stores first; a doorbell rings through and survives its receiver."""

from __future__ import annotations

import os
import select
import threading
from itertools import combinations

import greenlet
import pytest

from actorlab.errors import SegmentCorrupt
from actorlab.memory import Segment
from actorlab.transport import (
    ASLEEP,
    ASLEEP_SECOND,
    AWAKE,
    BEAT,
    EPOCH,
    PID,
    ROW_U32,
    ROW_U64,
    Board,
    Doorbell,
    LaneReader,
    LaneWriter,
    Ringer,
    arm_crashpoints,
    board,
    create_doorbell,
    create_lane,
    doorbell,
)


@pytest.fixture
def shared(tmp_path):
    made = Board.create(tmp_path / "board")
    yield made
    made.close()


def test_news_is_posted_and_taken_by_sender(shared, tmp_path):
    other = Board.open(tmp_path / "board")
    assert shared.take(3) == []
    for sender in (0, 7, 255, 7):
        assert other.post(3, sender) == AWAKE
    assert other.post(4, 7) == AWAKE
    assert shared.take(3) == [0, 7, 255]
    assert shared.take(3) == []
    assert shared.take(4) == [7]
    other.close()


def test_a_sleeper_is_to_be_rung_once_for_each_sender(shared):
    assert shared.sleep(3)
    assert shared.post(3, 1) == ASLEEP
    assert shared.post(3, 1) == AWAKE  # its news is up already
    assert shared.post(3, 2) == ASLEEP
    shared.wake(3)
    assert shared.post(3, 4) == AWAKE
    assert shared.take(3) == [1, 2, 4]
    assert shared.sleep(3, ASLEEP_SECOND)
    assert shared.post(3, 1) == ASLEEP_SECOND


def test_nobody_falls_asleep_over_news(shared):
    shared.post(3, 9)
    assert not shared.sleep(3)
    assert shared.take(3) == [9]
    assert shared.sleep(3)


def test_a_new_process_in_a_slot_has_the_next_epoch_and_finds_the_news(shared):
    shared.sleep(3)
    shared.post(3, 1)
    shared.u64[3 * ROW_U64 + BEAT] = 17
    assert [shared.occupy(3, 4711), shared.occupy(3, 4712)] == [1, 2]
    assert (shared.u32[3 * ROW_U32 + PID], shared.u32[3 * ROW_U32 + EPOCH]) == (4712, 2)
    assert (shared.u64[3 * ROW_U64 + BEAT], shared.post(3, 2)) == (0, AWAKE)
    assert shared.take(3) == [1, 2]


def test_an_observer_cannot_write_the_board(shared, tmp_path):
    observer = Board.open(tmp_path / "board", writable=False)
    with pytest.raises(TypeError):
        observer.u8[0] = 1
    observer.close()
    Segment.create(tmp_path / "odd", 8192, header=b"alBoard\0\1").close()
    with pytest.raises(SegmentCorrupt, match="a board has"):
        Board.open(tmp_path / "odd")


def test_no_interleaving_of_send_and_sleep_strands_a_message(tmp_path):
    """All schedules of few switches: whoever ends asleep has an empty lane."""
    create_lane(tmp_path / "lane", 64)
    shared = Board.create(tmp_path / "board")
    writer, reader = LaneWriter(tmp_path / "lane"), LaneReader(tmp_path / "lane")
    main = greenlet.getcurrent()
    rung, got, asleep = [], [], []

    def sender():
        for number in range(3):
            main.switch()
            writer.try_send(1, number, 0, 0, b"")
            main.switch()
            if shared.post(3, 1):
                rung.append(number)

    def receiver():
        for _ in range(3):
            for _ in shared.take(3):
                main.switch()
                for record in reader.drain():
                    got.append(record[1])
                    reader.free(record[4])
            if shared.sleep(3):
                asleep.append(True)
                rung.clear()
                while not rung:
                    main.switch()
                shared.wake(3)
                asleep.clear()

    undo = arm_crashpoints(board, lambda label: main.switch())
    try:
        for i, j in combinations(range(40), 2):
            for first in (0, 1):
                rung.clear(), got.clear(), asleep.clear()
                ends = [greenlet.greenlet(sender), greenlet.greenlet(receiver)]
                for turn in [first] * i + [1 - first] * (j - i) + [first] * 60 + [1 - first] * 60 + [1] * 60:
                    if not ends[turn].dead:
                        ends[turn].switch()
                assert ends[0].dead
                if asleep:
                    assert not reader.ready, f"asleep over {reader.statistics().depth} messages: {i} {j} {first}"
                for end in ends:
                    end.throw()
                shared.wake(3)
                shared.take(3)
                for record in reader.drain():
                    reader.free(record[4])
    finally:
        undo()
    writer.close()
    reader.close()
    shared.close()


def test_a_doorbell_rings_through_and_is_quiet_when_cleared(tmp_path):
    create_doorbell(tmp_path / "bell")
    assert os.stat(tmp_path / "bell").st_mode & 0o777 == 0o600
    ringer = Ringer(tmp_path / "bell")
    assert not ringer.ring()  # nobody listens
    with Doorbell(tmp_path / "bell") as bell:
        assert not bell.clear()
        assert ringer.ring()
        assert select.select([bell], [], [], 5)[0]
        assert bell.clear()
        assert not select.select([bell], [], [], 0)[0]
    ringer.close()


def test_a_ringer_serves_the_receivers_successor_too(tmp_path):
    create_doorbell(tmp_path / "bell")
    ringer = Ringer(tmp_path / "bell")
    first = Doorbell(tmp_path / "bell")
    assert ringer.ring()
    first.close()
    assert not ringer.ring()
    with Doorbell(tmp_path / "bell") as second:
        second.clear()
        assert ringer.ring()
        assert second.clear()
    ringer.close()


def test_a_bell_that_nobody_clears_never_blocks_its_ringers(tmp_path):
    create_doorbell(tmp_path / "bell")
    with Doorbell(tmp_path / "bell") as bell:
        ringer = Ringer(tmp_path / "bell")
        assert all(ringer.ring() for _ in range(70_000))  # a pipe holds 65,536
        assert bell.clear()
        assert not bell.clear()
        ringer.close()


def test_a_bell_wakes_a_thread_in_poll(tmp_path):
    create_doorbell(tmp_path / "bell")
    with Doorbell(tmp_path / "bell") as bell:
        woken = []
        sleeper = threading.Thread(target=lambda: woken.extend(select.select([bell], [], [], 30)[0]))
        sleeper.start()
        ringer = Ringer(tmp_path / "bell")
        ringer.ring()
        sleeper.join(30)
        assert woken == [bell]
        ringer.close()


def test_a_file_in_place_of_a_bell_is_refused(tmp_path):
    (tmp_path / "bell").write_text("")
    with pytest.raises(SegmentCorrupt, match="named pipe"):
        Doorbell(tmp_path / "bell")


def test_the_first_rings_of_two_threads_open_a_bell_once(tmp_path, monkeypatch):
    create_doorbell(tmp_path / "bell")
    ringer, opened, second = Ringer(tmp_path / "bell"), [], threading.Event()
    other = threading.Thread(target=ringer.ring)
    really_open = doorbell._open

    def open_with_another_thread(path, how):
        if opened:
            second.set()
        opened.append(-1)
        if len(opened) == 1:
            other.start()
            second.wait(0.3)  # it never comes, or at once
        opened[-1] = really_open(path, how)
        return opened[-1]

    with Doorbell(tmp_path / "bell"):
        monkeypatch.setattr(doorbell, "_open", open_with_another_thread)
        assert ringer.ring()
        other.join(20)
        ringer.close()
    assert len(opened) == 1


def test_who_rings_after_the_close_rings_at_nothing(tmp_path):
    create_doorbell(tmp_path / "bell")
    ringer = Ringer(tmp_path / "bell")
    with Doorbell(tmp_path / "bell") as bell:
        assert ringer.ring() and bell.clear()
        ringer.close()
        assert not ringer.ring()
        assert not bell.clear()
