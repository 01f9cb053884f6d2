"""A kernel's books: its node table, and the files that a reader of the table needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorlab.node import books as module
from actorlab.node import takeover
from actorlab.node.books import Books
from actorlab.transport import arm_crashpoints

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


CHANGES = [(10, 8, 2), (10, 0, 10), (2, 0, 7), (5, 70_000, 5), (10, 10, 0)]


@pytest.mark.parametrize(("before", "handled", "left"), CHANGES)
def test_between_any_two_stores_of_a_depth_no_more_seem_to_wait_than_do(before: int, handled: int, left: int) -> None:
    """Whoever takes over writes off what seems to have waited: what was handled must not be among it (P5).

    So the depth comes first: as many seem to have gone since as went since the last one. With the other store first the
    old depth would stand there, and nobody have gone.
    """
    books = Books.anonymous(64, HOME)
    _, word = books.open_slot("app:Clerk", 1000, "block", 1.0, 0, 0, 0)
    books.set_depth(word, before)
    books.words[word] += handled << 24
    seen: list[tuple[str, int]] = []
    undo = arm_crashpoints(module, lambda label: seen.append((label, takeover.waited(books, word))))
    try:
        books.set_depth(word, left)
    finally:
        undo()
    assert [label for label, _ in seen] == ["depth.before", "depth.at", "depth.after"]
    assert max(waited for _, waited in seen) <= max(left, before - handled)
    assert seen[-1][1] == left
    books.close()
