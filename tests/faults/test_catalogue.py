"""Every row of the fault catalogue names tests that exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from catalogue import CATALOGUE, ELSEWHERE

TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: f"{row[0]}-{row[1][:30]}")
def test_a_rows_tests_exist(row):
    _number, _fault, _expected, tests = row
    assert tests
    for test in tests:
        file, _, name = test.partition("::")
        tree = ast.parse((TESTS / file).read_text("utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in names, f"{file} has no {name}"


def test_every_row_is_there_once():
    numbers = [row[0] for row in CATALOGUE]
    assert sorted([*numbers, *ELSEWHERE]) == list(range(1, 64))
