"""A writer SIGKILLed between any two stores of a journal leaves whole records, and no count under another's name."""

from __future__ import annotations

import os
import signal

import pytest

from actorlab.transport import (
    EVENTS,
    LETTERS,
    Journal,
    JournalEntry,
    arm_crashpoints,
    crashpoint_labels,
    journal,
    kill_at,
    view_journal,
)

MANY = 300


@pytest.mark.parametrize("n", [1, 2, 200])
@pytest.mark.parametrize("label", [label for label in crashpoint_labels(journal) if label.startswith("record")])
def test_a_record_is_there_whole_or_not_at_all(tmp_path, label, n):
    path = tmp_path / "journal"
    if (pid := os.fork()) == 0:
        try:
            arm_crashpoints(journal, kill_at(label, n))
            made = Journal.create(path)
            for k in range(MANY):
                made.write(EVENTS, JournalEntry(float(k), f"kind{k}", "x" * (k % 500), f"who{k}", k, 1))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    seen = view_journal(path.read_bytes()).events
    written = n - (label != "record.done")
    assert [entry.at for entry in seen] == [float(k) for k in range(written - 1, max(-1, written - 128), -1)]
    for entry in seen:
        k = int(entry.at)
        assert (entry.kind, entry.who, entry.address, entry.worker) == (f"kind{k}", f"who{k}", k, 1)
        assert set(entry.text) <= {"x"} and len(entry.text) == min(k % 500, len(entry.text))


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("label", [label for label in crashpoint_labels(journal) if label.startswith("reason")])
def test_a_count_is_never_another_reasons(tmp_path, label, n):
    path = tmp_path / "journal"
    if (pid := os.fork()) == 0:
        try:
            arm_crashpoints(journal, kill_at(label, n))
            Journal.create(path).count({"full": 3, "stopped": 5})
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert view_journal(path.read_bytes()).reasons == ({"full": 3} if n == 2 else {})


@pytest.mark.parametrize("label", [label for label in crashpoint_labels(journal) if label.startswith("letters")])
def test_each_count_is_this_one_or_the_one_before_and_the_next_writer_counts_on(tmp_path, label):
    path = tmp_path / "journal"
    reasons = [f"reason {k}" for k in range(40)]  # from the 32nd on they are one
    before, after = dict.fromkeys(reasons, 3), dict.fromkeys(reasons, 4)
    seen = {}
    for name, counts, crashes in (("before", before, False), ("killed", after, True), ("after", after, False)):
        if (pid := os.fork()) == 0:
            try:
                made = Journal.create(path)
                made.count(before)
                if crashes:
                    arm_crashpoints(journal, kill_at(label, 17 if label == "letters.count" else 1))
                made.count(counts)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == (-signal.SIGKILL if crashes else 0)
        seen[name] = view_journal(path.read_bytes()).reasons
        path.unlink()
    stored = {"letters.count": 16, "letters.other": 31, "letters.counted": 32}[label]
    names = list(seen["after"])
    assert names[:31] == reasons[:31] and names[31:] == ["other"]
    assert seen["killed"] == {
        name: seen["after" if k < stored else "before"][name] for k, name in enumerate(names)
    }


def test_texts_are_cut_between_characters_and_reasons_past_the_last_are_one(tmp_path):
    made = Journal.create(tmp_path / "journal")
    made.write(LETTERS, JournalEntry(1.0, "r" * 100, "ä" * 1000, "n" * 1000, 7))
    made.count({f"reason {k}": 1 for k in range(50)})
    seen = view_journal((tmp_path / "journal").read_bytes())
    made.close()
    made.write(LETTERS, JournalEntry(2.0, "late", "late"))  # nothing, and no error
    (letter,) = seen.letters
    assert letter.kind == "r" * 40 and letter.who == "n" * 120 and set(letter.text) == {"ä"} and letter.worker is None
    assert len(seen.reasons) == 32 and seen.reasons["other"] == 19 and sum(seen.reasons.values()) == 50
