"""Statement: the account of a node's memory as people read it, in 80 columns; what `actorlab mem` prints.

Pure but for the console it prints on; used by cli. What the figures mean is said once, in docs/memory.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from .console import Column, Console, show_bytes, show_time
from .observe import ClassAccount, ProcessAccount, Snapshot, name_of, to_plain

NAME_WIDTH = 27
SHOWN_CLASSES = 20


def print_statement(seen: Snapshot, console: Console) -> None:
    """Print a node's account: the sum and its parts, then processes, classes and pools."""
    if console.json:
        console.result("account", to_plain(seen))
        return
    console.result("node", {}, f"node {seen.name} (pid {seen.pid}): {seen.state}, up {show_time(seen.uptime_s)}")
    console.result("totals", {}, sum_of_parts(seen))
    console.result("", {}, "")
    console.table("process", process_columns(seen.processes), seen.processes)
    if seen.classes:
        console.result("", {}, "")
        console.table("class", CLASS_COLUMNS, seen.classes[:SHOWN_CLASSES])
        if len(seen.classes) > SHOWN_CLASSES:
            console.note(f"{len(seen.classes) - SHOWN_CLASSES} more classes; --json shows all")
    if seen.pools:
        console.result("", {}, "")
        console.table("pool", POOL_COLUMNS, seen.pools)


def sum_of_parts(seen: Snapshot) -> str:
    """Return the sentences that say what the node takes in all, and of what that is the sum."""
    totals = seen.totals
    agents = f"{totals.actors:,} actor{'' if totals.actors == 1 else 's'} in {totals.processes} processes"
    if totals.private_bytes is None:
        return f"{agents}; memory cannot be read of all of them"
    if totals.bytes is None or totals.shared_once_bytes is None:
        return (
            f"{agents}; how much in all is not known: this system tells no PSS\n"
            f"  {show_bytes(totals.private_bytes)} private (USS), as the processes say of themselves\n"
            f"  {show_bytes(totals.files_bytes)} in the node's files, mapped or not; the libraries' are in neither"
        )
    text = f"{show_bytes(totals.bytes)} in all: {agents}\n"
    text += f"  {show_bytes(totals.private_bytes)} private + {show_bytes(totals.shared_once_bytes)} shared, once"
    text += f" + {show_bytes(totals.unmapped_bytes or 0)} untouched"
    if seen.sharing is not None and seen.sharing.mapped_bytes:
        text += f"\n  sharing saves {show_bytes(seen.sharing.saved_bytes)}: {seen.sharing.mappers} processes map "
        text += f"{show_bytes(seen.sharing.mapped_bytes)} of pools that take {show_bytes(seen.sharing.once_bytes)}"
    return text


def process_columns(rows: Sequence[ProcessAccount]) -> tuple[Column, ...]:
    """Return the columns of the table of processes: 78 characters with the largest numbers there are."""

    def called(row: ProcessAccount) -> str:
        name = f"worker {row.worker}" if row.worker else name_of(row, rows)
        return f"{name} {row.state}" if row.state in ("stopped", "hung", "gone", "zombie") else name

    return (
        Column("process", called, level=lambda row: "error" if " " in called(row).removeprefix("worker ") else "info"),
        Column("pid", lambda row: str(row.pid), right=True),
        Column("actors", lambda row: f"{row.actors:,}", right=True),
        Column("private", lambda row: show_bytes(row.memory.uss_bytes) if row.memory else "?", right=True),
        Column("PSS", lambda row: show_known(row.memory.pss_bytes if row.memory else None), right=True),
        Column("pools", lambda row: show_known(row.pool_mapped_bytes), right=True),
        Column("mail", lambda row: show_bytes(row.mailbox_bytes), right=True),
        Column("gc p99", lambda row: show_pause(row.gc.p99_s) if row.gc else "-", right=True),
    )


def show_known(size_bytes: int | None) -> str:
    """Return a size, or that nobody can say it.

    >>> show_known(4096), show_known(None)
    ('4.1 kB', '?')
    """
    return "?" if size_bytes is None else show_bytes(size_bytes)


def show_pause(seconds: float) -> str:
    """Return a pause in at most 6 characters.

    >>> show_pause(0), show_pause(0.00034), show_pause(0.0125), show_pause(1.5)
    ('-', '0.3 ms', '12 ms', '1.5 s')
    """
    if not seconds:
        return "-"
    if seconds < 0.001:
        return f"{seconds * 1e3:.1f} ms"
    return f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def show_class(path: str) -> str:
    """Return a class's name in NAME_WIDTH characters, its module cut first.

    >>> show_class("app.agents:Searcher"), show_class("a.very.long.module.path.of.mine:Searcher")
    ('app.agents:Searcher', '…dule.path.of.mine:Searcher')
    """
    return path if len(path) <= NAME_WIDTH else "…" + path[1 - NAME_WIDTH :]


def show_cost(row: ClassAccount) -> str:
    """Return what one more actor costs: `~` before a figure that is not to be built on, `-` where there is none."""
    if row.marginal is None:
        return "-"
    return ("" if row.marginal.trusted else "~") + show_bytes(round(row.marginal.bytes))


CLASS_COLUMNS = (
    Column("class", lambda row: show_class(row.cls)),
    Column("actors", lambda row: f"{row.actors:,}", right=True),
    Column("one more", show_cost, right=True),
    Column("average", lambda row: show_bytes(round(row.average_bytes)) if row.average_bytes else "-", right=True),
    Column("waiting", lambda row: f"{row.depth:,}", right=True),
    Column("mail", lambda row: show_bytes(row.mailbox_bytes), right=True),
)
POOL_COLUMNS = (
    Column("pool", lambda row: row.name if len(row.name) <= NAME_WIDTH else row.name[: NAME_WIDTH - 1] + "…"),
    Column("live", lambda row: show_bytes(row.live_bytes), right=True),
    Column("retired", lambda row: show_bytes(row.retired_bytes), right=True),
    Column("held", lambda row: show_bytes(row.held_bytes), right=True),
    Column("cold", lambda row: show_bytes(row.cold_bytes), right=True),
    Column("holders", lambda row: str(len({lease.pid for lease in row.leases})), right=True),
)
