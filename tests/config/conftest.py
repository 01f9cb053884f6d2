"""A folder with a module of actors on the path, and a way to write a configuration into it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MODULE = """
import pykka


class Clerk(pykka.ThreadingActor):
    def __init__(self, start=0, *, number=0):
        super().__init__()


class Visitor:
    pass


def job(node, options, report):
    return 0


def lonely():
    return 0


PRICE = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder; `office` is the module in it. What was imported from there is forgotten again."""
    (tmp_path / "office.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def write(folder: Path) -> Callable[[str], Path]:
    """`write(text)` writes a configuration that only its owner may write to."""

    def write_file(text: str, name: str = "app.toml") -> Path:
        path = folder / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    return write_file
