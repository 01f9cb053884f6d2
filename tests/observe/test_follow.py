"""Laws of following: the end of a node is shown and not raised, and its successor is found under the same name."""

from __future__ import annotations

import errno
from dataclasses import dataclass

import pytest

from actorlab.errors import StartError
from actorlab.observe import Follower


@dataclass
class Seen:
    """What a follower needs of a look."""

    state: str
    pid: int


class Life:
    """One life of a node: what is seen of it, or the error that looking raises."""

    def __init__(self, *looks):
        self.looks = list(looks)

    def look(self):
        seen = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(seen, Exception):
            raise seen
        return seen


def following(*lives):
    """A follower of these lives, one after the other; an error among them is what finding raises."""
    left = list(lives)

    def find():
        life = left.pop(0) if left else StartError("shop", "no such node runs here")
        if isinstance(life, Exception):
            raise life
        return life

    return Follower(find)


RUNS, GONE = Seen("running", 1), StartError("shop", "its node is over")


def test_a_node_that_is_not_there_at_first_is_an_error():
    with pytest.raises(StartError):
        following(StartError("shop", "no such node runs here"))


@pytest.mark.parametrize("end", [GONE, OSError("unmapped"), Seen("dead", 1)])
def test_its_end_is_shown_as_it_was_last_seen(end):
    follower = following(Life(RUNS, end))
    for _ in range(3):
        assert (follower.look().state, follower.last.pid) == ("dead", 1)


@pytest.mark.parametrize("end", [GONE, Seen("dead", 1)])
def test_its_successor_is_found_however_long_it_takes(end):
    absent = StartError("shop", "no such node runs here")
    follower = following(Life(RUNS, end), absent, absent, Life(Seen("running", 2)))
    states = [follower.look().pid for _ in range(4)]
    assert states == [1, 1, 1, 2] and follower.last.state == "running"


@pytest.mark.parametrize("ours", [ZeroDivisionError("a bug"), OSError(errno.EMFILE, "too many open files")])
def test_what_is_our_own_trouble_is_no_end(ours):
    follower = following(Life(RUNS, ours))
    with pytest.raises(type(ours)):
        follower.look()
    assert follower.last is RUNS
