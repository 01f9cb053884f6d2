"""Real processes, SIGKILLed between any two stores of a vitals page or a tally: a reader is off by one, at most."""

from __future__ import annotations

import os
import signal

import pytest

from actorlab.transport import (
    Sample,
    Tally,
    Vitals,
    arm_crashpoints,
    crashpoint_labels,
    kill_at,
    tally,
    view_tally,
    view_vitals,
    vitals,
)


def killed_at(module, label, n, work):
    """Run `work()` in a child that dies at the n-th pass of `label`."""
    pid = os.fork()
    if pid == 0:
        try:
            arm_crashpoints(module, kill_at(label, n))
            work()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def live(path, epoch):
    """What a process with a vitals page does: take it, count three pauses, take the census three times."""
    page = Vitals.occupy(path, epoch)
    for turn in range(1, 4):
        page.count_pause(turn * 5000, turn == 3)
        page.add_sample(Sample(turn * 1000, turn - 1, 0, ((1, turn - 1),)))
        page.say_gc(turn, (turn, turn, turn))
        page.say_private(turn)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("label", [label for label in crashpoint_labels(vitals) if not label.startswith("occupy")])
def test_a_page_whose_process_was_killed_is_off_by_one_at_most(tmp_path, label, n):
    path = tmp_path / "vitals.1"
    killed_at(vitals, label, n, lambda: live(path, 1))
    seen = view_vitals(path.read_bytes())
    counted, binned = seen.gc_count, sum(seen.histogram)
    assert seen.epoch == 1 and counted in (n - 1, n) and binned in (counted, counted + 1)
    assert seen.gc_max_ns in (5000 * counted, 5000 * (counted + 1))
    assert seen.gc_full == (counted >= 3 or (label, n) == ("pause.count", 3))
    said = [seen.private_bytes, *reversed(seen.thresholds), seen.frozen]
    assert set(said) <= {n - 1, n} and said == sorted(said), "what is missing is what comes later"
    assert seen.gc_pause_ns in (sum(5000 * turn for turn in range(1, made + 1)) for made in (counted, counted + 1))
    assert [row.anonymous_bytes for row in seen.samples] == [1000 * (k + 1) for k in range(len(seen.samples))]
    assert len(seen.samples) in (n - 1, n)


@pytest.mark.parametrize("label", [label for label in crashpoint_labels(vitals) if label.startswith("occupy")])
def test_a_page_that_is_being_taken_shows_nobody_elses_figures(tmp_path, label):
    path = tmp_path / "vitals.1"
    live(path, 1)
    killed_at(vitals, label, 1, lambda: Vitals.occupy(path, 2))
    seen = view_vitals(path.read_bytes())
    assert seen.epoch in (0, 1, 2)
    if seen.epoch == 2:
        assert (seen.gc_count, sum(seen.histogram), seen.samples) == (0, 0, ())
    if seen.epoch == 1:
        assert seen.gc_count == 3, "still the old process's, whole"
    live(path, 3)
    after = view_vitals(path.read_bytes())
    assert (after.epoch, after.gc_count, after.gc_max_ns, len(after.samples)) == (3, 3, 15_000, 3)


@pytest.mark.parametrize("n", [2, 100, 200])
def test_a_page_that_is_half_cleared_is_nobodys(tmp_path, n):
    path = tmp_path / "vitals.1"
    live(path, 1)
    killed_at(vitals, "occupy.each", n, lambda: Vitals.occupy(path, 2))
    assert view_vitals(path.read_bytes()).epoch == 0


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("label", [label for label in crashpoint_labels(tally) if label.startswith("bury")])
def test_a_tally_counts_nobody_twice(tmp_path, label, n):
    path = tmp_path / "tally.1"
    Tally.create(path).close()

    def bury():
        counts = Tally.adopt(path)
        for _ in range(3):
            counts.bury(70, 10, 2, 3, 1)

    killed_at(tally, label, n, bury)
    row = view_tally(path.read_bytes()).get(70)
    if row is None:
        assert (label, n) == ("bury.handled", 1)
        return
    assert row.dead_lettered in (3 * (n - 1), 3 * n)
    counts = (row.ended, row.restarts, row.dead_lettered // 3, row.failed // 2, row.handled // 10)
    assert list(counts) == sorted(counts), "what is missing is what comes later"
    assert row.handled in (10 * (n - 1), 10 * n) and row.failed in (2 * (n - 1), 2 * n)
    assert row.ended in (n - 1, n) and row.restarts in (n - 1, n)
    heir = Tally.adopt(path)
    heir.bury(70, 1, 0, 0, 0)
    assert view_tally(path.read_bytes())[70].handled == row.handled + 1
    heir.close()


@pytest.mark.parametrize("label", [label for label in crashpoint_labels(tally) if label.startswith("local")])
def test_what_waits_by_reference_is_said_anew_by_the_next(tmp_path, label):
    path = tmp_path / "tally.1"
    Tally.create(path).close()

    def say():
        counts = Tally.adopt(path)
        counts.bury(70, 10, 0, 0, 0)
        counts.say_local(70, 5, 500)
        counts.say_local(70, 7, 700)

    killed_at(tally, label, 2, say)
    row = view_tally(path.read_bytes())[70]
    messages, size = row.local_messages, row.local_bytes
    assert (messages, size) == {"local.messages": (5, 500), "local.bytes": (7, 500), "local.said": (7, 700)}[label]
    heir = Tally.adopt(path)
    heir.say_local(70, 0, 0)
    row = view_tally(path.read_bytes())[70]
    assert (row.handled, row.local_messages, row.local_bytes) == (10, 0, 0)
    heir.close()
