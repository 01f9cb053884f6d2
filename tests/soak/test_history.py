"""The checker of histories finds each forged violation, and nothing in a history that is good."""

from __future__ import annotations

import random

import pytest

from tools.soak.history import Event, History, Violation, check

USER, FIRST, SECOND = 1, 11, 12
"""Processes: the user's, a worker's, and its successor's."""


class Story:
    """Writes histories: each call is one event, a microsecond after the one before."""

    def __init__(self):
        self.events = []

    def __call__(self, what, pid=USER, **fields):
        self.events.append(Event(1_000 * (len(self.events) + 1), pid, what, fields))
        return self

    def send(self, message, outcome="ok", *, how="tell", to="r", pid=USER, redeliver=0, **told):
        self("send", pid, id=message, to=to, how=how, redeliver=redeliver)
        if outcome:
            if how == "call" and outcome == "ok":
                told.setdefault("value", message)
            self("done", pid, id=message, outcome=outcome, **told)
        return self

    def handle(self, message, pid=FIRST, to="r"):
        return self("begin", pid, id=message, to=to)("end", pid, id=message, to=to)

    def books(self, accepted, dead_lettered=0, depth=0, to="r"):
        return self("books", to=to, accepted=accepted, dead_lettered=dead_lettered, depth=depth, drops=False)

    def judge(self, patience_s=10.0):
        return check(History.of_events(self.events), patience_s)


def story():
    return Story()("life", FIRST, to="r", worker=1)


def promises(violations: list[Violation]) -> list[int]:
    return [violation.promise for violation in violations]


def good():
    """A history with a kill in it, all of it as promised."""
    tale = story()
    tale.send("a#1").send("a#2", how="call").send("a#3").send("b#1", "never", how="call").send("b#2", "unknown")
    tale.handle("a#1").handle("a#2")("begin", FIRST, id="a#3", to="r")
    tale("watch", SECOND, watcher="w.12.0", monitor=5, target="t").send("t#1", to="w", pid=13)
    tale("kill", victim=FIRST)("life", SECOND, to="r", worker=1).send("a#4").send("a#5", "")
    tale("send", FIRST, id="inside#1", to="r", how="tell")
    tale.handle("t#1", SECOND, to="w")("down", SECOND, watcher="w.12.0", monitor=5)("gone", target="t")
    tale.handle("a#4", SECOND).handle("b#2", SECOND)("done", id="a#5", outcome="unknown")
    tale("own", FIRST, name="n", owner="x")("own", SECOND, name="n", owner="y")("standing", SECOND, watcher="w.12.0")
    return tale.books(5, dead_lettered=1)


def test_a_good_history_breaks_nothing():
    assert good().judge() == []


def test_the_order_in_which_journals_are_read_does_not_matter():
    events = good().events
    random.Random(3).shuffle(events)
    assert check(History.of_events(events), 10.0) == []


def test_two_messages_in_hand_at_once():
    tale = story().send("a#1").send("a#2")("begin", FIRST, id="a#1", to="r")("begin", FIRST, id="a#2", to="r")
    assert promises(tale.books(2).judge()) == [1]


def test_a_message_that_overtakes():
    tale = story().send("a#1").send("a#2").handle("a#2").handle("a#1").books(2)
    assert promises(tale.judge()) == [2]
    assert story().send("a#1").send("b#2").handle("b#2").handle("a#1").books(2).judge() == []  # of different senders


def test_a_refused_message_that_is_handled():
    assert promises(story().send("a#1", "never").handle("a#1").books(1).judge()) == [3]


def test_a_message_handled_twice():
    tale = story().send("a#1").handle("a#1").handle("a#1").books(1)
    assert promises(tale.judge()) == [4]
    assert story().send("a#1", redeliver=1).handle("a#1").handle("a#1").books(1).judge() == []


def test_a_message_that_nobody_sent_or_that_went_astray():
    assert promises(story().handle("ghost#1").judge()) == [4]
    assert promises(story().send("a#1").handle("a#1", to="other").judge()) == [4]


def test_an_accepted_message_that_is_lost():
    assert promises(story().send("a#1").send("a#2").handle("a#1").books(2, dead_lettered=1).judge()) == [4]
    killed = story().send("a#1").send("a#2").handle("a#1")("kill", victim=FIRST).books(2, dead_lettered=1)
    assert killed.judge() == []  # the one in hand
    killed = story().send("a#1").send("a#2").send("a#3").handle("a#1")("kill", victim=FIRST).books(3, dead_lettered=2)
    assert promises(killed.judge()) == [4]  # two were not in hand
    unsaid = story().send("a#1").send("a#2").handle("a#1")("kill", victim=FIRST).books(2)
    assert promises(unsaid.judge()) == [4]  # and it must be in the books


def test_what_was_sent_inside_a_killed_process_may_be_lost_with_it():
    tale = story().send("a#1", pid=FIRST)("kill", victim=FIRST)
    assert tale.books(0).judge() == tale.books(1).judge() == []
    older = Story()("process", of=FIRST, worker=1)("place", to="r", worker=1)  # they lived before the round began
    assert older.send("a#1", pid=FIRST)("kill", victim=FIRST).books(0).judge() == []


@pytest.mark.parametrize("accepted", [0, 2])
def test_books_that_say_less_or_more_than_was_sent(accepted):
    assert promises(story().send("a#1").handle("a#1").books(accepted).judge()) == [5]


def test_a_queue_at_rest():
    assert promises(story().send("a#1").handle("a#1").books(1, depth=1).judge()) == [5]


def test_a_send_that_is_settled_never_twice_or_late():
    assert promises(story().send("a#1", "", how="call").judge()) == [6]
    assert promises(story().send("a#1").handle("a#1")("done", id="a#1", outcome="ok").judge()) == [6]
    assert promises(story().send("a#1").handle("a#1").judge(patience_s=0.0)) == [6]
    assert story().send("a#1", "", pid=FIRST)("kill", victim=FIRST).judge() == []  # its sender is dead


def test_an_answer_that_nobody_gave_or_to_another_question():
    assert promises(story().send("a#1", how="call").judge()) == [6]
    assert promises(story().send("a#1", "handled", how="call").judge()) == [6]
    assert promises(story().send("a#1", how="call", value="b#1").handle("a#1").judge()) == [6]


def watched():
    return story()("watch", watcher="w.1.0", monitor=7, target="t")("standing", watcher="w.1.0")


def test_a_down_that_comes_never_twice_or_unasked():
    assert promises(watched()("gone", target="t").judge()) == [7]
    assert watched().judge() == []  # it lives
    twice = watched()("down", watcher="w.1.0", monitor=7)("down", watcher="w.1.0", monitor=7)("gone", target="t")
    assert promises(twice.judge()) == [7]
    assert promises(story()("down", watcher="w.1.0", monitor=8).judge()) == [7]


def test_a_down_that_overtakes_its_targets_last_words():
    tale = watched().send("t#1", to="w")("down", watcher="w.1.0", monitor=7)("gone", target="t")
    assert promises(tale.judge()) == [7]
    assert promises(tale.handle("t#1", to="w").judge()) == [7]
    in_time = watched().send("t#1", to="w").handle("t#1", to="w")("down", watcher="w.1.0", monitor=7)
    assert in_time.judge() == []


def test_two_owners_of_a_name_at_one_time():
    tale = story()("own", FIRST, name="n", owner="x")("own", SECOND, name="n", owner="y")("disown", FIRST, owner="x")
    assert promises(tale.judge()) == [8]
    after = story()("own", FIRST, name="n", owner="x")("disown", FIRST, owner="x")("own", SECOND, name="n", owner="y")
    assert after("standing", watcher="w.1.0").judge() == []


def test_an_owner_that_moved_is_where_it_went_and_dies_there():
    tale = story()("own", FIRST, name="n", owner="x")("moved", SECOND, owner="x")
    held_still = Story()
    held_still.events = [*tale.events]
    held_still("own", 13, name="n", owner="y")("standing", watcher="w.1.0")
    assert promises(held_still.judge()) == [8]  # nobody killed it where it went
    assert tale("kill", victim=SECOND)("own", 13, name="n", owner="y")("standing", watcher="w.1.0").judge() == []
    gone = story()("own", FIRST, name="n", owner="x")("moved", SECOND, owner="x")("kill", victim=FIRST)
    assert promises(gone("own", 13, name="n", owner="y")("standing", watcher="w.1.0").judge()) == [8]


def test_what_was_sent_inside_a_process_that_took_a_guest_in_may_be_lost_with_it():
    tale = story()("process", of=SECOND, worker=2)("process", of=SECOND, worker=1)
    assert tale.send("a#1", pid=SECOND)("kill", victim=SECOND).books(0).judge() == []
    handed_over = story().send("a#1", pid=FIRST)("process", of=SECOND, worker=1)
    assert promises(handed_over.books(1, dead_lettered=1).judge()) == [4]
    handed_over = story().send("a#1", pid=FIRST)("process", of=SECOND, worker=1)
    assert handed_over("kill", victim=SECOND).books(0).judge() == []  # it waited there with its receiver


def linked():
    return story()("link", watcher="w.1.0", target="t")("standing", watcher="w.1.0")


def test_an_exit_that_comes_never_twice_or_unasked():
    assert promises(linked()("gone", target="t").judge()) == [7]
    assert linked().judge() == []  # it lives
    assert linked()("exit", watcher="w.1.0", target="t")("gone", target="t").judge() == []
    twice = linked()("exit", watcher="w.1.0", target="t")("exit", watcher="w.1.0", target="t")
    assert promises(twice.judge()) == [7]
    assert promises(story()("exit", watcher="w.1.0", target="t").judge()) == [7]
    assert promises(story()("exit", watcher="w.1.0", target="").judge()) == [7]


def published():
    tale = story()
    for version in (1, 2):
        tale("publish", version=version)("published", version=version)
    return tale


def test_a_value_read_in_part_or_too_early_or_too_late():
    read = published()("reading", reader="r")("publish", version=3)
    for version, whole, breaks in ((2, True, []), (3, True, []), (3, False, [10]), (4, True, [10]), (1, True, [10])):
        tale = Story()
        tale.events = [*read.events]
        assert promises(tale("read", reader="r", version=version, whole=whole).judge()) == breaks


def test_every_rule_finds_something_in_a_history_that_was_damaged():
    """Take events away from a good history, or tell them twice: what is found is never nothing for those that count."""
    events = good().events
    found = 0
    for number in range(len(events)):
        for damaged in (events[:number] + events[number + 1 :], [*events, events[number]]):
            found += bool(check(History.of_events(damaged), 10.0))
    assert found >= 12
