"""The stores that need no crash points, each with the reason; those whose reason does not stand beside them.

Pure (data); used by check_stores.py, which says what a store is. An entry names the function and what it stores to, as
the source writes it; it goes when the store does.
"""

from __future__ import annotations

EXCUSED: dict[str, dict[tuple[str, str], str]] = {
    "actor/lazy_value.py": {
        ("Lazy._slot", "_here.slots[key]"): "a dictionary of this process",
    },
    "actor/snapshot_store.py": {
        ("_make_folder", "each.mkdir"): "an empty directory, which the next one uses",
        ("NodeStore.save", "self._folder.mkdir"): "an empty directory, which the next one uses",
        ("NodeStore.drop", "(self._folder / key).unlink"):
            "whole or not at all; a snapshot that stays is read, or dropped, by the next start",
        ("ArrowStore.drop", "self._file(key).unlink"):
            "whole or not at all; a snapshot that stays is read, or dropped, by the next start",
    },
    "actor/special.py": {
        ("Special.settled", "self.idle.touch"): "a clock in this process, and no file's",
    },
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
    "node/books.py": {
        ("Books.open_slot", "self.table.allocate"):
            "the table's own method of that name, whose stores have crash points",
    },
    "node/code_pages.py": {
        ("give_back_code", "madvise"): "gives back clean pages of this process's own code; nothing is stored",
    },
    "node/controller.py": {
        ("Controller._open_shared", "names.mkdir"): "while a node starts: with its controller it ends, and is swept",
    },
    "node/directory.py": {
        ("locked_base", "base.mkdir"): "an empty directory, which the next node uses",
        ("locked_base", "os.rmdir"): "an empty directory, which is nobody's",
        ("remove_if_dead", "shutil.rmtree"):
            "removes all there is of a dead node, in no order; the next sweep removes the rest",
        ("NodeDirectory.create", "path.mkdir"):
            "until its file says whose it is, a sweep takes it for nobody's; the lock keeps sweeps out",
        ("NodeDirectory.create", "(path / WORKERS).mkdir"): "as the directory around it, which is not anybody's yet",
        ("NodeDirectory.create", "shutil.rmtree"):
            "of a directory that is not anybody's yet; the next sweep removes the rest",
        ("NodeDirectory.remove", "shutil.rmtree"): "removes all there is, in no order; the next sweep removes the rest",
        ("forget_worker", "(path / WORKERS / f'{slot}.json').unlink"):
            "of a worker that is dead, as whoever reads it sees at its pid",
    },
    "node/facade.py": {
        ("NodeFacade.pool", "pools.mkdir"): "an empty directory, which the next one uses",
    },
    "node/forked.py": {
        ("_leave", "os.write"): "to its own standard error",
    },
    "node/forkserver.py": {
        ("ForkServer.stop", "self._path.unlink"): "a socket that nobody listens at; the node's sweep removes it",
    },
    "node/handover.py": {
        ("write_handover", "allocate"): "pages of a draft, which nobody looks at",
        ("write_handover", "os.unlink"): "a draft, which nobody looks at",
        ("write_handover", "os.write"): "into the draft, between two crash points: the second stands behind the loop",
    },
    "node/help.py": {
        ("Help.wait", "self._sleeps[self._row]"): "of the controller's process, whose death ends the node",
    },
    "node/hosting.py": {
        ("Hosting._add", "controller.slots[number]"): "a list of this process",
        ("Hosting.did_not_join", "bell_path(controller.directory.path, slot.number).unlink"):
            "the controller's doing: with it the node ends, and is swept",
    },
    "node/identity.py": {
        ("write_whole", "os.replace"):
            "the old file or the new one, each whole: which, makes no difference to its readers",
    },
    "node/recycling.py": {
        ("Recycler.has_left", "path.unlink"): "the controller's doing: with it the node ends, and is swept",
    },
    "node/roots.py": {
        ("write_root", "temporary.write_text"): "a draft, which nobody looks at",
        ("write_root", "temporary.rename"):
            "the old file or the new one, each whole; the controller's doing, with whom the node ends",
        ("forget_root", "(directory / f'root.{address:x}').unlink"):
            "of a tree that is gone, as its supervisor's slot says",
    },
    "node/wishes.py": {
        ("wish", "answer.unlink"): "an answer that nobody waits for any more; the node's sweep removes it",
        ("wish", "asked.unlink"): "whoever unlinks it, decides: who asked and died before it, is answered for nothing",
        ("Wishes.look", "path.unlink"): "whoever unlinks it, decides; the controller's doing, with whom the node ends",
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
    "transport/tally.py": {
        ("Tally._row", "self._segment.allocate"): "pages that read as zeros before and after",
    },
}
