"""Messages put aside: in order, bounded, not lost when their actor crashes, and in the books all the while."""

from __future__ import annotations

import asyncio

import pytest

import actorlab as al


class Door(al.Actor):
    """Lets messages in when it is open, in whatever way they come."""

    stash_capacity = 5

    def __init__(self, seen):
        self.seen = seen
        self.is_open = False

    def enter(self, who):
        if not self.is_open:
            self.stash()
        self.seen.put(who)
        return f"hello {who}"

    async def aenter(self, who):
        await asyncio.sleep(0)
        if not self.is_open:
            self.stash()
        self.seen.put(who)
        return f"hello {who}"

    def on_receive(self, message):
        return self.enter(message)

    def open(self):
        self.is_open = True
        return self.unstash()

    def peep(self):
        """Take one out at a time: the others are put aside again."""
        return self.unstash()

    def careful(self, who):
        try:
            self.stash()
        except al.StashFull as error:
            return str(error)

    def boom(self):
        raise RuntimeError("boom")

    def idle_soon(self):
        self.receive_timeout = 10.0


class BlockingDoor(Door):
    blocking = True


class ForgetfulDoor(Door):
    on_restart = "drop"


class NoStash(al.Actor):
    def enter(self):
        self.stash()


@pytest.fixture(params=[Door, BlockingDoor])
def door(request, node, seen):
    return node.spawn(request.param, seen)


def drain(seen):
    found = []
    while not seen.empty():
        found.append(seen.get_nowait())
    return found


def test_what_is_put_aside_comes_back_in_order_and_before_what_waits(door, seen, settled):
    calls = [door.request.enter(1), door.request.aenter(2), door.ask(3, block=False)]
    door.tell(4)
    door.cast.enter(5)
    settled()
    assert drain(seen) == []
    opened = door.request.open()
    last = door.request.enter(6)
    assert opened.get(timeout=30) == 5
    assert al.gather(*calls, last).get(timeout=30) == ["hello 1", "hello 2", "hello 3", "hello 6"]
    settled()
    assert drain(seen) == [1, 2, 3, 4, 5, 6]


def test_a_caller_in_the_same_worker_waits_for_it_like_anybody(node, door, eventually):
    class Guest(al.Actor):
        def go(self, door, who):
            return door.call.enter(who)

    answer = node.spawn(Guest).request.go(door, "guest")
    eventually(lambda: door.statistics().depth == 1)
    door.call.open()
    assert answer.get(timeout=30) == "hello guest"


def test_what_is_aside_counts_as_waiting_and_the_books_balance(door, settled):
    for who in range(3):
        door.tell(who)
    settled()
    books = door.statistics()
    assert (books.depth, books.handled) == (3, 0)
    door.call.open()
    settled()
    books = door.statistics()
    assert (books.depth, books.handled) == (0, 4)


def test_what_comes_back_may_be_put_aside_again(door, seen, settled):
    for who in range(3):
        door.tell(who)
    assert door.call.peep() == 3
    settled()
    assert door.statistics().depth == 3
    door.call.open()
    settled()
    assert drain(seen) == [0, 1, 2]


def test_a_stash_is_bounded_and_says_so(door):
    for who in range(5):
        door.tell(who)
    assert "the stash of" in door.call.careful("one too many")
    assert "(5 messages)" in door.call.careful("one too many")


def test_the_message_that_finds_it_full_is_a_failure_unless_it_is_caught(node, door):
    down = node.monitor(door)
    for who in range(6):
        door.tell(who)
    assert "StashFull" in str(down.get(timeout=30).reason)


def test_a_class_without_a_stash_is_told_how_to_have_one(node):
    with pytest.raises(al.StashFull, match=r"say how many, by stash_capacity"):
        node.spawn(NoStash).call.enter()


def supervised(node, kind, seen):
    node.start(al.Supervisor(children=[al.child(kind, seen, name="door")]))
    return node.whereis("door")


def test_a_crash_hands_the_stash_to_the_next_incarnation_before_the_queue(node, seen, settled):
    door = supervised(node, Door, seen)
    calls = [door.request.enter(who) for who in (1, 2)]
    settled()
    door.cast.boom()
    settled()
    assert door.incarnation == 1
    assert door.statistics().depth == 2  # put aside again
    door.call.open()
    assert al.gather(*calls).get(timeout=30) == ["hello 1", "hello 2"]
    assert drain(seen) == [1, 2]


def test_a_class_that_drops_its_queue_drops_its_stash(node, seen, settled):
    door = supervised(node, ForgetfulDoor, seen)
    call = door.request.enter(1)
    settled()
    door.cast.boom()
    with pytest.raises(al.ActorDied) as died:
        call.get(timeout=30)
    assert died.value.delivery == "never"
    assert node.dead_letters.counts["dropped_on_restart"] == 1


def test_a_stop_makes_dead_letters_of_it_and_tells_the_callers(node, door, settled):
    call = door.request.enter(1)
    door.tell(2)
    door.stop()
    with pytest.raises(al.ActorDied):
        call.get(timeout=30)
    settled()
    assert node.dead_letters.counts["stopped"] == 2


def test_a_question_that_is_given_up_leaves_the_stash(node, seen, settled):
    door = node.spawn(Door, seen)
    call = door.request.enter(1)
    door.tell(2)
    settled()
    call.cancel()
    settled()
    assert node.dead_letters.counts["cancelled"] == 1
    door.call.open()
    settled()
    assert drain(seen) == [2]


def test_a_timer_can_be_put_aside_but_not_over_a_crash(node, seen, settled, clock):
    class Alarm(Door):
        def on_start(self):
            self.send_after(1.0, "ring")

    door = node.spawn(Alarm, seen)
    clock.advance(1.1)
    settled()
    assert drain(seen) == []
    door.call.open()
    settled()
    assert drain(seen) == ["ring"]


def test_a_stash_must_be_smaller_than_the_mailbox(node, seen):
    with pytest.raises(al.StartError, match=r"stash_capacity \(5\) must be below its mailbox's capacity \(5\)"):
        node.spawn(Door, seen, mailbox=al.Mailbox(capacity=5))


def test_a_stash_of_no_number_is_refused_where_the_class_is_made():
    with pytest.raises(TypeError, match="stash_capacity must be a whole number"):

        class Wrong(al.Actor):
            stash_capacity = "many"


def test_only_a_message_can_be_put_aside(node):
    class Early(al.Actor):
        stash_capacity = 1

        def on_start(self):
            self.stash()

    with pytest.raises(al.StartError, match="for the handlers of messages"):
        node.spawn(Early)
