"""Detail: all that is known of one line of the tree, over the tree, followed like it.

Edge (the terminal); used by the screen.
"""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Sparkline, Static

from ..console import clean
from ..observe import Snapshot
from .rows import Row
from .sheet import facts, incidents

POINTS = 120
INCIDENTS = 50


class Detail(Screen[None]):
    """One line's facts, its mailbox and rate since it was opened, and what happened to it."""

    CSS = """
    #title { height: 2; text-style: bold; }
    #facts { height: auto; padding: 0 0 1 0; }
    .label { height: 1; color: $text-muted; }
    Sparkline { height: 2; margin: 0 1 1 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,enter,left", "app.pop_screen", "back", key_display="esc", priority=True)
    ]

    def __init__(self, look: Snapshot, row: Row) -> None:
        super().__init__()
        self.row = row
        self._look = look
        self._waiting: deque[float] = deque([float(row.mailbox)] * 2, maxlen=POINTS)
        self._rates: deque[float] = deque([row.rate or 0.0] * 2, maxlen=POINTS)

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield Static(Text(clean(self.row.name), no_wrap=True), id="title")
        with VerticalScroll():
            yield Static(id="facts")
            yield Static("waiting", classes="label")
            yield Sparkline(list(self._waiting), id="waiting")
            yield Static("messages a second", classes="label")
            yield Sparkline(list(self._rates), id="rates")
            yield Static("what happened", classes="label")
            yield Static(id="incidents")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Draw what is known already."""
        self._write()

    def draw(self, look: Snapshot, row: Row) -> None:
        """Draw a new look at the same line."""
        self._look, self.row = look, row
        self._waiting.append(float(row.mailbox))
        self._rates.append(row.rate or 0.0)
        self._write()

    def _write(self) -> None:
        grid = Table.grid(padding=(0, 2, 0, 0))
        for name, value in facts(self._look, self.row):
            grid.add_row(Text(name, "dim"), Text(value))
        self.query_one("#facts", Static).update(grid)
        self.query_one("#waiting", Sparkline).data = list(self._waiting)
        self.query_one("#rates", Sparkline).data = list(self._rates)
        told = incidents(self._look, self.row)[:INCIDENTS]
        self.query_one("#incidents", Static).update(Text("\n".join(told) or "nothing that was kept"))
