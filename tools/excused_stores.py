"""The stores that need no crash points, each with the reason, and the modules whose stores do not have theirs yet.

Pure (data); used by check_stores.py, which says what a store is. An entry names the function and what it stores to, as
the source writes it; it goes when the store does.
"""

from __future__ import annotations

EXCUSED: dict[str, dict[tuple[str, str], str]] = {
    "memory/census.py": {
        ("read_workers", "slots[int(record['pid'])]"): "a dictionary of its own",
    },
    "memory/cold.py": {
        ("Cold.freeze", "os.utime"): "a note that it does not compress: killed before it, that is tried once more",
        ("Cold._compress", "os.write"): "into a temporary file, which is looked at by nobody until it is renamed",
        ("_write", "os.write"): "into a temporary file, which is looked at by nobody until it is renamed",
    },
    "memory/holders.py": {
        ("forget_dead", "os.unlink"): "what the dead noted, which nobody believes; the next look removes it",
    },
    "memory/janitor.py": {
        ("Janitor._note_taken", "os.utime"): "when it was last held: killed before it, the next look says so",
    },
    "memory/keeper.py": {
        ("Keeper.__init__", "unlink"): "of a keeper that failed; without it nobody is served, as before there was one",
    },
    "memory/placing.py": {
        ("remove_pool", "shutil.rmtree"): "removes all there is, in no order; the node's sweep removes the rest",
    },
    "memory/pool.py": {
        ("ContextPool._made_good", "os.mkdir"): "an empty directory, which whoever comes next uses",
    },
    "memory/room.py": {
        ("Room.allocate", "allocate"): "a function of the caller's, who has the crash points",
    },
    "memory/segment.py": {
        ("Segment.resize_file", "os.ftruncate"): "nothing but the store: its callers are looked at",
        ("_allocate", "allocate"): "nothing but the store: its callers are looked at",
        ("unlink", "os.unlink"): "nothing but the store: its callers are looked at",
    },
    "memory/space.py": {
        ("allocate", "fill_holes"): "nothing but the store: its callers are looked at",
        ("allocate", "os.posix_fallocate"): "nothing but the store: its callers are looked at",
        ("fill_holes", "os.pwrite"): "zeros where zeros are read already: whoever allocates again goes on",
        ("fill_holes", "os.ftruncate"): "zeros where nothing is read yet: whoever allocates again goes on",
    },
    "memory/stream_lock.py": {
        ("lock_stream", "os.mkdir"): "an empty directory, which the next writer uses",
    },
    "memory/stream_part.py": {
        ("Part.open", "segment.resize_file"): "repairs what a killed writer cut short, as the next one would",
    },
    "memory/stream_writer.py": {
        ("StreamWriter._take_up", "unlink"): "a killed writer's temporary file; the next one removes it",
        ("StreamWriter._allocate_to.allocate", "part.segment.allocate"): "pages behind the end; the next one cuts them",
    },
    "memory/subscribers.py": {
        ("Subscribers.add", "unlink"): "a name that nobody looks at, of a subscription that failed",
    },
    "memory/writing.py": {
        ("Writer._fill", "allocate"): "pages of a temporary file, which goes with the lock of whoever writes it",
    },
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
    "transport/doorbell.py": {
        ("create_doorbell", "os.mkfifo"): "whole at once, and in a directory whose slot nobody has been told of yet",
    },
    "transport/lane_layout.py": {
        ("LaneLayout.header", "POSITION.pack_into"): "into a bytearray of its own; `create_lane` stores it",
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
})  # fmt: skip
"""Modules in which some store has no crash point and no reason yet. It only becomes shorter, and then goes."""
