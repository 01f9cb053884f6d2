"""A kernel's books: its node table, and the files that a reader of the table needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorlab.node import books as module
from actorlab.node.books import Books

HOME = 3
FILES = (f"classes.{HOME}", f"tally.{HOME}", f"table.{HOME}")


def test_the_table_is_made_last_so_that_who_sees_it_finds_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[set[str]] = []

    def create(*arguments: object) -> None:
        there.append({path.name for path in tmp_path.iterdir()})
        raise KeyboardInterrupt

    monkeypatch.setattr(module.NodeTable, "create", create)
    with pytest.raises(KeyboardInterrupt):
        Books.create(tmp_path, 64, HOME)
    assert there == [set(FILES[:2])]


@pytest.mark.parametrize("made", range(4))
def test_a_kernel_killed_while_it_made_its_books_leaves_them_to_the_next(tmp_path: Path, made: int) -> None:
    Books.create(tmp_path, 64, HOME).close()
    for name in FILES[made:]:
        (tmp_path / name).unlink()
    books = Books.create(tmp_path, 64, HOME)
    address, _ = books.open_slot("app:Clerk", 10, "block", 1.0, 0, 0, 0)
    reader = Books.open(tmp_path, HOME)
    view = reader.read(address)
    assert view is not None
    assert reader.class_path(view.class_id) == "app:Clerk"
    reader.close()
    books.close()
