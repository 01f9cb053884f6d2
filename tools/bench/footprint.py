"""Footprint: what a program and all that it started cost in memory, looked at from outside.

Edge (processes, /proc). `program` runs one of ours in a fresh interpreter and talks to it by lines; `counted_bytes`
adds up PSS, in which what processes share counts once, and what of the node's directory is mapped by nobody.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil


class Program:
    """A program under way, and how it is spoken to: it says a line and waits for one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.directory = ""

    def hears(self) -> str:
        """Return the next line it says. Raises RuntimeError when it ended instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the program ended with {self._process.wait()}")
        return line.strip()

    def goes_on(self) -> None:
        """Let it go on."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def counted_bytes(self) -> int:
        """Return the PSS of all its processes, and the bytes of its node's directory that none of them has mapped."""
        pss = shared = 0
        root = psutil.Process(self._process.pid)
        for process in (root, *root.children(recursive=True)):
            for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text("ascii").splitlines():
                if line.startswith("Pss:"):
                    pss += int(line.split()[1]) * 1024
                elif line.startswith("Pss_Shmem:"):
                    shared += int(line.split()[1]) * 1024
        return pss + max(0, in_directory(self.directory) - shared)

    def peak_bytes(self, seconds: float, step_s: float = 0.2) -> int:
        """Return the most it costs within so many seconds."""
        end, peak = time.monotonic() + seconds, 0
        while True:
            peak = max(peak, self.counted_bytes())
            if time.monotonic() >= end:
                return peak
            time.sleep(step_s)


def in_directory(directory: str) -> int:
    """Return what the file system charges for a directory and all in it, in bytes."""
    found: dict[int, int] = {}  # by inode: a version of a dataset is another name for its segment
    for folder, _, files in os.walk(directory):
        for name in files:
            try:
                status = os.lstat(os.path.join(folder, name))
            except FileNotFoundError:
                continue
            found[status.st_ino] = status.st_blocks * 512
    return sum(found.values())


@cache
def compiled() -> str:
    """Return a folder of compiled modules, as an installed package has: compiling takes memory and keeps it."""
    folder, top = tempfile.mkdtemp(prefix="actorlab-bench-"), Path(__file__).parents[2]
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    environment = os.environ | {"PYTHONPYCACHEPREFIX": folder}
    command = [sys.executable, "-m", "compileall", "-q", str(top / "actorlab"), str(top / "tools")]
    subprocess.run(command, env=environment, check=True)
    return folder


@contextmanager
def program(module: str, *arguments: object) -> Iterator[Program]:
    """Run `python -m module arguments…`; the first line that it says is its node's directory."""
    top = str(Path(__file__).parents[2])
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPATH": top, "PYTHONPYCACHEPREFIX": compiled()}
    process = subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=top,
    )  # fmt: skip
    with process:
        try:
            one = Program(process)
            one.directory = one.hears()
            yield one
            process.communicate("")
        finally:
            process.terminate()
