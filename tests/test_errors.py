"""Laws of the errors: each travels whole, says what to do, and stands in the tree that the docstring draws."""

from __future__ import annotations

import inspect
import pickle

import pykka
import pytest

from actorlab import errors

SAMPLES = {
    int: 7,
    float: 1.5,
    str: "counter",
    "tuple[str, ...]": ("a", "b"),
    "tuple[tuple[str, str], ...]": (("node.x", "no"),),
    "Delivery": "never",
}


def sample(annotation: str) -> object:
    by_text = {"int": 7, "float": 1.5, "str": "counter", "bool": True}
    return by_text.get(annotation, SAMPLES.get(annotation, "counter"))


def all_errors() -> list[type[errors.ActorlabError]]:
    return [
        value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, errors.ActorlabError)
    ]


def make(cls: type[errors.ActorlabError]) -> errors.ActorlabError:
    if cls.__init__ in (Exception.__init__, BaseException.__init__):
        return cls("something")
    parameters = list(inspect.signature(cls).parameters.values())
    return cls(*(sample(str(p.annotation)) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD))


@pytest.mark.parametrize("cls", all_errors(), ids=lambda cls: cls.__name__)
def test_every_error_survives_pickling_with_its_text_and_arguments(cls: type[errors.ActorlabError]) -> None:
    error = make(cls)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert copy.args == error.args
    assert str(copy) == str(error) != ""


@pytest.mark.parametrize("cls", all_errors(), ids=lambda cls: cls.__name__)
def test_every_error_stands_in_the_tree_that_the_module_draws(cls: type[errors.ActorlabError]) -> None:
    assert cls.__name__ in (errors.__doc__ or "")


def test_callers_of_pykka_catch_ours_by_its_names() -> None:
    assert issubclass(errors.ActorDied, pykka.ActorDeadError)
    assert issubclass(errors.CallTimeout, pykka.Timeout)
    assert issubclass(errors.NodeGone, pykka.ActorDeadError)


def test_a_refusal_at_the_door_says_that_a_retry_is_safe() -> None:
    for cls in (
        errors.MailboxFull,
        errors.DeadlockDetected,
        errors.BadCall,
        errors.NotSendable,
        errors.MessageTooLarge,
    ):
        assert make(cls).delivery == "never"  # type: ignore[attr-defined]
    assert errors.ActorDied("a", "worker 1 died", "unknown").delivery == "unknown"
    assert errors.CallTimeout("a", 1.0).delivery == "unknown"
