"""The stores that need no crash points, each with the reason, and the modules whose stores do not have theirs yet.

Pure (data); used by check_stores.py, which says what a store is. An entry names the function and what it stores to, as
the source writes it; it goes when the store does.
"""

from __future__ import annotations

EXCUSED: dict[str, dict[tuple[str, str], str]] = {
    "node/code_pages.py": {
        ("give_back_code", "madvise"): "gives back clean pages of this process's own code; nothing is stored",
    },
    "registry/backends/__init__.py": {
        ("create_backend", "Path(directory, _KIND_FILE).write_text"): "while a node starts: nobody was told of it yet",
    },
    "registry/backends/shared.py": {
        ("SharedBackend.create", "path.mkdir"): "an empty directory, which whoever creates the registry again uses",
    },
    "registry/backends/shared_partition.py": {
        ("Partition._make_room", "table.segment.allocate"): "pages that read as zeros before and after",
        ("_copy_living", "target[place:place + size]"): "in a table that is not published, between two crash points",
        ("_copy_living", "slots[slot]"): "in a table that is not published, between two crash points",
        ("_copy_living", "new.words[VERSIONS]"): "in a table that is not published, between two crash points",
        ("_copy_living", "new.words[TAIL]"): "in a table that is not published, between two crash points",
        ("_copy_living", "new.words[LIVE]"): "in a table that is not published, between two crash points",
    },
    "registry/membership_log.py": {
        ("MembershipLog._write", "self._segment.allocate"): "pages that read as zeros before and after",
    },
    "transport/class_names.py": {
        ("ClassNames.class_id", "self._segment.allocate"): "pages that read as zeros before and after",
    },
    "transport/crashpoints.py": {
        ("die_at", "os.write"): "the killer's own log: it is at a crash point already",
    },
    "transport/lane_layout.py": {
        ("LaneLayout.header", "POSITION.pack_into"): "into a bytearray of its own; `create_lane` stores it",
    },
    "transport/doorbell.py": {
        ("create_doorbell", "os.mkfifo"): "whole at once, and in a directory whose slot nobody has been told of yet",
    },
    "transport/node_table.py": {
        ("NodeTable._grow", "self._segment.allocate"): "pages that read as zeros before and after",
        ("NodeTable.allocate_many", "allocate"): "the table's own method of that name, whose stores have crash points",
    },
}

NOT_YET = frozenset({
    "actor/endings.py",
    "actor/handling.py",
    "actor/lazy_value.py",
    "actor/reentry.py",
    "actor/scheduler.py",
    "actor/snapshot_store.py",
    "actor/special.py",
    "actor/stash.py",
    "node/books.py",
    "node/control.py",
    "node/controller.py",
    "node/directory.py",
    "node/draining.py",
    "node/facade.py",
    "node/forked.py",
    "node/forkserver.py",
    "node/handover.py",
    "node/help.py",
    "node/hosting.py",
    "node/identity.py",
    "node/recycling.py",
    "node/roots.py",
    "node/station.py",
    "node/takeover.py",
    "node/watchdog.py",
    "node/wishes.py",
    "transport/board.py",
    "transport/tally.py",
    "transport/vitals.py",
    "memory/adoption.py",
    "memory/catalogue.py",
    "memory/census.py",
    "memory/cold.py",
    "memory/holders.py",
    "memory/janitor.py",
    "memory/keeper.py",
    "memory/lease.py",
    "memory/placing.py",
    "memory/pool.py",
    "memory/room.py",
    "memory/segment.py",
    "memory/space.py",
    "memory/stream_lock.py",
    "memory/stream_part.py",
    "memory/stream_writer.py",
    "memory/subscribers.py",
    "memory/writing.py",
})  # fmt: skip
"""Modules in which some store has no crash point and no reason yet. It only becomes shorter, and then goes."""
