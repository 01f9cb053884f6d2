"""Asking many at once, and again whoever died."""

from __future__ import annotations

import pytest

from actorlab.corpus.gather import gather
from actorlab.errors import ActorDied, BadCall, CallTimeout, MailboxFull


class Settled:
    """A future that has its outcome."""

    def __init__(self, outcome):
        self.outcome = outcome

    def get(self, *, timeout=None):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class Crowd:
    """Answers by name from a script; the time passes only in pauses."""

    def __init__(self, **scripts):
        self.scripts = {name: list(script) for name, script in scripts.items()}
        self.asked = []
        self.time = 0.0

    def ask(self, name):
        self.asked.append(name)
        script = self.scripts[name]
        outcome = script.pop(0) if len(script) > 1 else script[0]
        if outcome is None:
            return None
        if isinstance(outcome, tuple):
            raise outcome[0]
        return Settled(outcome)

    def pause(self, seconds):
        self.time += seconds

    def gather(self, *names, timeout_s=1.0, on_answer=None):
        return gather(
            names, self.ask, timeout_s=timeout_s, now=lambda: self.time, pause=self.pause, on_answer=on_answer
        )


def test_all_are_asked_before_any_is_waited_for():
    crowd = Crowd(a=[1], b=[2], c=[3])
    assert crowd.gather("a", "b", "c") == ([1, 2, 3], 0)
    assert crowd.asked == ["a", "b", "c"]


@pytest.mark.parametrize(
    "lost", [ActorDied("b", "killed", "unknown"), (ActorDied("b"),), (MailboxFull("b", 1),), None], ids=repr
)
def test_only_who_died_is_asked_again(lost):
    crowd = Crowd(a=[1], b=[lost, lost, 2])
    assert crowd.gather("a", "b") == ([1, 2], 2)
    assert crowd.asked == ["a", "b", "b", "b"]


def test_each_answer_is_told_once():
    told = []
    Crowd(a=[ActorDied("a"), 1], b=[2]).gather("a", "b", on_answer=lambda *answer: told.append(answer))
    assert told == [("b", 2), ("a", 1)]


def test_who_does_not_come_back_is_named_when_the_time_is_up():
    crowd = Crowd(a=[1], b=[ActorDied("b")])
    with pytest.raises(CallTimeout, match="b within 1 s"):
        crowd.gather("a", "b")
    assert 1.0 <= crowd.time < 1.1


@pytest.mark.parametrize("error", [BadCall("a", "no"), CallTimeout("a", 1.0), ZeroDivisionError()], ids=repr)
def test_any_other_error_is_raised_at_once(error):
    crowd = Crowd(a=[error])
    with pytest.raises(type(error)):
        crowd.gather("a")
    assert crowd.asked == ["a"]
