"""A whole node goes through its life, and says how each step went; run as a program, with capabilities taken away.

    python portable_drill.py [stop]

Prints one line of JSON a step. Without `stop` it ends with "ready" and waits to be killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time

import actorlab as al
from actorlab.memory import has, missing, own_private_bytes

PATIENCE_S = 30.0


class Counter(al.Actor):
    def __init__(self):
        self.n = 0
        self.seen = []

    def add(self, k):
        self.n += k
        return self.n

    def on_receive(self, message):
        self.seen.append(message)

    def state(self):
        return self.n, self.seen

    def where(self):
        return os.getpid(), missing()

    def ask(self, other, k):
        return other.call.add(k)

    def private_bytes(self):
        return own_private_bytes()


class Reader(al.Actor):
    def __init__(self, pool):
        self.pool = pool
        self.followed = 0

    def size(self, handle):
        return len(handle.get())

    def put(self, size):
        return self.pool.put("back", bytes(size))

    def length(self, data):
        return len(data)

    def listen(self, stream):
        stream.subscribe(self.ref, from_="start")

    def on_receive(self, message):
        self.followed += sum(batch.num_rows for batch in message)

    def rows(self):
        return self.followed


class Stuck(al.Actor):
    def hold_the_gil(self, path):
        open(path, "w").close()
        ctypes.PyDLL(None).sleep(10_000)


def until(condition):
    """Return what `condition` returns as soon as it is something; a call that meets a worker's death is asked again."""
    end = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(al.ActorDied):
            if found := condition():
                return found
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.002)


def step(name, **facts):
    print(json.dumps({"step": name, **facts}), flush=True)


def talk(node):
    """Calls and tells, within a worker, between workers and from here."""
    here, there = node.whereis("first"), node.whereis("second")
    assert here.call.add(1) == 1 and there.call.ask(here, 2) == 3
    here.tell("seen")
    assert here.call.state() == (3, ["seen"])
    found = [ref.call.where() for ref in (here, there)]
    assert len({pid for pid, _ in found} | {os.getpid()}) == 3
    assert {tuple(lacks) for _, lacks in found} == {missing()}
    step("talk", missing=missing())


def share(node):
    """Pools and large messages between workers, a quota that does not suffice; a stream, if waiting for one differs."""
    pool = node.pool("shelf", max_bytes=4 << 20)
    one, two = (node.spawn(Reader, pool, placement=n) for n in (1, 2))
    handle = two.call.put(100_000)
    assert (one.call.size(handle), len(handle.get())) == (100_000, 100_000)
    assert one.call.size(pool.put("d", b"x" * 300_000)) == 300_000
    try:
        pool.put("more", os.urandom(5 << 20))
    except al.PoolFull as error:
        refused = str(error)
    assert pool.bytes_shared() < 1 << 20
    assert two.call.length(os.urandom(1 << 20)) == 1 << 20
    if not has("futex"):
        with pool.append_stream("events") as stream:
            one.call.listen(pool.stream("events"))
            for n in range(3):
                stream.append({"n": [n, n]})
            until(lambda: one.call.rows() == 6)
    for reader in (one, two):
        reader.stop()
    step("share", refused=refused)


def crash(node):
    """A worker is killed: what is supervised comes back in another process, and everybody calls it as before."""
    ref, other = node.whereis("first"), node.whereis("second")
    before = ref.call.where()[0]
    os.kill(before, signal.SIGKILL)
    after = until(lambda: (pid := ref.call.where()[0]) != before and pid)
    assert ref.call.add(5) == 5 and other.call.ask(ref, 1) == 6
    node.wait_idle(timeout=PATIENCE_S)
    step("crash", before=before, after=after, incarnation=ref.incarnation)


def drain(node):
    """A worker is drained and comes back, and its actors with their state."""
    ref = node.whereis("first")
    was, state = ref.call.where()[0], ref.call.state()
    node.drain_worker(1)
    drained = ref.call.where()[0]
    assert drained != was and ref.call.state() == state
    assert node.add_worker() == 1
    assert ref.call.where()[0] not in (was, drained) and ref.call.state() == state
    step("drain")


def account(node):
    """An account from outside, once everybody has said what he takes."""
    look = until(lambda: (seen := al.snapshot(node.directory)).totals.private_bytes and seen)
    step(
        "account",
        private_bytes=look.totals.private_bytes,
        bytes=look.totals.bytes,
        shared_once_bytes=look.totals.shared_once_bytes,
        files_bytes=look.totals.files_bytes,
        saved=look.sharing and look.sharing.saved_bytes,
        roles=[one.role for one in look.processes],
        uss={one.role: one.memory.uss_bytes for one in look.processes},
        pss={one.role: one.memory.pss_bytes for one in look.processes},
        states=[one.state for one in look.processes],
        own=node.whereis("second").call.private_bytes(),
    )


def main():
    tree = al.Supervisor(
        strategy="one_for_one",
        children=[al.child(Counter, name=name, placement=n) for n, name in ((1, "first"), (2, "second"))],
    )
    patience = {"start_timeout_s": PATIENCE_S, "stop_timeout_s": PATIENCE_S, "hang_timeout_s": 10 * PATIENCE_S}
    with al.Node(workers=2, tree=tree, **patience) as node:
        talk(node)
        share(node)
        crash(node)
        drain(node)
        account(node)
        if "stop" not in sys.argv:
            mark = os.path.join(node.directory, "stuck")
            stuck = node.spawn(Stuck, placement=2)
            if "stuck" in sys.argv:
                stuck.cast.hold_the_gil(mark)
                until(lambda: os.path.exists(mark))
            step("ready", directory=str(node.directory))
            sys.stdin.read()
        directory = str(node.directory)
    step("stopped", directory=directory)


if __name__ == "__main__":
    main()
