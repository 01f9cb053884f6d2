"""Back-off grows, stays within its bounds, and spreads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.errors import SpecError
from actorlab.supervision import Backoff


def test_without_jitter_the_wait_grows_by_the_factor_up_to_the_limit():
    patient = Backoff(first_s=0.5, factor=2, max_s=3, jitter=0)
    assert [patient.delay_s(n, 0.9) for n in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]


@given(
    st.floats(0, 10),
    st.floats(1, 10),
    st.floats(10, 100),
    st.floats(0, 1),
    st.integers(1, 10**6),
    st.floats(0, 1, exclude_max=True),
)
def test_a_wait_is_never_below_its_least_nor_above_its_most(first_s, factor, max_s, jitter, failures, draw):
    wait = Backoff(first_s, factor, max_s, jitter).delay_s(failures, draw)
    assert first_s * (1 - jitter) - 1e-9 <= wait <= max_s


def test_different_draws_spread_children_that_failed_together():
    backoff = Backoff(first_s=1, jitter=0.5)
    assert (backoff.delay_s(1, 0.0), backoff.delay_s(1, 0.5)) == (0.5, 1.0)


def test_a_start_that_always_fails_gives_up_by_default_within_the_default_window():
    backoff = Backoff()
    assert sum(backoff.delay_s(n, 0.999) for n in (1, 2, 3)) < 5.0


@pytest.mark.parametrize(
    ("key", "value"),
    [("first_s", -1), ("factor", 0.5), ("max_s", 0.05), ("jitter", 1.5), ("first_s", True), ("max_s", float("inf"))],
)
def test_bounds_that_make_no_sense_are_refused_by_name(key, value):
    with pytest.raises(SpecError, match=rf"backoff\.{key}"):
        Backoff(**{key: value})
