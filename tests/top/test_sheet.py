"""Laws of the text: it fits, however wide the terminal is, and what came from the node cannot speak to the terminal."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorlab.observe import DeadLetterRow, Memory, RestartRow
from actorlab.top.rows import rows
from actorlab.top.sheet import cells, facts, fields, heading, incidents, show_name, titles


@given(columns=st.integers(1, 300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_line_is_as_wide_as_the_terminal_and_no_wider(look, columns):
    shown, name = fields(columns)
    for row in rows(look):
        line = show_name(row, name).ljust(name) + "".join(cells(row, shown))
        assert len(line) <= columns or not shown
    assert [len(title) for title in titles(shown)] == [field.width for field in shown]


def test_at_80_columns_all_that_can_be_sorted_by_is_shown():
    shown, name = fields(79)
    assert [field.key for field in shown] == ["state", "memory", "mailbox", "rate", "restarts"] and name >= 24


def test_the_heading_fits_into_80_columns(look):
    assert all(len(line) <= 80 for line in heading(look))


def test_where_only_private_memory_is_told_that_is_what_is_shown(look):
    process = replace(look.processes[0], memory=Memory(12_345_678), pool_mapped_bytes=None)
    totals = replace(look.totals, memory=Memory(98_765_432), bytes=None, files_bytes=7_000_000)
    seen = replace(look, totals=totals, processes=(process,), sharing=None)
    said = heading(seen)[1]
    assert said == "memory  private 98.8 MB (USS) + the node's files 7.0 MB; no PSS here" and len(said) <= 80
    row = next(row for row in rows(seen, by="worker") if row.kind == f"pid {process.pid}")
    assert row.memory_bytes == 12_345_678
    told = dict(facts(seen, row))
    assert told["private"].startswith("12.3 MB") and not {"PSS", "heap", "pools"} & told.keys()


def test_names_and_messages_cannot_move_the_cursor(look):
    evil = "\x1b]0;owned\x07\x1b[2J\r\n\x9b31m"
    row = replace(rows(look)[1], name=evil)
    told = replace(
        look,
        restarts=(RestartRow(1.0, "actor_restarted", evil, 1, evil, row.address),),
        dead_letters=(DeadLetterRow(2.0, 1, evil, row.address, "stopped", evil),),
        tree=tuple(replace(one, name=evil) for one in look.tree),
        name=evil,
    )
    texts = [show_name(row, 80), *incidents(told, row), *heading(told), *(value for _, value in facts(told, row))]
    assert len(incidents(told, row)) == 2
    assert not any(c in text for text in texts for c in "\x1b\x07\x9b\r")


def test_incidents_are_those_of_the_line_newest_first(look):
    first = next(row for row in rows(look) if row.name == "first")
    told = replace(
        look,
        restarts=(
            RestartRow(3.0, "worker_died", "killed by SIGKILL", 1),
            RestartRow(1.0, "actor_restarted", "boom", 1, "first", first.address),
            RestartRow(1.0, "actor_restarted", "other", 2, "second", "2.1.1"),
        ),
        dead_letters=(DeadLetterRow(2.0, 1, "first", first.address, "crashed_in_flight", "add(2)"),),
    )
    assert incidents(told, first) == ["dead letter, crashed in flight: add(2)", "actor restarted: boom"]
    worker = next(row for row in rows(look, by="worker") if row.name == "worker 1")
    assert len(incidents(told, worker)) == 3 and incidents(told, worker)[0] == "worker died: killed by SIGKILL"


def test_every_line_of_both_trees_has_facts(look):
    for by in ("supervisor", "worker"):
        for row in rows(look, by=by):
            found = dict(facts(look, row))
            assert found and all(isinstance(value, str) and value for value in found.values())
