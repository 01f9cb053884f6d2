"""Console: what a person at a terminal, a log file or a program reading JSON lines gets to see.

Edge; used by the command line and handed to jobs as their `report`. Three styles, chosen by the streams: colours and
tables on a terminal (rich, imported only then; NO_COLOR is respected), plain lines elsewhere, and JSON, one object a
line. Results go to `out`; events, notes and progress to `err`, so that a redirected result stays clean; in JSON all
goes to `out`, each object with its `type`. Safe to call from any thread; a line is never torn.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, Protocol, TextIO

from .lean_dataclass import dataclass
from .telemetry import ActorRow, Event, Level, NodeRow, TreeRow, WorkerRow

Style = Literal["rich", "plain", "json"]

_COLOURS: dict[Level, str] = {"good": "green", "info": "", "warning": "yellow", "error": "bold red"}
_JOB_LEVELS: dict[str, Level] = {"kill": "warning", "differs": "error"}
_STATES: dict[str, Level] = {
    "running": "good",
    "ready": "good",
    "idle": "good",
    "starting": "warning",
    "restarting": "warning",
    "stopping": "warning",
    "draining": "warning",
    "hung": "error",
    "stopped": "error",
    "dead": "error",
    "failed": "error",
}
# C0 and C1 controls but newline and tab: a name or a snippet must not move the cursor or retitle the window
_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(13, 32), *range(127, 160)], "\N{REPLACEMENT CHARACTER}")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its title and how a row's cell reads; `level` colours it."""

    title: str
    cell: Callable[[Any], str]
    right: bool = False
    level: Callable[[Any], Level] | None = None


NODE_COLUMNS = (
    Column("node", lambda row: row.name),
    Column("state", lambda row: row.state, level=lambda row: _STATES.get(row.state, "info")),
    Column("pid", lambda row: str(row.pid), right=True),
    Column("workers", lambda row: str(row.workers), right=True),
    Column("actors", lambda row: f"{row.actors:,}", right=True),
    Column("up", lambda row: show_time(row.uptime_s), right=True),
    Column("directory", lambda row: row.directory),
)
WORKER_COLUMNS = (
    Column("worker", lambda row: str(row.worker) if row.worker else "controller"),
    Column("pid", lambda row: str(row.pid), right=True),
    Column("state", lambda row: row.state, level=lambda row: _STATES.get(row.state, "info")),
    Column("actors", lambda row: f"{row.actors:,}", right=True),
    Column("memory (PSS)", lambda row: _share(row), right=True),
    Column("restarts", lambda row: str(row.restarts), right=True),
    Column("up", lambda row: show_time(row.uptime_s), right=True),
    Column("guest of", lambda row: str(row.host or "-"), right=True),
)
ACTOR_COLUMNS = (
    Column("address", lambda row: row.address),
    Column("name", lambda row: row.name or "-"),
    Column("class", lambda row: row.cls),
    Column("worker", lambda row: str(row.worker), right=True),
    Column("state", lambda row: row.state, level=lambda row: _STATES.get(row.state, "info")),
    Column("incarnation", lambda row: str(row.incarnation), right=True),
    Column("queued", lambda row: f"{row.depth:,}", right=True),
    Column("handled", lambda row: f"{row.handled:,}", right=True),
    Column("failed", lambda row: f"{row.failed:,}", right=True, level=lambda row: "error" if row.failed else "info"),
)
TREE_COLUMNS = (
    Column("name", lambda row: row.name),
    Column("kind", lambda row: row.kind),
    Column("restart", lambda row: row.restart),
    Column("status", lambda row: row.status, level=lambda row: _STATES.get(row.status, "info")),
    Column("restarts", lambda row: str(row.restarts), right=True),
    Column("address", lambda row: row.address or "-"),
)


class Found(Protocol):
    """One thing a query found."""

    @property
    def path(self) -> str: ...
    @property
    def line(self) -> int: ...
    @property
    def snippet(self) -> str: ...
    @property
    def score(self) -> float: ...


class Console:
    """Prints results, events and progress in one of three styles.

    `style` None decides a stream at a time: `rich` where it is a terminal, `plain` where it is not.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None, *, style: Style | None = None) -> None:
        self.out = sys.stdout if out is None else out
        self.err = sys.stderr if err is None else err
        self.json = style == "json"
        streams = (self.out, self.err)
        self._rich = {stream: style == "rich" or (style is None and is_terminal(stream)) for stream in streams}
        self._lock = threading.RLock()
        self._progress = ""
        self._last_step = ("", -1)

    def result(self, kind: str, fields: Mapping[str, Any], text: str | None = None) -> None:
        """Print one result: `text` for people (on `out`; nothing when None), `fields` for programs."""
        if self.json:
            self._json(kind, fields)
        elif text is not None:
            self._write(self.out, text)

    def note(self, text: str, level: Level = "info") -> None:
        """Print a line in the colour of its level; in JSON an object of type `note`."""
        if self.json:
            self._json("note", {"text": text, "level": level})
        else:
            self._write(self.err, text, _COLOURS[level])

    def fail(self, text: str) -> None:
        """Print what went wrong; always on `err`, in JSON as an object of type `error` there."""
        if self.json:
            self._json("error", {"text": text}, self.err)
        else:
            self._write(self.err, f"actorlab: {text}", _COLOURS["error"])

    def line(self, text: str) -> None:
        """Print a line for a person about what is going on; in JSON an object of type `note`."""
        self.note(text)

    def event(self, kind: str, text: str, **fields: Any) -> None:
        """Tell that something happened just now; a job's way to report."""
        self.happened(Event(time.time(), kind, text, _JOB_LEVELS.get(kind, "info"), fields))

    def happened(self, event: Event) -> None:
        """Print an event with its time; may be handed to a node as `on_event`."""
        if self.json:
            self._json(event.kind, {"time": event.time, "text": event.text, "level": event.level, **event.fields})
        else:
            at = time.strftime("%H:%M:%S", time.localtime(event.time)) + f".{int(event.time % 1 * 1000):03d}"
            with self._lock:
                self._write(self.err, f"{at}  {event.text}", _COLOURS[event.level])
                if "traceback" in event.fields:
                    self._write(self.err, textwrap.indent(str(event.fields["traceback"]).rstrip(), " " * 14), "dim")

    def answer(self, query: str, hits: Sequence[Found]) -> None:
        """Print what a query found, best first: where it stands, how well it fits, and what it reads there."""
        if self.json:
            rows = [{"path": h.path, "line": h.line, "snippet": h.snippet, "score": h.score} for h in hits]
            self._json("answer", {"query": query, "hits": rows})
            return
        with self._lock:
            self._write(self.out, f"{query}", "bold")
            for hit in hits:
                self._write(self.out, f"  {hit.score:6.2f}  {hit.path}:{hit.line}", "cyan")
                self._write(self.out, f"          {hit.snippet.strip()}")
            if not hits:
                self._write(self.out, "  nothing")

    def progress(self, what: str, done: int, total: int) -> None:
        """Show how far `what` is: a line that changes on a terminal, else a line for each quarter. Ends at `total`."""
        share = done / total if total else 1.0
        line = f"{what}: {done:,} of {total:,} ({share:.0%})"
        if not self.json and self._rich[self.err]:
            with self._lock:
                self._erase()
                self._progress = line if done < total else ""
                self._draw()
                if done >= total:
                    self._write(self.err, line)
        elif (step := (what, int(share * 4))) != self._last_step:
            self._last_step = step
            if self.json:
                self._json("progress", {"what": what, "done": done, "total": total})
            else:
                self._write(self.err, line)

    def nodes(self, rows: Sequence[NodeRow]) -> None:
        self.table("node", NODE_COLUMNS, rows)

    def workers(self, rows: Sequence[WorkerRow]) -> None:
        self.table("worker", WORKER_COLUMNS, rows)

    def actors(self, rows: Sequence[ActorRow]) -> None:
        self.table("actor", ACTOR_COLUMNS, rows)

    def tree(self, rows: Sequence[TreeRow]) -> None:
        self.table("child", TREE_COLUMNS, rows, tree=True)

    def table(self, kind: str, columns: Sequence[Column], rows: Sequence[Any], *, tree: bool = False) -> None:
        """Print rows as a table on `out`; in JSON each row, a dataclass, is an object of type `kind`.

        With `tree`, the rows' `depth` draws branches before the first column.
        """
        if self.json:
            for row in rows:
                self._json(kind, asdict(row))
            return
        cells = [[clean(column.cell(row)).replace("\n", " ") for column in columns] for row in rows]
        if tree:
            for stem, line in zip(branches(rows), cells, strict=True):
                line[0] = stem + line[0]
        lines = [[column.title for column in columns], *cells]
        widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
        aligned = [
            [
                text.rjust(width) if column.right else text.ljust(width)
                for text, width, column in zip(line, widths, columns, strict=True)
            ]
            for line in lines
        ]
        with self._lock:
            self._erase()
            if self._rich[self.out]:
                self._coloured_lines(columns, rows, aligned)
            else:
                self.out.writelines("  ".join(line).rstrip() + "\n" for line in aligned)
            self.out.flush()
            self._draw()

    def _coloured_lines(self, columns: Sequence[Column], rows: Sequence[Any], lines: list[list[str]]) -> None:
        # not rich's own tables: they fold cells on a narrow terminal, and a tree's branches would break
        from rich.console import Console as RichConsole
        from rich.text import Text

        terminal = RichConsole(file=self.out, force_terminal=True, highlight=False, soft_wrap=True)
        terminal.print(Text("  ".join(lines[0]).rstrip(), "bold"))
        for row, line in zip(rows, lines[1:], strict=True):
            styles = (_COLOURS[column.level(row) if column.level else "info"] for column in columns)
            cells = (Text(text, style) for text, style in zip(line, styles, strict=True))
            terminal.print(Text("  ").join(cells))

    def _write(self, stream: TextIO, text: str, style: str = "") -> None:
        text = clean(text)
        with self._lock:
            self._erase()
            if self._rich[stream] and style:
                from rich.console import Console as RichConsole
                from rich.text import Text

                RichConsole(file=stream, force_terminal=True, highlight=False, soft_wrap=True).print(Text(text, style))
            else:
                stream.write(text + "\n")
            stream.flush()
            self._draw()

    def _json(self, kind: str, fields: Mapping[str, Any], stream: TextIO | None = None) -> None:
        line = json.dumps(
            {"type": kind} | {k: v for k, v in fields.items() if k != "type"}, default=str, ensure_ascii=False
        )
        stream = self.out if stream is None else stream
        with self._lock:
            stream.write(line + "\n")
            stream.flush()

    def _erase(self) -> None:
        if self._progress:
            self.err.write("\r\x1b[2K")

    def _draw(self) -> None:
        if self._progress:
            self.err.write(f"\r{self._progress}")
            self.err.flush()


def _share(row: WorkerRow) -> str:
    if row.host:
        return "-"  # its host's
    return "?" if row.pss_bytes is None else show_bytes(row.pss_bytes)


def state_style(state: str) -> str:
    """Return the colour in which a state is shown on a terminal; "" is the terminal's own."""
    return _COLOURS[_STATES.get(state, "info")]


class HasDepth(Protocol):
    """A row of a tree; the root's depth is 0."""

    @property
    def depth(self) -> int: ...


def branches(rows: Sequence[HasDepth]) -> list[str]:
    """Return the branch to draw before each row of a tree.

    >>> row = lambda depth: TreeRow(depth, "x", "", "", "")
    >>> branches([row(0), row(1), row(2), row(1)])
    ['', '├─ ', '│  └─ ', '└─ ']
    """
    drawn: list[str] = []
    more_below: dict[int, bool] = {}  # whether a later row continues the branch of this depth
    for row in reversed(rows):
        last = not more_below.get(row.depth, False)
        more_below[row.depth] = True
        for deeper in [depth for depth in more_below if depth > row.depth]:
            del more_below[deeper]
        stems = ("│  " if more_below.get(depth) else "   " for depth in range(1, row.depth))
        drawn.append("".join(stems) + (("└─ " if last else "├─ ") if row.depth else ""))
    return drawn[::-1]


def show_bytes(size: int) -> str:
    """Return a size as people read it.

    >>> show_bytes(900), show_bytes(12_400_000)
    ('900 B', '12.4 MB')
    """
    if size < 1000:
        return f"{size} B"
    for unit, scale in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if size < 999.95 * scale or unit == "GB":
            return f"{size / scale:.1f} {unit}"
    raise AssertionError


def show_time(seconds: float) -> str:
    """Return a span of time as people read it, two units at most.

    >>> show_time(0.25), show_time(12.3), show_time(192), show_time(90_000)
    ('250 ms', '12.3 s', '3 min 12 s', '1 d 1 h')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for above, (big, per_big), (small, per_small) in (
        (3600, ("min", 60), ("s", 1)),
        (86_400, ("h", 3600), ("min", 60)),
    ):
        if whole < above:
            return f"{whole // per_big} {big} {whole % per_big // per_small} {small}"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def clean(text: str) -> str:
    """Return the text without what would move a terminal's cursor or retitle its window."""
    return text.translate(_CONTROLS)


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody sits before `stream`, at something that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"
