"""What the job may be told, and how it refuses the rest."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from actorlab.corpus.options import read_options
from actorlab.errors import SpecError


def test_what_is_not_given_is_the_default_and_none_is_not_given():
    wanted = read_options({"folder": None, "queries": ["a b"], "k": 5})
    assert (wanted.folder, wanted.queries, wanted.k, wanted.searchers) == (None, ("a b",), 5, 12)


@pytest.mark.parametrize(
    ("options", "place", "why"),
    [
        ({"serchers": 3}, "job.options.serchers", "did you mean 'searchers'"),
        ({"zzz": 3}, "job.options.zzz", "there are folder, queries"),
        ({"searchers": "12"}, "job.options.searchers", "expected `int`"),
        ({"searchers": 0}, "job.options.searchers", ">= 1"),
        ({"queries": ["ok", 3]}, "job.options.queries[1]", "expected `str`"),
        ({"seconds": -1}, "job.options.seconds", "> 0"),
    ],
)
def test_a_wrong_option_is_refused_by_its_key(options, place, why):
    with pytest.raises(SpecError) as caught:
        read_options(options)
    assert caught.value.args[0] == place
    assert why in caught.value.args[1]


def test_the_example_file_is_read():
    file = tomllib.loads((Path(__file__).parents[2] / "config" / "corpus.toml").read_text())
    assert read_options(file["job"]["options"]).searchers == 12
    assert file["job"]["run"] == "actorlab.corpus:run"
