"""Names and namespaces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.errors import InvalidName
from actorlab.registry import MAX_NAME_BYTES, Via, split, via

text = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=20)


@given(text, text)
def test_a_key_stands_for_one_name_in_one_namespace(name: str, namespace: str) -> None:
    assert split(via(name, namespace).key) == Via(name, namespace)


@given(st.tuples(text, text), st.tuples(text, text))
def test_different_names_never_share_a_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (via(*one).key == via(*other).key) == (one == other)


def test_the_default_namespace_is_the_plain_name() -> None:
    assert via("till").key == "till"
    assert split("till") == via("till")


@pytest.mark.parametrize(
    ("name", "namespace"), [("", "a"), ("a", ""), ("a\x1f", "b"), ("a", "b\x1f"), (7, "a"), ("a", 7)]
)
def test_halves_that_could_be_confused_are_refused(name: str, namespace: str) -> None:
    with pytest.raises(InvalidName):
        via(name, namespace)


def test_name_and_namespace_together_have_a_limit() -> None:
    via("n" * 100, "s" * (MAX_NAME_BYTES - 101))
    with pytest.raises(InvalidName, match="limit is 200"):
        via("n" * 100, "s" * (MAX_NAME_BYTES - 100))
