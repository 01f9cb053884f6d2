"""What the console prints: plain where it is piped, colours on a terminal, JSON for programs; never a torn line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading

import pytest

from actorlab.console import Console, branches, show_bytes, show_time
from actorlab.telemetry import ActorRow, Event, NodeRow, TreeRow, WorkerRow

WORKERS = [WorkerRow(1, 4711, "running", 1200, 12_400_000, 0, 192.4), WorkerRow(2, 4712, "hung", 3, None, 17, 0.5)]
TREE = [
    TreeRow(0, "shop", "supervisor", "rest_for_one", "running"),
    TreeRow(1, "stock", "Stock", "permanent", "running", 2, "1.0.3"),
    TreeRow(1, "shards", "partition", "one_for_one", "running"),
    TreeRow(2, "0", "Shelf", "permanent", "restarting", 1, "2.0.1"),
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def console(style=None, stream=io.StringIO):
    return Console(stream(), stream(), style=style)


def test_a_table_on_a_pipe_is_plain_and_aligned():
    report = console()
    report.workers(WORKERS)
    assert report.out.getvalue() == (
        "worker   pid  state    actors  memory (PSS)  restarts          up  guest of\n"
        "1       4711  running   1,200       12.4 MB         0  3 min 12 s         -\n"
        "2       4712  hung          3             ?        17      500 ms         -\n"
    )


def test_a_tree_is_drawn_with_branches():
    report = console()
    report.tree(TREE)
    names = [line[:9].rstrip() for line in report.out.getvalue().splitlines()]
    assert names == ["name", "shop", "├─ stock", "└─ shards", "   └─ 0"]


def test_a_branch_goes_on_past_the_children_of_an_earlier_sibling():
    rows = [TreeRow(depth, "x", "", "", "") for depth in (0, 1, 2, 3, 2, 1)]
    assert branches(rows) == ["", "├─ ", "│  ├─ ", "│  │  └─ ", "│  └─ ", "└─ "]


def test_json_is_one_object_a_line_with_its_type():
    report = console("json")
    report.workers(WORKERS)
    report.tree(TREE[:1])
    report.happened(Event(1.5, "worker_died", "worker 1 died", "error", {"worker": 1}))
    report.event("kill", "killed", pid=3)
    report.progress("reading", 1, 2)
    objects = [json.loads(line) for line in report.out.getvalue().splitlines()]
    assert [found["type"] for found in objects] == ["worker", "worker", "child", "worker_died", "kill", "progress"]
    assert objects[0]["pss_bytes"] == 12_400_000 and objects[3]["worker"] == 1 and objects[4]["level"] == "warning"
    assert report.err.getvalue() == ""


def test_results_and_news_go_to_different_streams():
    report = console()
    report.result("sum", {"n": 3}, "three")
    report.event("team", "12 searchers")
    report.line("type a query")
    assert report.out.getvalue() == "three\n"
    news = report.err.getvalue().splitlines()
    assert news[0].endswith("  12 searchers") and news[1] == "type a query"


def test_a_terminal_gets_colour_and_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    report = console(stream=Terminal)
    report.workers(WORKERS)
    report.note("careful", "warning")
    assert "\x1b[32mrunning" in report.out.getvalue() and "\x1b[33m" in report.err.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    report = console(stream=Terminal)
    report.workers(WORKERS)
    report.note("careful", "warning")
    assert "\x1b[3" not in report.out.getvalue() + report.err.getvalue()


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    report = console(stream=Terminal)
    report.note("careful", "error")
    assert report.err.getvalue() == "careful\n"


@pytest.mark.parametrize("style", ["plain", "rich"])
def test_a_name_cannot_move_the_cursor_or_add_a_line(style):
    report = console(style)
    report.actors([ActorRow("1.0.1", "evil\x1b[2J\n[red]", "Clerk", 1, "idle", 0, 0, 0, 0)])
    report.result("x", {}, "\x1b]0;title\x07")
    text = report.out.getvalue()
    assert "\x1b[2J" not in text and "\x1b]0" not in text and "[red]" in text
    assert len(text.splitlines()) == 3


def test_progress_is_one_changing_line_on_a_terminal_and_quarters_elsewhere(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    terminal, pipe = console(stream=Terminal), console()
    for report in (terminal, pipe):
        for done in range(101):
            report.progress("reading", done, 100)
            if done == 50:
                report.note("half")
    assert pipe.err.getvalue().count("\n") == 6 and "reading: 25 of 100 (25%)" in pipe.err.getvalue()
    shown = terminal.err.getvalue()
    assert shown.count("\n") == 2 and shown.endswith("reading: 100 of 100 (100%)\n")
    assert "\x1b[2Khalf\n\rreading: 50 of 100" in shown  # erased for the note, then drawn again


def test_an_answer_shows_where_it_stands(monkeypatch):
    class Hit:
        path, line, snippet, score = "heapq.py", 316, "    def merge(*iterables):", 9.5

    report = console()
    report.answer("merge", [Hit()])
    report.answer("nothing like it", [])
    assert "heapq.py:316" in report.out.getvalue() and "  nothing\n" in report.out.getvalue()
    as_json = console("json")
    as_json.answer("merge", [Hit()])
    assert json.loads(as_json.out.getvalue())["hits"][0]["line"] == 316


def test_lines_of_many_threads_are_never_torn():
    report = console()

    def talk(name):
        for _ in range(200):
            report.note(name * 40)

    threads = [threading.Thread(target=talk, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {line for line in report.err.getvalue().splitlines()} == {name * 40 for name in "abcd"}


def test_nodes_and_numbers_read_as_people_write_them():
    report = console()
    report.nodes([NodeRow("shop", 12, "running", 4, 100_000, 90_000, "/dev/shm/x")])
    assert "100,000  1 d 1 h  /dev/shm/x" in report.out.getvalue()
    assert [show_bytes(n) for n in (0, 999, 1000, 999_949, 999_950, 10**10, 10**13)] == [
        *("0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "10.0 GB", "10000.0 GB"),
    ]
    assert [show_time(s) for s in (0, 0.001, 59.96, 61, 3600, 86_399)] == [
        *("0 ms", "1 ms", "60.0 s", "1 min 1 s", "1 h 0 min", "23 h 59 min"),
    ]


def test_importing_the_command_line_imports_neither_rich_nor_a_schema_nor_a_node():
    code = "import actorlab.cli, sys; print(sorted({'rich', 'msgspec', 'pyarrow'} & set(sys.modules)))"
    # the package's own __init__ is for users; the command line must not pay for more than it
    alone = (
        f"import sys, types; p = types.ModuleType('actorlab'); p.__path__ = {list(__import__('actorlab').__path__)}; "
    )
    code = alone + "sys.modules['actorlab'] = p; " + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
