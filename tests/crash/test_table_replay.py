"""A node table and its books after every prefix of their stores: nobody reads a stranger, nothing counts twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from logged_memory import Logged
from replayed_memory import Log, Prefix
from test_fate_crash import books as fate_books
from test_fate_crash import finish, prepared, settle

from actorlab.ids import index_of, pack
from actorlab.node.books import Books
from actorlab.transport import (
    HANDLED_SHIFT,
    ClassNames,
    State,
    class_names,
    node_table,
    tally,
    view_tally,
)

HOME, CAPACITY = 3, 12
BOTH = pytest.mark.parametrize("backwards", [False, True], ids=["up", "down"])


@pytest.fixture(autouse=True)
def _small_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Files that are looked at before every instruction, and that grow within a few actors."""
    monkeypatch.setattr(node_table, "CHUNK_SLOTS", 4)
    monkeypatch.setattr(class_names, "FILE_BYTES", 16 * 4096)
    yield


def path_of(number: int) -> str:
    return f"app:Class{number % 5}"


def kept(base: Path) -> Log:
    """The stores of a kernel that opens, changes and closes slots; it says of each what it does."""
    folder = base / "played"
    folder.mkdir()
    with Logged(folder) as logged:
        books = Books.create(folder, CAPACITY, HOME)
        logged.note("founded", True)
        living: list[tuple[int, int, int]] = []
        for number in range(11):
            logged.note("opens", number)
            address, word = books.open_slot(path_of(number), 100 + number, "reject", 1.5, 0, 0, number % 3)
            logged.note("opened", address, number)
            books.set_state(word, State.RUNNING)
            books.set_incarnation(word, 1)
            books.set_supervisor(word, 77 + number, 5)
            work(books, logged, address, word)
            living.append((number, address, word))
            if number % 3 or len(living) == CAPACITY:
                _, address, word = living.pop(number % len(living))
                books.set_state(word, State.STOPPING)
                logged.note("closes", address)
                books.close_slot(word)
                logged.note("closed", address)
        books.close()
    return logged.log


def work(books: Books, logged: Logged, address: int, word: int) -> None:
    """Ten messages come to an actor: some are handled, one fails, some are dead letters."""
    logged.note("waits", address, 6)
    books.set_depth(word, 6)
    for handled in (1, 2, 3):
        books.words[word] = handled << HANDLED_SHIFT
        logged.note("waits", address, 6 - handled)
    books.set_depth(word, 3)
    logged.note("waits", address, 7)
    books.set_depth(word, 7)
    books.count_failed(word)
    books.count_dead(word, 2)
    logged.note("waits", address, 4)
    books.set_depth(word, 4)
    logged.note("worked", address)


class Witness:
    """Looks at every prefix, as somebody alive does, and as the successor."""

    def __init__(self) -> None:
        self.books: Books | None = None
        self.given: dict[int, int] = {}

    def look(self, prefix: Prefix) -> None:
        copy = prefix.copy()
        if prefix.said("founded"):
            assert (copy / f"table.{HOME}").exists()
        if not (copy / f"table.{HOME}").exists():
            Books.create(copy, CAPACITY, HOME).close()  # whatever is there is whole enough to begin with
            return
        if self.books is None:
            self.books = Books.open(prefix.live, HOME)
        opened = dict(prefix.said("opened"))
        closes, closed = set(prefix.said("closes")), set(prefix.said("closed"))
        worked = set(prefix.said("worked"))
        waits = dict(prefix.said("waits"))
        for address, number in opened.items():
            self.look_at_actor(prefix, address, number, address in closes, address in closed, address in worked)
            if address not in closes and address in waits:
                word = index_of(address) * 8
                assert self.books.depth(word) - self.books.gone_since(word) <= waits[address], prefix
        for index in self.books.table.live():
            view = self.books.table.read(index)
            assert self.books.class_path(view.class_id).startswith("app:Class"), prefix
            address = pack(HOME, index, view.generation)
            assert address in opened.keys() - closed or len(opened) < len(prefix.said("opens")), prefix
        names = ClassNames.open(copy / f"classes.{HOME}")
        known = [name for number in range(1, 20) if (name := names.name_of(number)) != "?"]
        assert known == [path_of(number) for number in range(len(known))], prefix
        names.close()
        self.look_at_sums(prefix, opened)
        self.succeed(prefix, copy, opened, closes, closed)

    def look_at_actor(
        self, prefix: Prefix, address: int, number: int, closes: bool, closed: bool, worked: bool
    ) -> None:
        assert self.books is not None
        books, view = self.books, self.books.read(address)
        if view is not None:
            assert (view.capacity, view.redeliver) == (100 + number, number % 3), prefix
            assert books.class_path(view.class_id) == path_of(number), prefix
            assert view.supervisor in (0, 77 + number)
            if worked:
                assert (view.handled, view.failed, view.dead_lettered) == (3, 1, 2), prefix
        if not closes:
            assert view is not None and books.has_place(address), prefix
            assert books.path_at(address) == path_of(number)
        if closed:
            assert not books.has_place(address) and not books.is_tenant(address), prefix

    def look_at_sums(self, prefix: Prefix, opened: dict[int, int]) -> None:
        """What a class has handled, the gone and the living together: never more than it has, and never much less."""
        assert self.books is not None
        rows = view_tally((prefix.live / f"tally.{HOME}").read_bytes())
        gone = {self.books.class_path(number): row for number, row in rows.items()}
        closing = set(prefix.said("closes")) - set(prefix.said("closed"))
        for path in {path_of(number) for number in opened.values()}:
            own = [address for address, number in opened.items() if path_of(number) == path]
            living = [view for address in own if (view := self.books.read(address)) and view.state]
            row = gone.get(path)
            worked = len(set(own) & set(prefix.said("worked")))
            for of, most in (("handled", 3), ("failed", 1), ("dead_lettered", 2)):
                total = sum(getattr(view, of) for view in living) + (getattr(row, of) if row else 0)
                assert most * (worked - len(closing & set(own))) <= total <= most * len(own), prefix
            assert (row.ended if row else 0) <= len(set(prefix.said("closes")) & set(own)), prefix

    def succeed(
        self, prefix: Prefix, copy: Path, opened: dict[int, int], closes: set[int], closed: set[int]
    ) -> None:
        """Be the next kernel: all slots can be had, each with a new address; the books stay right."""
        heir = Books.create(copy, CAPACITY, HOME)
        left = {pack(HOME, index, heir.table.read(index).generation) for index in heir.table.live()}
        assert opened.keys() - closes <= left, prefix
        assert len(left - opened.keys()) <= 1 and not left & closed, prefix
        before = {address: heir.read(address) for address in left}
        new = {heir.open_slot("app:Heir", 9, "block", 5.0, 0, 0, 0)[0] for _ in range(CAPACITY - len(left))}
        assert not new & (opened.keys() | left), prefix
        reader = Books.open(copy, HOME)
        for address in new:
            view = reader.read(address)
            assert view is not None and reader.class_path(view.class_id) == "app:Heir", prefix
            assert (view.handled, view.failed, view.depth, view.incarnation) == (0, 0, 0, 0)
        for address in left:
            assert heir.read(address) == before[address]
            heir.close_slot(index_of(address) * 8)
        for books in (heir, reader):
            books.close()


def replayed(log: Log, base: Path, backwards: bool = False) -> int:
    witness, looks = Witness(), 0
    try:
        for prefix in log.prefixes(base / f"replay{backwards}", backwards=backwards, many=3):
            witness.look(prefix)
            looks += 1
    finally:
        if witness.books is not None:
            witness.books.close()
    return looks


@BOTH
def test_books_are_right_for_who_looks_and_who_comes_after_at_every_store(tmp_path: Path, backwards: bool) -> None:
    log = kept(tmp_path)
    assert len(log.stores) > 300
    assert replayed(log, tmp_path, backwards) > 300


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("self._map[start + TEMPLATE_AT", "self.u8[index * SLOT_U8 + STATE] = 1"),
        ("self._segment.mmap[start:end]", "self._words[_COMMITTED]"),
        ("self.u8[index * SLOT_U8 + STATE] = 0", "words[at + _HANDLED] += handled"),
    ],
    ids=["state before fields", "commit before name", "buried before released"],
)
def test_two_stores_in_the_wrong_order_are_found_out(tmp_path: Path, one: str, other: str) -> None:
    log = kept(tmp_path)
    early, late = log.store_by(one), log.store_by(other)
    assert early < late
    with pytest.raises(AssertionError):
        replayed(log.swapped(early, late), tmp_path)


@pytest.mark.parametrize("failed", [True, False])
@pytest.mark.parametrize("which", [0, 2])
def test_a_message_that_leaves_its_lane_is_in_the_books_once_wherever_its_owner_and_its_heir_stop(
    tmp_path: Path, failed: bool, which: int
) -> None:
    folder = tmp_path / "played"
    folder.mkdir()
    place = prepared(folder)
    with Logged(folder) as logged:
        settle(place, which, failed, which == 0)
    before = (0, 0, 40, True, [1, 2, 3, 4, 5])
    count = (1, 0) if failed else (0, 1)
    after = (*count, 40, which != 0, [number for number in range(1, 6) if number != which + 1])
    heirs = 0
    for prefix in logged.log.prefixes(tmp_path / "replay"):
        copy = prefix.copy()
        begun = any("table.header[INTENT]" in step.where for step in logged.log.steps[: prefix.number + 1])
        with Logged(copy) as again:
            finish((copy, *place[1:]))
        assert fate_books((copy, *place[1:])) == (after if begun else before), prefix
        for second in again.log.prefixes(tmp_path / "again"):
            other = second.copy()
            finish((other, *place[1:]))
            assert fate_books((other, *place[1:])) == (after if begun else before), (prefix, second)
            heirs += 1
    assert heirs > 10


def test_a_tally_that_is_new_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "played"
    folder.mkdir()
    with Logged(folder) as logged:
        one = tally.Tally.create(folder / "tally")
        for turn in range(1, 4):
            logged.note("buries", turn)
            one.bury(70, 10, 2, 3, 1)
            logged.note("buried", turn)
            one.say_local(70, turn, turn * 100)
        one.close()
    for prefix in logged.log.prefixes(tmp_path / "replay"):
        copy = prefix.copy() / "tally"
        if not copy.exists():
            assert not prefix.said("buries")
            continue
        row = view_tally(copy.read_bytes()).get(70, tally.TallyRow(0, 0, 0, 0, 0, 0, 0))
        counts = (row.handled / 10, row.failed / 2, row.dead_lettered / 3, row.restarts, row.ended)
        assert len(prefix.said("buried")) <= row.ended == min(counts), prefix
        assert max(counts) <= len(prefix.said("buries")), prefix
        assert row.local_bytes // 100 in (row.local_messages, row.local_messages - 1)
        heir = tally.Tally.adopt(copy)
        heir.bury(70, 1, 0, 0, 0)
        assert view_tally(copy.read_bytes())[70].handled == row.handled + 1
        heir.close()
