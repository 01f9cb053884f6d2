"""The restart window counts as OTP does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorlab.supervision import RestartWindow


def test_zero_restarts_allowed_means_that_the_first_is_too_many():
    assert not RestartWindow(0, 5.0).record(0.0)


def test_a_restart_at_the_far_edge_still_counts():
    window = RestartWindow(1, 5.0)
    assert window.record(0.0)
    assert not window.record(5.0)


def test_a_restart_beyond_the_edge_is_forgotten():
    window = RestartWindow(1, 5.0)
    assert window.record(0.0)
    assert window.record(5.001)


def test_the_default_tolerates_three_in_five_seconds_and_not_four():
    window = RestartWindow(3, 5.0)
    assert [window.record(t) for t in (0.0, 1.0, 2.0, 3.0)] == [True, True, True, False]


def test_recent_tells_how_many_count_now():
    window = RestartWindow(3, 5.0)
    window.record(0.0)
    window.record(4.0)
    assert (window.recent(4.0), window.recent(6.0), window.recent(9.5)) == (2, 1, 0)


@given(
    st.integers(0, 4),
    st.floats(0.5, 10),
    st.lists(st.floats(0, 20), max_size=30).map(sorted),
)
def test_it_agrees_with_counting_all_restarts_ever_made(max_restarts, max_seconds, times):
    window = RestartWindow(max_restarts, max_seconds)
    for i, now in enumerate(times):
        within = sum(1 for t in times[: i + 1] if t >= now - max_seconds)
        tolerated = window.record(now)
        assert tolerated == (within <= max_restarts)
        if not tolerated:
            return  # a supervisor that gave up asks no more
