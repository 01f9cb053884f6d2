"""Plain: one look at a node, printed: for pipes, logs and programs, and where Textual is not installed.

Edge (a console's streams); used by the command line.
"""

from __future__ import annotations

from ..console import Column, Console
from ..observe import Snapshot
from .rows import By, Row, Sort, rows
from .sheet import FIELDS, Field, heading


def show_once(look: Snapshot, console: Console, *, by: By, sort: Sort, limit: int | None = None) -> None:
    """Print the heading and at most `limit` lines of the tree; in JSON objects of type `node` and `line`."""
    lines = rows(look, by=by, sort=sort)
    console.result("node", {"name": look.name, "pid": look.pid, "state": look.state}, "\n".join(heading(look)))
    console.table("line", [Column(by, lambda row: row.name), *map(_column, FIELDS)], lines[:limit], tree=True)
    if limit is not None and len(lines) > limit and not console.json:
        console.note(f"{len(lines) - limit:,} more; raise --limit to see them")


def _column(field: Field) -> Column:
    def cell(row: Row) -> str:
        return field.cell(row).strip()

    return Column(field.title, cell, field.right)
