"""Board, vitals page and journal after every prefix of their stores: what is said is whole, whoever comes after."""

from __future__ import annotations

from pathlib import Path

import pytest
from logged_memory import Logged
from replayed_memory import Log
from test_board_crash import RECEIVER, SENDER, both_ends, come_after
from test_vitals_crash import live as live_with_vitals

from actorlab.transport import (
    AWAKE,
    EVENTS,
    LETTERS,
    Board,
    Journal,
    JournalEntry,
    LaneReader,
    LaneWriter,
    Sample,
    Vitals,
    create_lane,
    view_journal,
    view_vitals,
)
from actorlab.transport.board import (
    BEAT,
    BEAT2,
    BUSY_FROM,
    CURRENT,
    EPOCH,
    GUEST,
    PID,
    ROW_BYTES,
    ROW_U32,
    ROW_U64,
    SHEDDING,
)

BOTH = pytest.mark.parametrize("backwards", [False, True], ids=["up", "down"])
SLOT, OWN = 4, (BEAT, BEAT2, CURRENT, BUSY_FROM)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "played"
    folder.mkdir(mode=0o700)
    return folder


# ---- the board


def test_who_comes_after_either_end_sees_every_message_wherever_it_stopped(folder: Path, tmp_path: Path) -> None:
    Board.create(folder / "board").close()
    create_lane(folder / "lane", 64)
    with Logged(folder) as logged:
        both_ends(folder)
    assert len(logged.log.stores) > 60
    for prefix in logged.log.prefixes(tmp_path / "replay"):
        come_after(prefix.copy())


def posted(folder: Path) -> Log:
    """The stores of a sender that publishes and posts, and of a receiver that takes each message; it says when."""
    Board.create(folder / "board").close()
    create_lane(folder / "lane", 64)
    with Logged(folder) as logged:
        board = Board.open(folder / "board")
        with LaneWriter(folder / "lane") as writer, LaneReader(folder / "lane") as reader:
            for number in range(1, 5):
                assert writer.try_send(7, number, 1, 0, b"x") >= 0
                logged.note("posted", number, board.post(RECEIVER, SENDER))
                assert board.take(RECEIVER) == [SENDER] and len(reader.drain()) == 1
        board.close()
    return logged.log


def sleep_through(log: Log, base: Path) -> None:
    """Be the receiver: at each prefix fall asleep if there is no news, and be woken by whoever posts."""
    board, delivered = None, 0
    for prefix in log.prefixes(base):
        if board is None:
            board, reader = Board.open(prefix.live / "board"), LaneReader(prefix.live / "lane")
        board.wake(RECEIVER)
        if not board.sleep(RECEIVER):
            assert board.take(RECEIVER) == [SENDER]
            found = reader.drain()
            assert found, "news of nothing"
            delivered += len(found)
        # what it sleeps over, its sender has not posted yet, or its reaper finds
        assert delivered >= len(prefix.said("posted")), prefix
        come_after(prefix.copy())
    assert board is not None and delivered == 4
    board.close()
    reader.close()


def test_a_receiver_sleeps_over_nothing_that_was_posted(folder: Path, tmp_path: Path) -> None:
    sleep_through(posted(folder), tmp_path / "replay")


def test_a_sender_that_posts_before_it_publishes_is_found_out(folder: Path, tmp_path: Path) -> None:
    log = posted(folder)
    tail, news = log.store_by("words[tail_at]"), log.store_by("self.u8[at] = 1")
    with pytest.raises(AssertionError):
        sleep_through(log.swapped(tail, news), tmp_path / "replay")


def occupied(folder: Path) -> Log:
    """The stores of a slot's second, third and fourth process, of which the third goes on with what the second had."""
    board = Board.create(folder / "board")
    board.occupy(SLOT, 1000)
    with Logged(folder) as logged:
        for number, goes_on in enumerate((False, True, False), 1):
            for field in OWN:
                board.u64[SLOT * ROW_U64 + field] = number  # its predecessor's
            board.u8[SLOT * ROW_BYTES] = 1
            board.u8[SLOT * ROW_BYTES + SHEDDING] = board.u8[SLOT * ROW_BYTES + GUEST] = 1
            logged.note("begins", number)
            logged.note("has", number, board.occupy(SLOT, 1000 + number, goes_on=goes_on))
        board.close()
    return logged.log


def look_at_slot(log: Log, base: Path) -> None:
    epochs = {1000: 1, 1001: 2, 1002: 2, 1003: 3}
    for prefix in log.prefixes(base):
        board = Board.open(prefix.copy() / "board")
        pid, epoch = board.u32[SLOT * ROW_U32 + PID], board.u32[SLOT * ROW_U32 + EPOCH]
        begun = len(prefix.said("begins"))
        had = [1, *(epoch for _, epoch in prefix.said("has"))]
        assert pid in (1000 + begun, 1000 + begun - 1), prefix
        assert epoch == epochs[pid] or (pid < 1000 + begun and epoch == epochs[pid + 1]), prefix
        if pid == 1000 + begun and begun > len(had) - 1:
            row = [board.u64[SLOT * ROW_U64 + field] for field in OWN]
            assert not any(row) and not any(board.u8[SLOT * ROW_BYTES + at] for at in (0, SHEDDING, GUEST)), prefix
        after = board.occupy(SLOT, 2000)
        assert after > max(had) and after == epoch + 1, prefix
        assert (board.u32[SLOT * ROW_U32 + PID], board.u8[SLOT * ROW_BYTES]) == (2000, AWAKE)
        board.close()


def test_a_slot_is_never_seen_with_a_process_of_another_epoch_and_no_epoch_is_had_twice(
    folder: Path, tmp_path: Path
) -> None:
    log = occupied(folder)
    look_at_slot(log, tmp_path / "replay")


@pytest.mark.parametrize(
    "early", ["u32[at + EPOCH] = epoch", "words[slot * ROW_U64 + field] = 0", "self.u8[row] = AWAKE"]
)
def test_a_process_that_shows_its_number_too_early_is_found_out(folder: Path, tmp_path: Path, early: str) -> None:
    log = occupied(folder)
    with pytest.raises(AssertionError):
        look_at_slot(
            log.swapped(log.store_by(early), log.store_by("u32[at + PID] = pid")), tmp_path / "replay"
        )


# ---- the vitals page


@BOTH
def test_a_vitals_page_is_off_by_one_at_most_after_any_store_and_never_two_processes(
    folder: Path, tmp_path: Path, backwards: bool
) -> None:
    with Logged(folder) as logged:
        for epoch in (1, 2):
            logged.note("lives", epoch)
            live_with_vitals(folder / "vitals", epoch)
    path = None
    for prefix in logged.log.prefixes(tmp_path / "replay", backwards=backwards):
        path = prefix.copy() / "vitals"
        if path.exists():
            seen = view_vitals(path.read_bytes())
            assert seen.epoch in (0, prefix.said("lives")[-1], prefix.said("lives")[-1] - 1)
            binned = sum(seen.histogram)
            if seen.epoch:
                assert seen.gc_count <= binned <= seen.gc_count + 1, prefix
                assert seen.gc_pause_ns in [sum(5000 * n for n in range(1, k + 1)) for k in (seen.gc_count, binned)]
                assert seen.gc_max_ns in (5000 * seen.gc_count, 5000 * binned)
                rows = [Sample(n * 1000, n - 1, 0, ((1, n - 1),) if n > 1 else ()) for n in range(1, 4)]
                assert list(seen.samples) == rows[: len(seen.samples)], prefix
        live_with_vitals(path, 7)
        after = view_vitals(path.read_bytes())
        assert (after.epoch, after.gc_count, after.gc_max_ns, len(after.samples)) == (7, 3, 15_000, 3)


@BOTH
def test_a_full_census_shows_whole_rows_only_after_any_store(folder: Path, tmp_path: Path, backwards: bool) -> None:
    def row(number: int) -> Sample:
        return Sample(number * 1_000_003, number + 2, number * 7, ((number % 5, number + 1), (9, 1)))

    page = Vitals.occupy(folder / "vitals", 1)
    for number in range(130):
        page.add_sample(row(number))
    with Logged(folder) as logged:
        for number in range(130, 134):
            logged.note("adds", number)
            page.add_sample(row(number))
            logged.note("added", number)
    page.close()
    for prefix in logged.log.prefixes(tmp_path / "replay", backwards=backwards):
        seen = view_vitals((prefix.live / "vitals").read_bytes()).samples
        end = [130 + len(prefix.said(word)) for word in ("adds", "added")]
        assert seen in [tuple(map(row, range(last - len(seen), last))) for last in end], prefix
        assert len(seen) >= 127


# ---- the journal


@BOTH
def test_a_journal_shows_whole_records_only_after_any_store(folder: Path, tmp_path: Path, backwards: bool) -> None:
    def record(number: int) -> JournalEntry:
        return JournalEntry(float(number), f"kind{number}", "x" * (number * 31 % 400), f"who{number}", number, 1)

    journal = Journal.create(folder / "journal")
    for number in range(126):
        journal.write(LETTERS, record(number))
    with Logged(folder) as logged:
        for number in range(126, 134):
            logged.note("letter", number)
            journal.write(LETTERS, record(number))
            logged.note("event", number)
            journal.write(EVENTS, record(number))
            logged.note("counts", number)
            journal.count({"full": number, f"reason {number}, which is a long one": 1, "x": number * 300})
            logged.note("counted", number)
        journal.close()
    for prefix in logged.log.prefixes(tmp_path / "replay", backwards=backwards):
        seen = view_journal((prefix.live / "journal").read_bytes())
        for shown, first, word, later in (
            (seen.letters, 0, "letter", "event"), (seen.events, 126, "event", "counts"),
        ):  # fmt: skip
            ends = [126 + len(prefix.said(each)) for each in (word, later)]
            count = len(shown)
            assert count >= min(127, ends[1] - first)
            assert shown in [tuple(map(record, range(end - 1, end - count - 1, -1))) for end in ends], prefix
        known = {f"reason {number}, which is a long one"[:24] for number in prefix.said("counts")}
        counts = [0, *prefix.said("counts")]
        assert seen.reasons.keys() <= known | {"full", "x"}, prefix
        assert seen.reasons.get("full", 0) in counts and seen.reasons.get("x", 0) // 300 in counts, prefix
        if said := prefix.said("counted"):
            assert seen.reasons["full"] >= said[-1] and seen.reasons["x"] >= 300 * said[-1]
