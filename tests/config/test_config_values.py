"""Times, sizes, import targets and placements read as they are written, and say what they take when they are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.actor import Beside, ByHash
from actorlab.config.suggest import did_you_mean
from actorlab.config.values import Duration, Place, Shutdown, Size, Target


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        (5, 5.0),
        (0.25, 0.25),
        ("5s", 5.0),
        ("250ms", 0.25),
        ("2m", 120.0),
        ("1.5 h", 5400.0),
        ("100us", 0.0001),
        (0, 0.0),
    ],
)
def test_a_time_is_seconds_however_it_is_written(raw, seconds):
    assert Duration.read(raw).value == seconds


@pytest.mark.parametrize("raw", [-1, True, "5", "5 weeks", "", "s", float("nan"), float("inf"), None, [5], "infinity"])
def test_what_is_no_time_is_refused(raw):
    with pytest.raises(ValueError, match="must be a time"):
        Duration.read(raw)


@pytest.mark.parametrize(
    ("raw", "value"),
    [("infinity", "infinity"), (float("inf"), "infinity"), ("brutal_kill", "brutal_kill"), ("1s", 1.0)],
)
def test_a_shutdown_takes_its_words_too(raw, value):
    assert Shutdown.read(raw).value == value


def test_a_misspelled_word_of_a_shutdown_is_guessed():
    with pytest.raises(ValueError, match="did you mean 'brutal_kill'"):
        Shutdown.read("brutal-kil")


@pytest.mark.parametrize(
    ("raw", "size"),
    [(4096, 4096), ("2GiB", 2 << 30), ("64 MiB", 64 << 20), ("500kB", 500_000), ("12B", 12), ("1.5KiB", 1536)],
)
def test_a_size_is_bytes_however_it_is_written(raw, size):
    assert Size.read(raw).value == size


@pytest.mark.parametrize("raw", [-1, True, 1.5, "2", "2 GiBs", "GiB", "iB", None])
def test_what_is_no_size_is_refused(raw):
    with pytest.raises(ValueError, match="must be a size"):
        Size.read(raw)


@pytest.mark.parametrize("raw", ["a:B", "a.b.c:D", "a_1:B.c", "größe:Öl"])
def test_a_target_is_a_module_and_a_name(raw):
    assert Target.read(raw).value == raw


@pytest.mark.parametrize("raw", ["a", "a:", ":B", "a:B()", "a b:C", "../a:B", 3, "a:B:C", "a..b:C"])
def test_what_is_no_target_is_refused(raw):
    with pytest.raises(ValueError, match="must be an import path"):
        Target.read(raw)


def test_a_target_with_a_dot_for_its_colon_is_guessed():
    with pytest.raises(ValueError, match=r"did you mean 'office\.staff:Clerk'"):
        Target.read("office.staff.Clerk")


@pytest.mark.parametrize(
    ("raw", "placement"),
    [("any", "any"), ("local", "local"), (2, 2), ({"beside": "ctx"}, Beside("ctx")), ({"hash": 7}, ByHash("7"))],
)
def test_a_placement_reads_as_the_code_would_say_it(raw, placement):
    assert Place.read(raw).value == placement


@pytest.mark.parametrize(
    "raw", [0, -1, True, "2", {"beside": ""}, {"beside": "a", "hash": "b"}, {}, [1], {"beside": 3}]
)
def test_what_is_no_placement_is_refused(raw):
    with pytest.raises(ValueError, match="must be 'any'"):
        Place.read(raw)


@given(st.floats(min_value=0, max_value=1e6, allow_nan=False), st.sampled_from(["ms", "s", "m"]))
def test_a_time_with_a_unit_is_the_number_times_the_unit(number, unit):
    text = f"{number:.3f}{unit}"
    assert Duration.read(text).value == pytest.approx(float(f"{number:.3f}") * {"ms": 1e-3, "s": 1, "m": 60}[unit])


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())))
def test_nothing_but_a_value_error_comes_of_any_value(raw):
    for kind in (Duration, Shutdown, Size, Target, Place):
        try:
            kind.read(raw)
        except ValueError:
            pass


def test_a_guess_forgets_case_and_dashes():
    assert did_you_mean("One-For-All", ["one_for_one", "one_for_all"]) == "; did you mean 'one_for_all'?"
    assert did_you_mean(3, ["three"]) == ""
