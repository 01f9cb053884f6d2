"""The schema, the classes it ends in and the files that ship agree with each other."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorlab.config import explain, load, outline
from actorlab.config.read import Problems, describe, read
from actorlab.config.schema import CHILD_TABLES, FILE, Children, Named, Table
from actorlab.node import NodeOptions

TOP = Path(__file__).resolve().parents[2]
FILES = sorted((TOP / "config").glob("*.toml"))


def tables() -> Iterator[Table]:
    seen: list[Table] = []
    waiting = [FILE, *CHILD_TABLES.values()]
    while waiting:
        table = waiting.pop()
        if table not in seen:
            seen.append(table)
            waiting += [key.type for key in table.keys if isinstance(key.type, Table)]
            waiting += [key.type.table for key in table.keys if isinstance(key.type, Named)]
    yield from seen


ALL = list(tables())
NOT_PARAMETERS = {"type", "start", "copies", "args", "kwargs", "after"}


@pytest.mark.parametrize("table", [table for table in ALL if table.of], ids=lambda table: table.where)
def test_every_key_is_a_parameter_of_what_the_table_becomes(table):
    parameters = inspect.signature(table.of).parameters
    assert {key.parameter for key in table.keys} - NOT_PARAMETERS <= set(parameters)


def test_every_option_of_a_node_can_be_said_in_a_file():
    node = next(table for table in ALL if table.of is NodeOptions)
    assert {key.parameter for key in node.keys} == set(inspect.signature(NodeOptions).parameters)


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.where or "file")
def test_every_key_says_what_it_takes_and_what_it_means(table):
    for key in table.keys:
        assert key.help and (key.type is Children or describe(key.type))
    assert len(set(table.names)) == len(table.names)


def test_the_explanation_names_every_key():
    text = explain()
    assert all(f"  {key.name}: " in text for table in ALL if table is not FILE for key in table.keys)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_that_ships_has_no_problem_in_its_keys(path):
    problems = Problems()
    read(tomllib.loads(path.read_text()), problems)
    assert problems.found == []


@pytest.mark.parametrize("name", ["example.toml", "production.toml"])
def test_a_file_that_ships_is_good(name, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(TOP)
    copy = tmp_path / name  # a checkout under umask 002 is not what is tested here
    copy.write_text((TOP / "config" / name).read_text())
    copy.chmod(0o644)
    config = load(copy)
    assert config.tree is not None
    rows = list(outline(config.tree))
    assert rows[0].depth == 0 and {row.name for row in rows} >= {"stock", "till", "sessions"}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("workers", -1),
        ("workers", 251),
        ("workers", True),
        ("name", "../up"),
        ("lane_blocks", 24),
        ("max_actors", 1 << 24),
        ("heartbeat_s", float("nan")),
        ("call_timeout_s", 0),
        ("gc_thresholds", (1, 2)),
        ("gc_freeze", "sometimes"),
        ("preload", ("a b",)),
        ("runtime_dir", "relative"),
        ("log_level", "LOUD"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_by_name(option, value):
    with pytest.raises(ValueError, match=option):
        NodeOptions(**{option: value})
