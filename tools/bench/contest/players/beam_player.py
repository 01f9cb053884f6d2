"""BEAM, from the distribution's packages: two virtual machines that talk over loopback, and processes within one.

What is timed is written in `beam.erl`; this starts and ends the machines, and looks at their memory. There is no epmd:
both nodes listen on one port, each on a loopback address of its own. A machine ends when its standard input does.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

import playing

SOURCE = Path(__file__).with_name("beam.erl")
SAVINA = ("pingpong", "counting", "threadring", "forkjoin_create", "forkjoin_throughput")


class Machine:
    """One virtual machine, which answers a line of words with a line of numbers."""

    def __init__(self, folder: str, port: int, number: int, role: str) -> None:
        self.name = f"actorlab_{role}@127.0.0.{number}"
        address = f"{{127,0,0,{number}}}"
        command = ["erl", "-noshell", "-pa", folder, "-name", self.name, "-start_epmd", "false"]
        command += ["-erl_epmd_port", str(port), "-kernel", "inet_dist_use_interface", address, "logger_level", "none"]
        self._process = subprocess.Popen(
            [*command, "+P", "1000000", "-run", "beam", role],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder, env=os.environ | {"HOME": folder},
        )  # fmt: skip
        self.pid = self._process.pid

    def hears(self) -> list[int]:
        """Return the next line it says. Raises RuntimeError when it ended instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self._process.wait()}")
        return [int(word) for word in line.split()]

    def does(self, *words: object) -> list[int]:
        """Let it do a work, and return its figures."""
        assert self._process.stdin is not None
        print(*words, file=self._process.stdin, flush=True)
        return self.hears()

    def end(self, *, kill: bool = False) -> None:
        """End it and wait until it has."""
        if kill:
            self._process.send_signal(signal.SIGKILL)
        self._process.communicate("")


class Pair:
    """Two machines that know each other; `drives` does the works, with `serves` where they need two."""

    def __init__(self, folder: str) -> None:
        cookie = Path(folder) / ".erlang.cookie"  # of the machines' home, and nobody else may read it
        cookie.touch(0o600)
        cookie.write_text(secrets.token_hex(16), "ascii")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._where = folder, free.getsockname()[1]
        self.drives, self.serves = Machine(*self._where, 1, "drive"), Machine(*self._where, 2, "serve")
        self.drives.hears()
        self.serves.hears()
        self.drives.does("connect", self.serves.name)

    def end(self) -> None:
        """End both."""
        self.drives.end()
        self.serves.end()

    def restart(self) -> float:
        """Kill the one that serves, start it again; return the seconds until a process there answers."""
        started = time.perf_counter()
        self.serves.end(kill=True)
        self.serves = Machine(*self._where, 2, "serve")
        self.serves.hears()
        self.drives.does("pid")
        return time.perf_counter() - started

    def memory(self, kind: str) -> float:
        """Return the bytes of both, without what looks at them."""
        return playing.memory(kind, self.drives.pid, self.serves.pid, ours=False)


def compiled(folder: str) -> str:
    """Compile what runs in the machines into a folder, and return the folder."""
    subprocess.run(["erlc", "-o", folder, SOURCE], check=True)
    return folder


def main() -> None:
    works = playing.wanted()
    with tempfile.TemporaryDirectory() as folder:
        compiled(folder)
        started = time.perf_counter()
        pair = Pair(folder)
        try:
            pair.drives.does("pid")
            playing.say("start", time.perf_counter() - started, note="two VMs")
            play(pair, works)
        finally:
            pair.end()


def play(pair: Pair, works: dict[str, int]) -> None:
    """Do the works, and say what they took."""
    does = pair.drives.does

    def shortly(work: str, n: int) -> str:
        return f"{median(does(work, n)) / 1e3:.3g} µs"

    if "base" in works:
        playing.say("base", pair.memory("pss") / 1e6, note="two VMs")
    for work, server in (("call", "call_server"), ("call_local", "call_server_local")):
        if n := works.get(work):
            note = f"`!` and `receive`; gen_server:call takes {shortly(server, n)}"
            playing.say_latency(work, does(work, n), note=note)
    if n := works.get("tell"):
        playing.say("tell", n / does("tell", n)[0] * 1e9, n=n)
    if n := works.get("tell_local"):
        copied = f"{n / does('tell_copied', n)[0] * 1e9:,.0f}"
        note = f"the text in it is a literal; one made at run time is copied: {copied}"
        playing.say("tell_local", n / does("tell_local", n)[0] * 1e9, n=n, note=note)
    if n := works.get("array"):
        taken = does("array", n, playing.ARRAY_BYTES)[0]
        playing.say("array", n * playing.ARRAY_BYTES / taken, n=n, note="binaries")
    if n := works.get("fan"):
        playing.say_latency("fan", does("fan", n), note="50 in each VM")
    if n := works.get("spawn"):
        supervised = 10_000 / does("spawn_supervised", 10_000)[0] * 1e9
        note = f"spawn/1; {supervised:,.0f} under a supervisor"
        playing.say("spawn", n / does("spawn", n)[0] * 1e9, n=n, note=note)
    if n := works.get("idle"):
        before = pair.memory("uss")
        counted = does("idle", n)[0]
        playing.say("idle", (pair.memory("uss") - before) / n, n=n, note=f"{counted:,} by its own account")
    if n := works.get("context"):
        added = playing.Added(pair.drives.pid, pair.serves.pid, ours=False)
        does("context", n, playing.CONTEXT_BYTES)
        playing.say("context", added.bytes() / 1e6, n=n, note=f"a binary; {added.said()}")
    if n := works.get("restart"):
        took = sorted(pair.restart() for _ in range(n))[n // 2]
        within = shortly("restart_process", 200)
        playing.say("restart", took * 1e3, n=n, note=f"by hand: the VM; a supervised process within one: {within}")
    for work in SAVINA:
        if n := works.get(work):
            messages, taken = does(work, n)
            playing.say(work, messages / taken * 1e9, n=messages, note="both cores")


if __name__ == "__main__":
    main()
