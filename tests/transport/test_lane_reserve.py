"""However full a lane is of messages that wait for a slow or dead actor, what is taken out at once gets through."""

from __future__ import annotations

import threading
from collections import deque

import pytest

from actorlab.transport import (
    Board,
    LaneReader,
    LaneWriter,
    Outlet,
    bell_path,
    create_doorbell,
    create_lane,
    lane_path,
    second_bell_path,
)

BLOCKS, RESERVE = 64, 8
TELL, STOP, CONTROL = 1, 5, 8


@pytest.fixture
def ends(tmp_path):
    create_lane(tmp_path / "lane", BLOCKS)
    with LaneWriter(tmp_path / "lane", RESERVE) as writer, LaneReader(tmp_path / "lane") as reader:
        yield writer, reader


def fill(writer):
    sent = 0
    while writer.try_send(1, sent + 1, TELL, 0, b"mail") >= 0:
        sent += 1
    return sent


def test_ordinary_messages_leave_the_reserve_alone(ends):
    writer, _reader = ends
    assert fill(writer) == BLOCKS - RESERVE
    assert writer.try_send(1, 0, TELL, 0, bytes(300)) < 0
    assert not writer.want_room(4)


def test_what_is_urgent_uses_the_reserve_in_order_and_gives_it_back(ends):
    writer, reader = ends
    mail = fill(writer)
    for _ in range(5):
        orders = 0
        while writer.try_urgent(0, orders, CONTROL, 0, bytes(250)) >= 0:  # two blocks each
            orders += 1
        assert orders == RESERVE // 2
        records = reader.drain()
        assert [corr for _, corr, kind, *_ in records if kind == CONTROL] == list(range(orders))
        for _, _, kind, _, block, _ in records:
            if kind == CONTROL:
                reader.free(block)
        assert writer.try_send(1, 0, TELL, 0, b"mail") < 0
    assert reader.statistics().used == mail


def test_a_lane_says_which_questions_were_not_taken_out_of_it(ends):
    writer, reader = ends
    for corr in range(1, 7):
        writer.try_send(1, corr, TELL, 0, bytes(300 if corr == 3 else 5))
    for _, corr, _, _, block, _ in reader.drain(4):
        if corr != 2:
            reader.free(block)
    assert writer.unanswered() == {2, 5, 6}


@pytest.fixture
def full_outlet(tmp_path):
    board = Board.create(tmp_path / "board")
    for process in (1, 2):
        create_doorbell(bell_path(tmp_path, process))
        create_doorbell(second_bell_path(tmp_path, process))
    outlet = Outlet(tmp_path, 1, board, BLOCKS)
    while outlet.try_send(2, 7, 1, TELL, 0, b"mail"):
        pass
    yield outlet
    outlet.close()
    board.close()


def free_all(reader):
    for record in reader.drain():
        reader.free(record[4])


def test_nothing_passes_a_stop_while_another_thread_looks_for_room_for_it(tmp_path, full_outlet):
    outlet, passed = full_outlet, []

    class Switching(deque):
        """An outbox of which the last post has just been taken when another thread has its turn."""

        def popleft(self):
            post = super().popleft()
            if not self and not passed:
                free_all(reader)
                thread = threading.Thread(target=lambda: passed.append(outlet.try_send(2, 7, 101, TELL, 0, b"after")))
                thread.start()
                thread.join(20)
            return post

    with LaneReader(lane_path(tmp_path, 1, 2)) as reader:
        outlet.post(2, 7, 100, STOP, 0, b"stop")
        outlet.outbox[2] = Switching(outlet.outbox[2])
        outlet.flush()
        free_all(reader)
        if not passed:
            assert outlet.try_send(2, 7, 101, TELL, 0, b"after")
        assert [record[1] for record in reader.survivors()] == [100, 101]


def test_a_signal_handler_that_posts_in_the_middle_of_a_flush_neither_hangs_nor_posts_twice(
    tmp_path, full_outlet, monkeypatch
):
    outlet, want_room, interrupts = full_outlet, LaneWriter.want_room, []

    def interrupted(writer, length=0):
        if not interrupts:
            interrupts.append(1)
            outlet.post(2, 7, 101, STOP, 0, b"stop")
            assert not outlet.try_send(2, 7, 102, TELL, 0, b"mail")
        return want_room(writer, length)

    monkeypatch.setattr(LaneWriter, "want_room", interrupted)
    thread = threading.Thread(target=outlet.post, args=(2, 7, 100, STOP, 0, b"stop"), daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert interrupts and outlet.waiting == 2
    with LaneReader(lane_path(tmp_path, 1, 2)) as reader:
        free_all(reader)
        outlet.flush()
        assert [record[1] for record in reader.drain()] == [100, 101]
    assert not outlet.waiting


def test_an_order_passes_a_full_lane_and_a_stop_that_waits_for_room(tmp_path, full_outlet):
    outlet = full_outlet
    outlet.post(2, 7, 100, STOP, 0, b"stop")
    for order in range(3):
        outlet.post(2, 0, 200 + order, CONTROL, 0, b"order")
    with LaneReader(lane_path(tmp_path, 1, 2)) as reader:
        records = reader.drain()
        assert [corr for _, corr, kind, *_ in records if kind != TELL] == [200, 201, 202]
        assert 100 in outlet.unanswered(2)
        for _, _, _, _, block, _ in records:
            reader.free(block)
        outlet.flush()
        assert [corr for _, corr, *_ in reader.drain()] == [100]
    assert not outlet.waiting
