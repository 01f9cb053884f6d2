"""The command line as a user has it: in a process of its own, with a terminal's signals. For tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent

DESK = '''
import logging, os, time
import actorlab as al


class Clerk(al.Actor):
    def on_stop(self):
        logging.getLogger("desk").warning("clerk says goodbye")

    def pid(self):
        return os.getpid()

    def fail(self, why):
        raise ValueError(why)


class Stubborn(al.Actor):
    blocking = True

    def on_stop(self):
        print("stubborn stays", flush=True)
        time.sleep(120)


class Doomed(al.Actor):
    def on_start(self):
        self.send_after(0.01, "the end")

    def on_receive(self, message):
        raise RuntimeError(message)


class NoActor: ...


def failing_job(node, options, report):
    node.whereis("clerk").cast.fail("no ink")
    node.whereis("clerk").call.pid()
    return 0
'''

NODE = "[node]\nworkers = 2\n"
TREE = '[supervisor]\n[[supervisor.children]]\nname = "clerk"\nstart = "desk:Clerk"\n'


def make_desk(folder: Path, text: str) -> Path:
    """Put a module `desk` and a file `app.toml` into `folder`; return the file."""
    (folder / "desk.py").write_text(DESK)
    file = folder / "app.toml"
    file.write_text(text)
    file.chmod(0o644)
    return file


class Command:
    """`actorlab …` in a process group of its own, started in `folder`."""

    def __init__(self, *argv: str, folder: Path = ROOT, stdin: str | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "actorlab", *argv],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._stdin = stdin

    def wait_for(self, text: str) -> str:
        """Read its errors until a line holds `text`; return what was read."""
        assert self.process.stderr is not None
        read = ""
        for line in self.process.stderr:
            read += line
            if text in line:
                return read
        raise AssertionError(f"it ended without {text!r}: {read}")

    def family(self) -> list[psutil.Process]:
        """The processes it has started and that live."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Send a signal to the whole group, as a terminal and a service manager do."""
        os.killpg(self.process.pid, number)

    def end(self, timeout_s: float = 60.0) -> tuple[int, str, str]:
        """Wait for its end; return its code, output and errors (those not yet read)."""
        try:
            out, err = self.process.communicate(self._stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        return self.process.returncode, out, err

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def anybody_lives(processes: list[psutil.Process]) -> bool:
    """Whether one of these processes still runs; one that nobody has waited for yet does not."""
    for process in processes:
        try:
            if process.is_running() and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                return True
        except psutil.NoSuchProcess:
            pass
    return False


def actorlab(*argv: str, folder: Path = ROOT, stdin: str | None = None) -> tuple[int, str, str]:
    """Run a command to its end; return its code, output and errors."""
    with Command(*argv, folder=folder, stdin=stdin) as command:
        return command.end()
