"""Agents that need one large context, and the program that runs them for `bench_memory`.

Actors, and a program of its own: `python -m tools.bench.readers WAY CONTEXT AGENTS WORKERS STATE_BYTES LOAD` starts a
node and says its directory; on a line it brings in the context (an Arrow file) and the agents and says `loaded`, its
mailboxes under load if LOAD is 1; on another line it says how many questions were answered, and ends. WAY is `shared`
(a pool), `worker` (a copy in each worker, shared there), or `unshared` (a copy in each agent).
"""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from typing import Any

import actorlab as al

BATCH_ROWS = 1 << 20
LOOK_UPS = 50
PAGE = 4096


def write_context(file: str, megabytes: int) -> None:
    """Write a context of so many MB (10^6 bytes) to an Arrow file: two columns of 64-bit numbers."""
    import numpy as np
    import pyarrow as pa

    rows = megabytes * 1_000_000 // 16
    schema = pa.schema({"key": pa.int64(), "value": pa.int64()})
    with pa.ipc.new_file(file, schema) as writer:
        for start in range(0, rows, BATCH_ROWS):
            numbers = np.arange(start, min(rows, start + BATCH_ROWS))
            writer.write_batch(pa.record_batch([numbers, numbers * 2654435761 % 2**32], schema))


def read_context(file: str) -> Any:
    """Return the context as a table in this process's own memory."""
    import pyarrow as pa

    with pa.OSFile(file) as source, pa.ipc.open_file(source) as reader:
        return reader.read_all()


class Loader(al.Actor):
    """Brings the context into the pool, batch by batch, and keeps nothing."""

    def put(self, file: str) -> al.Handle:
        import pyarrow as pa

        with pa.memory_map(file) as source, pa.ipc.open_file(source) as reader:
            batches = (reader.get_batch(n) for n in range(reader.num_record_batches))
            return self.node.pool("context", max_bytes=1 << 30).put("context", batches)  # type: ignore[no-any-return]


class Reader(al.Actor):
    """Holds a context and a state of its own, and looks things up."""

    def __init__(self, way: str, context: Any, state_bytes: int) -> None:
        self.context = context
        if way == "shared":
            self.table = context.get()
        elif way == "worker":
            self.table = context.get(60.0)
        else:
            self.table = read_context(context)
        self.state = bytearray(b"s") * state_bytes
        self.seen = self.sum = 0
        self.read_all()

    def read_all(self) -> None:
        """Touch every page of the context."""
        for column in self.table.columns:
            for chunk in column.chunks:
                self.sum += sum(memoryview(chunk.buffers()[1])[::PAGE])

    def on_receive(self, question: tuple[int, bytes]) -> None:
        keys = self.table["key"]
        for row in range(question[0], question[0] + LOOK_UPS):
            self.sum += keys[row % len(keys)].as_py()
        self.seen += 1

    def answered(self) -> int:
        return self.seen


def load(agents: list[Any], stop: threading.Event) -> None:
    """Keep the agents' mailboxes full until told to stop."""
    n = 0
    while not stop.is_set():
        for agent in agents:
            agent.tell((n, b"x" * 200))
            n += 1


def say(word: object) -> None:
    print(word, flush=True)


def main(way: str, file: str, number: int, workers: int, state_bytes: int, loaded: bool) -> None:
    """Run it; see the module."""
    mailbox = al.Mailbox(capacity=256, overflow="drop_old")
    options = al.NodeOptions(mailbox=mailbox, preload=("numpy", "pyarrow"))  # a worker a core, unless told
    with al.Node(replace(options, workers=workers) if workers else options) as node:
        node.wait_idle()
        say(node.directory)
        sys.stdin.readline()
        context: Any = file
        if way == "shared":
            context = node.spawn(Loader).within(120.0).call.put(file)
        elif way == "worker":
            context = al.lazy(read_context, file)
        agents = node.spawn_many(Reader, number, way, context, state_bytes, init_timeout_s=120.0)
        node.wait_idle()
        stop = threading.Event()
        sender = threading.Thread(target=load, args=(agents, stop))
        if loaded:
            sender.start()
        say("loaded")
        sys.stdin.readline()
        stop.set()
        if loaded:
            sender.join()
        say(sum(agent.within(120.0).call.answered() for agent in agents))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), sys.argv[6] == "1")
