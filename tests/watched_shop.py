"""A node for those who look: a supervisor, two clerks in two workers, and a team of three. For tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from command_line import Command, make_desk

SHOP = """
[node]
name = "shop"
workers = 2
[supervisor]
name = "all"
strategy = "rest_for_one"
max_restarts = 100
[[supervisor.children]]
name = "first"
start = "desk:Clerk"
placement = 1
[[supervisor.children]]
name = "second"
start = "desk:Clerk"
placement = 2
[[supervisor.children]]
name = "team"
type = "partition"
start = "desk:Clerk"
partitions = 3
"""


@contextmanager
def running_shop(folder: Path, shop: str = SHOP) -> Iterator[Command]:
    """Run the shop, or another one, in another process until the block is left."""
    make_desk(folder, shop)
    with Command("run", "app.toml", folder=folder) as command:
        command.wait_for("Ctrl-C stops it")
        yield command
        if command.process.poll() is None:
            command.interrupt()
            command.end()
