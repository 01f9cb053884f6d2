"""What the pool's tests share: a process that does with a pool what it is told, line by line, and lives or dies so."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from actorlab.memory import ContextPool, Handle

MIB = 1 << 20

_LOOP = """
import os, pickle, sys, pyarrow as pa, numpy as np
from actorlab.memory import ContextPool, Handle
directory, name = os.path.split(sys.argv[1])
kept = {}
print("ready", flush=True)
for line in sys.stdin:
    exec(bytes.fromhex(line).decode())
    print("done", flush=True)
"""


def table(n: int = 1000, first: int = 0) -> pa.Table:
    return pa.table({"n": np.arange(first, first + n), "s": [f"row {i}" for i in range(first, first + n)]})


def charged(size_bytes: int) -> int:
    """What the file system charges for so many bytes."""
    return -(-size_bytes // 4096) * 4096


def temporaries(pool: ContextPool) -> list[str]:
    return [name for name in os.listdir(os.path.join(pool.path, "data", "segments")) if name.startswith(".")]


class Helper:
    """A process beside this one, with `pool` open."""

    def __init__(self, pool: ContextPool) -> None:
        command = [sys.executable, "-c", _LOOP, pool.path]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self._hear("ready")

    def _hear(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == word

    def do(self, source: str) -> None:
        """Run `source` there and wait until it is done."""
        assert self.process.stdin is not None
        self.process.stdin.write(source.encode().hex() + "\n")
        self.process.stdin.flush()
        self._hear("done")

    def take(self, handle: Handle, key: str = "a") -> None:
        self.do(f"kept[{key!r}] = pickle.loads(bytes.fromhex('{pickle.dumps(handle).hex()}')).get()")

    def let_go(self, key: str = "a") -> None:
        self.do(f"del kept[{key!r}]")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def helper(pool: ContextPool) -> Iterator[Helper]:
    """A process beside this one, gone at the end."""
    one = Helper(pool)
    try:
        yield one
    finally:
        one.close()


def in_child(source: str, *args: Any) -> subprocess.CompletedProcess[bytes]:
    """Run `source` in a process of its own, to its end."""
    prelude = "import os, pickle, signal, sys, pyarrow as pa\nfrom actorlab.memory import ContextPool\n"
    command = [sys.executable, "-c", prelude + source, *map(str, args)]
    return subprocess.run(command, capture_output=True, timeout=60)
