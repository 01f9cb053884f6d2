"""Serves a node that never was: hostile names, and more of everything than a page can draw. A script, for tests."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace

from actorlab.dashboard import Door, serve
from actorlab.memory import DatasetUsage, LeaseRow, PoolUsage
from actorlab.observe import DeadLetterRow, RestartRow, Snapshot, snapshot
from actorlab.telemetry import TreeRow

EVIL = "<img src=x onerror=document.title=`owned`><script>document.title='owned'</script>\"'&amp;"


def hostile(look: Snapshot) -> Snapshot:
    lease = LeaseRow(EVIL, 3, 17, worker=1, actors=(EVIL,), stopped=True)
    pool = PoolUsage(EVIL, "shm", 10**9, 10**8, 0, 0, 10**8, 0, (DatasetUsage(EVIL, 3, 2, 10**8, 0, 0),), (lease,))
    return replace(
        look,
        name=EVIL,
        tree=tuple(replace(row, name=EVIL, kind=EVIL) for row in look.tree),
        actors=tuple(replace(actor, name=EVIL, cls=EVIL) for actor in look.actors),
        classes=tuple(replace(one, cls=f"{EVIL}{number}") for number, one in enumerate(look.classes)),
        pools=(pool,),
        restarts=(RestartRow(look.at, "worker_died", EVIL, 1), RestartRow(look.at, "actor_restarted", EVIL, 1, EVIL)),
        dead_letters=(DeadLetterRow(look.at, 1, EVIL, "1.1.1", EVIL, EVIL),),
        dead_letter_counts={EVIL: 7},
        totals=replace(look.totals, dead_lettered=7),
    )


def huge(look: Snapshot) -> Snapshot:
    def rows() -> Iterator[TreeRow]:
        yield replace(look.tree[0], name="root")
        for number in range(100_000):
            yield TreeRow(1, f"child {number}", "Clerk", "permanent", "running", 0, f"1.{number}.1")

    actors = tuple(replace(look.actors[0], address=f"1.{n}.1", name=f"child {n}", depth=n) for n in range(1000))
    return replace(look, tree=tuple(rows()), actors=actors, totals=replace(look.totals, actors=100_001))


class Looker:
    def __init__(self, look: Snapshot) -> None:
        self.seen = look

    def look(self) -> Snapshot:
        self.seen = replace(self.seen, observer=replace(self.seen.observer, looks=self.seen.observer.looks + 1))
        return self.seen


if __name__ == "__main__":
    made = Looker({"hostile": hostile, "huge": huge}[sys.argv[1]](snapshot("shop")))
    serve(lambda: made, Door(), lambda address: print(json.dumps({"address": address}), flush=True))
