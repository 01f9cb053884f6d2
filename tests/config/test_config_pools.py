"""Pools in a configuration file: what a file can say of them, and what is wrong with it at its key."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from actorlab.config import json_schema, load
from actorlab.errors import ConfigError
from actorlab.memory import DatasetSettings, PoolSettings

GOOD = """
[node.pools.corpus]
max_bytes = "2GiB"
keep_last = 3
evict = false
cold_after = "5m"
[node.pools.corpus.datasets.prices]
max_bytes = "100MiB"
keep_last = 10
[node.pools.big]
backend = "file"
directory = "/var/tmp"
persist = true
"""


def test_a_file_says_all_of_a_pool(write: Callable[[str], Path]) -> None:
    assert load(write(GOOD)).node.pools == {
        "corpus": PoolSettings(
            2 << 30, 3, False, 300.0, datasets={"prices": DatasetSettings(max_bytes=100 << 20, keep_last=10)}
        ),
        "big": PoolSettings(backend="file", directory="/var/tmp", persist=True),
    }


def test_editors_are_told_of_pools_too() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    assert not list(validator.iter_errors(tomllib.loads(GOOD)))
    assert list(validator.iter_errors(tomllib.loads("[node.pools.a]\nkept = 1")))


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("pools.a = { max_bytes = 'lots' }", "node.pools.a.max_bytes", "a size"),
        ("pools.a = { kept = 1 }", "node.pools.a.kept", "did you mean 'keep_last'|known here"),
        ("pools.a = { backend = 'disk' }", "node.pools.a.backend", "'memfd'"),
        ("pools.a = { persist = true }", "node.pools.a.persist", "needs backend = 'file'"),
        ("pools.a = { backend = 'file' }", "node.pools.a.directory", "needs one"),
        ("pools.a = { backend = 'memfd', cold_after = 1 }", "node.pools.a.cold_after", "memfd"),
        ("pools = 7", "node.pools", "tables by name"),
        ("pools.'a/b' = {}", "node.pools", "named as files can be"),
        ("pools.a.datasets.x = { max_bytes = 0 }", "node.pools.a.datasets.x.max_bytes", "1 or more"),
        ("pools.a.datasets.'x/y' = { }", "node.pools.a", "cannot be a name"),
    ],
)
def test_what_is_wrong_is_said_at_its_key(write: Callable[[str], Path], text: str, key: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load(write(f"[node]\n{text}\n"))
    assert key in dict(caught.value.problems)
