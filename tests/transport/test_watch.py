"""A receiver that watches tails misses nothing: neither while it watches, nor when it stops to go to sleep."""

from __future__ import annotations

from itertools import combinations

import greenlet
import pytest

from actorlab.transport import Board, LaneReader, LaneWriter, Watch, arm_crashpoints, board, create_lane, watch
from actorlab.transport.watch import PASSED_OVER


@pytest.fixture
def shared(tmp_path):
    made = Board.create(tmp_path / "board")
    yield made
    made.close()


@pytest.fixture
def lanes(tmp_path):
    """Return `(writer, reader)` of a lane by its sender, made when first asked for."""
    made: dict[int, tuple[LaneWriter, LaneReader]] = {}

    def lane(sender: int) -> tuple[LaneWriter, LaneReader]:
        if sender not in made:
            create_lane(tmp_path / f"lane.{sender}", 64)
            made[sender] = LaneWriter(tmp_path / f"lane.{sender}"), LaneReader(tmp_path / f"lane.{sender}")
        return made[sender]

    yield lane
    for ends in made.values():
        for end in ends:
            end.close()


def drain(lane, sender):
    reader = lane(sender)[1]
    records = reader.drain()
    for record in records:
        reader.free(record[4])
    return [record[1] for record in records]


def send(shared, lane, sender, number):
    lane(sender)[0].try_send(1, number, 0, 0, b"")
    return shared.post(3, sender)


def test_a_watched_lanes_messages_are_found_without_news(shared, lanes):
    look = Watch(shared, 3, lambda sender: lanes(sender)[1])
    send(shared, lanes, 1, 0)
    assert look.has_news()
    assert look.take(True) == [1]
    assert drain(lanes, 1) == [0]
    assert not look.has_news()
    assert look.take(True) == []
    lanes(1)[0].try_send(1, 1, 0, 0, b"")  # no news: it is up already
    assert look.has_news()
    assert look.take(True) == [1]
    assert drain(lanes, 1) == [1]


def test_who_is_not_busy_watches_nothing(shared, lanes):
    look = Watch(shared, 3, lambda sender: lanes(sender)[1])
    send(shared, lanes, 1, 0)
    assert look.take(False) == [1]
    assert drain(lanes, 1) == [0]
    assert not look.has_news()
    send(shared, lanes, 1, 1)
    assert look.has_news()


def test_a_lane_that_is_not_open_yet_has_its_news_seen_and_is_watched_later(shared, lanes):
    opened = set()
    look = Watch(shared, 3, lambda sender: lanes(sender)[1] if sender in opened else None)
    send(shared, lanes, 1, 0)
    send(shared, lanes, 2, 0)
    opened.add(1)
    assert look.take(True) == [1, 2]
    assert drain(lanes, 1) == drain(lanes, 2) == [0]
    assert not look.has_news()
    opened.add(2)
    lanes(1)[0].try_send(1, 1, 0, 0, b"")  # watched: without news
    send(shared, lanes, 2, 1)
    assert look.take(True) == [1]  # a watched lane comes first, a few times
    assert drain(lanes, 1) == [1]
    assert look.take(True) == [2]
    assert drain(lanes, 2) == [1]
    lanes(2)[0].try_send(1, 2, 0, 0, b"")
    assert look.take(True) == [2]


def test_at_most_a_few_lanes_are_watched_and_all_are_seen(shared, lanes):
    look = Watch(shared, 3, lambda sender: lanes(sender)[1], 2)
    for round_ in range(3):
        for sender in (1, 2, 5, 9):
            send(shared, lanes, sender, round_)
        seen = []
        while found := look.take(True):
            seen += found
            assert [drain(lanes, sender) for sender in found] == [[round_]] * len(found)
        assert sorted(seen) == [1, 2, 5, 9]


def test_busy_lanes_do_not_hide_the_others_for_long(shared, lanes):
    look = Watch(shared, 3, lambda sender: lanes(sender)[1], 1)
    send(shared, lanes, 1, 0)
    assert look.take(True) == [1]
    assert drain(lanes, 1) == [0]
    send(shared, lanes, 2, 0)
    for n in range(PASSED_OVER + 1):
        send(shared, lanes, 1, n)
        found = look.take(True)
        drain(lanes, 1)
        if n < PASSED_OVER:
            assert found == [1]
    assert found == [1, 2]


def test_room_is_told_whatever_news_is_up(shared, lanes):
    look = Watch(shared, 3, lambda sender: lanes(sender)[1])
    send(shared, lanes, 1, 0)
    look.take(True)
    drain(lanes, 1)
    assert not look.room
    shared.post_room(3, 1)
    assert look.has_news()
    assert look.take(True) == [1]
    assert look.room == {1}
    look.room.clear()
    assert look.take(True) == []


def test_rest_finds_what_came_last_and_takes_all_news_down(shared, lanes):
    look = Watch(shared, 3, lambda sender: lanes(sender)[1])
    send(shared, lanes, 1, 0)
    look.take(True)
    drain(lanes, 1)
    lanes(1)[0].try_send(1, 1, 0, 0, b"")
    assert look.rest() == [1]
    assert look.rest() == []
    assert drain(lanes, 1) == [1]
    assert shared.sleep(3)
    assert send(shared, lanes, 1, 2)  # to be rung
    shared.wake(3)


def test_no_interleaving_of_send_and_watch_strands_a_message(shared, lanes):
    """All schedules of few switches: whoever ends asleep has an empty lane."""
    writer, reader = lanes(1)
    main = greenlet.getcurrent()
    rung: list[int] = []
    asleep: list[bool] = []

    def sender():
        for number in range(3):
            main.switch()
            writer.try_send(1, number, 0, 0, b"")
            main.switch()
            if shared.post(3, 1):
                rung.append(number)

    def receiver():
        look = Watch(shared, 3, lambda sender: reader)
        for _ in range(4):
            for _ in look.take(True):
                main.switch()
                drain(lanes, 1)
            main.switch()
            if look.rest():
                drain(lanes, 1)
                continue
            if shared.sleep(3):
                asleep.append(True)
                rung.clear()
                while not rung:
                    main.switch()
                shared.wake(3)
                asleep.clear()

    undo = [arm_crashpoints(module, lambda label: main.switch()) for module in (board, watch)]
    try:
        for i, j in combinations(range(40), 2):
            for first in (0, 1):
                rung.clear(), asleep.clear()
                ends = [greenlet.greenlet(sender), greenlet.greenlet(receiver)]
                for turn in [first] * i + [1 - first] * (j - i) + [first] * 80 + [1 - first] * 80 + [1] * 80:
                    if not ends[turn].dead:
                        ends[turn].switch()
                assert ends[0].dead
                if asleep:
                    assert not reader.ready, f"asleep over {reader.statistics().depth} messages: {i} {j} {first}"
                for end in ends:
                    end.throw()
                shared.wake(3)
                shared.take(3)
                drain(lanes, 1)
    finally:
        for one in undo:
            one()
