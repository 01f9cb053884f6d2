"""Screen: `actorlab top` on a terminal: the node's tree, followed, sorted and folded by keys.

Edge (the terminal; Textual, which draws only what changed and puts the terminal back when it ends). It looks in a
thread of its own, one look at a time, so that a slow look never holds up a key.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.events import Resize
from textual.widgets import DataTable, Footer, Static

from ..console import state_style
from ..observe import Follower, Snapshot
from .detail import Detail
from .rows import BYS, By, Row, Sort, rows
from .sheet import cells, fields, heading, show_name, titles

SCROLLBAR = 1
SOON_S = 0.5
"""To the second look: from then on there are rates."""
TREE_ACTIONS = ("sort", "turn", "fold", "open", "down", "up", "edge")


class Top(App[None]):
    """Shows what a follower sees, every `every_s`."""

    CSS = """
    #heading { height: 4; }
    #tree { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "quit", "quit", key_display="q", priority=True),
        Binding("enter", "open", "open", priority=True),
        Binding("m", "sort('memory')", "mem"),
        Binding("b", "sort('mailbox')", "mailbox"),
        Binding("r", "sort('rate')", "rate"),
        Binding("s", "sort('restarts')", "restarts"),
        Binding("o", "sort('start')", "order"),
        Binding("v", "turn", "turn"),
        Binding("left,h", "fold(True)", "fold", show=False, priority=True),
        Binding("right,l", "fold(False)", "unfold", show=False, priority=True),
        Binding("space", "fold", "fold", key_display="␣", priority=True),
        Binding("j", "down", show=False),
        Binding("k", "up", show=False),
        Binding("home,g", "edge(True)", show=False, priority=True),
        Binding("end,G", "edge(False)", show=False, priority=True),
    ]

    def __init__(self, follower: Follower, *, by: By, sort: Sort, every_s: float) -> None:
        super().__init__()
        self._follower = follower
        self._by: By = by
        self._sort: Sort = sort
        self._every_s = every_s
        self._folded: set[str] = set()
        self._rows: list[Row] = []
        self._shown: list[list[str]] = []
        self._width = 0
        self._looking: asyncio.Task[None] | None = None
        self.look: Snapshot = follower.last
        self.problem = ""

    # -- what is drawn -----------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield Static(id="heading", markup=False)
        table: DataTable[Text] = DataTable(id="tree", cursor_type="row", cell_padding=0, zebra_stripes=False)
        yield table
        yield Footer(show_command_palette=False)

    @property
    def table(self) -> DataTable[Text]:
        """The tree."""
        return self.query_one("#tree", DataTable)

    def on_mount(self) -> None:
        """Begin to look. A signal that asks for the end gets it, with the terminal put back."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.exit)
        self._looking = loop.create_task(self._follow())
        self.table.focus()

    async def on_unmount(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)

    def on_resize(self, event: Resize) -> None:
        """Fit the columns to the terminal."""
        if event.size.width != self._width:
            self._width = event.size.width
            self._lay_columns()

    async def _follow(self) -> None:
        wait_s = min(self._every_s, SOON_S)
        while True:
            await asyncio.sleep(wait_s)
            wait_s = self._every_s
            before = self.look, self.problem
            try:
                self.look = await asyncio.to_thread(self._follower.look)
                self.problem = ""
            except Exception as error:  # a bug of ours is shown, and does not end the screen
                self.problem = f"this look failed: {type(error).__name__}: {error}"
            if before[0] is not self.look or before[1] != self.problem:
                self.draw()  # of a large node there is not a new look each time: the observer keeps its own pace

    def draw(self) -> None:
        """Draw what was seen last, in the tree and in what lies over it."""
        self._draw_heading()
        self._draw_rows()
        if isinstance(self.screen, Detail):
            self.screen.draw(self.look, self._row_of(self.screen.row))

    def _row_of(self, old: Row) -> Row:
        every = rows(self.look, by=self._by)
        return next((row for row in every if row.key == old.key), old)

    def _draw_heading(self) -> None:
        first, second, third = heading(self.look)
        text = Text(no_wrap=True, overflow="ellipsis")
        name, state, rest = first.split("  ", 2)
        text.append(f"{name}  ", "bold").append(state, f"bold {state_style(self.look.state)}")
        text.append(f"  {rest}\n{second}\n{third}")
        if self.problem or self.look.state in ("dead", "hung"):
            why = {"dead": "the node has ended; this is the last that was seen", "hung": "its controller does not run"}
            text.append(f"\n{self.problem or why[self.look.state]}", "bold red")
        self.query_one("#heading", Static).update(text)

    def _lay_columns(self) -> None:
        table, room = self.table, self._width - SCROLLBAR
        shown, name = fields(room)
        cursor = self._cursor_key()
        table.clear(columns=True)
        order = {"start": "start order", "rate": "msg/s"}.get(self._sort, self._sort)
        table.add_column(Text(f"  by {self._by}, {order}"[:name]), key="name", width=name)
        for field, title in zip(shown, titles(shown), strict=True):
            style = "bold reverse" if field.key == self._sort else ""
            table.add_column(Text(title, style), key=field.key, width=field.width)
        self._rows, self._shown = [], []
        self.draw()
        self._put_cursor(cursor)

    def _draw_rows(self) -> None:
        if not self._width:
            return
        table = self.table
        shown, width = fields(self._width - SCROLLBAR)
        new = rows(self.look, by=self._by, sort=self._sort, closed=self._folded)
        texts = [[show_name(row, width), *cells(row, shown)] for row in new]
        if [row.key for row in new] == [row.key for row in self._rows]:
            for at, (row, line, old) in enumerate(zip(new, texts, self._shown, strict=True)):
                for column, text in enumerate(line):
                    if text != old[column] or row.state != self._rows[at].state:
                        table.update_cell_at(Coordinate(at, column), _cell(row, text, column, shown))
        else:
            cursor, top = self._cursor_key(), table.scroll_y
            table.clear()
            for row, line in zip(new, texts, strict=True):
                table.add_row(*(_cell(row, text, column, shown) for column, text in enumerate(line)), key=row.key)
            self._rows = new
            self._put_cursor(cursor)
            table.scroll_to(y=top, animate=False)
        self._rows, self._shown = new, texts

    # -- the cursor: it stays on its line, wherever that goes ----------------------------------------------------------

    def _cursor_key(self) -> str | None:
        at = self.table.cursor_row
        return self._rows[at].key if 0 <= at < len(self._rows) else None

    def _to_the_top(self) -> None:
        self.table.move_cursor(row=0, animate=False)
        self.table.scroll_to(y=0, animate=False)

    def _put_cursor(self, key: str | None) -> None:
        for at, row in enumerate(self._rows):
            if row.key == key:
                self.table.move_cursor(row=at, animate=False, scroll=False)

    # -- keys --------------------------------------------------------------------------------------------------------

    def action_sort(self, sort: Sort) -> None:
        """Sort each parent's lines, largest first; `start` leaves them in start order."""
        self._sort = sort
        self._lay_columns()
        self._to_the_top()

    def action_turn(self) -> None:
        """Grow the tree by supervisor or by worker."""
        self._by = BYS[1 - BYS.index(self._by)]
        self._lay_columns()
        self._to_the_top()

    def action_fold(self, close: bool | None = None) -> None:
        """Fold the line under the cursor, unfold it, or (None) do what was not done last."""
        at = self.table.cursor_row
        if not 0 <= at < len(self._rows):
            return
        row = self._rows[at]
        if not row.below or (close is True and not row.open):
            above = [one for one in range(at) if self._rows[one].depth < row.depth]
            if close is True and above:
                self.table.move_cursor(row=above[-1], animate=False)
            return
        shut = row.open if close is None else close
        (self._folded.add if shut else self._folded.discard)(row.key)
        self.draw()

    def action_open(self) -> None:
        """Show all that is known of the line under the cursor."""
        at = self.table.cursor_row
        if 0 <= at < len(self._rows) and self._rows[at].kind:
            self.push_screen(Detail(self.look, self._rows[at]))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of the tree are no keys of what lies over it."""
        return action not in TREE_ACTIONS or not isinstance(self.screen, Detail)

    def action_down(self) -> None:
        """Move down a line."""
        self.table.action_cursor_down()

    def action_up(self) -> None:
        """Move up a line."""
        self.table.action_cursor_up()

    def action_edge(self, first: bool) -> None:
        """Go to the first line, or the last."""
        self.table.move_cursor(row=0 if first else self.table.row_count - 1, animate=False)


def _cell(row: Row, text: str, column: int, shown: tuple[object, ...]) -> Text:
    style = ""
    if column == 0:
        style = "bold" if row.below else ""
    elif getattr(shown[column - 1], "key", "") == "state":
        style = state_style(row.state)
    elif getattr(shown[column - 1], "key", "") in ("restarts", "failed") and text.strip() != "0":
        style = "yellow"
    return Text(text, style, no_wrap=True)


def run(find_follower: Callable[[], Follower], *, by: By, sort: Sort, every_s: float) -> None:
    """Show the node until q is pressed or a signal comes. Main thread only; blocks. Raises what Follower raises."""
    Top(find_follower(), by=by, sort=sort, every_s=every_s).run()
