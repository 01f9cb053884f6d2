"""`actorlab top` on a real terminal of 80 columns, and without one."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import psutil
import pytest
from command_line import ROOT, actorlab

from actorlab.cli import main

pytestmark = pytest.mark.process

LEAVES_THE_SCREEN, SHOWS_THE_CURSOR = b"\x1b[?1049l", b"\x1b[?25h"


class Terminal:
    """`actorlab top …` at a pseudo-terminal."""

    def __init__(self, *options, columns=80, lines=24, kind="xterm-256color"):
        self.master, self.slave = pty.openpty()
        self.resize(columns, lines, tell=False)
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        environment = {**os.environ, "TERM": kind, "COLUMNS": "", "LINES": ""}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "actorlab", "top", "shop", *options],
            cwd=ROOT,
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
        )

    def resize(self, columns, lines, tell=True):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if tell:
            self.process.send_signal(signal.SIGWINCH)

    def read_until(self, condition, within_s=30.0):
        deadline = time.monotonic() + within_s
        while not condition():
            left = deadline - time.monotonic()
            assert left > 0, f"it never came; seen: {self.seen[-2000:]!r}"
            if select.select([self.master], [], [], min(left, 0.1))[0]:
                try:
                    self.seen += os.read(self.master, 65536)
                except OSError:
                    break

    def wait_for(self, text):
        self.read_until(lambda: text in self.plain())

    def plain(self):
        return re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", self.seen).decode("utf-8", "replace")

    def press(self, keys):
        os.write(self.master, keys)

    def end(self, *, restored=True):
        """Wait for its end, and for the last of what it wrote: a terminal hands that on in its own time."""
        self.read_until(lambda: self.process.poll() is not None)
        if restored:
            self.read_until(lambda: is_restored(self))
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def is_restored(terminal):
    after = terminal.seen.rpartition(b"restarts")[2]
    return (
        LEAVES_THE_SCREEN in after
        and SHOWS_THE_CURSOR in after
        and termios.tcgetattr(terminal.slave)[:4] == terminal.before[:4]
    )


@pytest.mark.parametrize("end", [b"q", b"\x03", signal.SIGTERM, signal.SIGHUP], ids=["q", "ctrl-c", "term", "hup"])
def test_it_ends_cleanly_and_puts_the_terminal_back(shop, end):
    with Terminal() as terminal:
        terminal.wait_for("second")
        assert termios.tcgetattr(terminal.slave)[3] != terminal.before[3], "raw while it runs"
        if isinstance(end, bytes):
            terminal.press(end)
        else:
            terminal.process.send_signal(end)
        assert terminal.end() == 0
        assert "Traceback" not in terminal.plain()


@pytest.mark.parametrize("kind", ["xterm", "screen", "linux", "vt100"])
def test_it_works_on_lesser_terminals(shop, kind):
    with Terminal(kind=kind) as terminal:
        terminal.wait_for("second")
        terminal.press(b"q")
        assert terminal.end() == 0


def test_where_the_cursor_cannot_move_it_prints_one_look(shop):
    with Terminal(kind="dumb") as terminal:
        terminal.wait_for("second")
        assert terminal.end(restored=False) == 0
        assert b"\x1b" not in terminal.seen


def test_it_follows_the_terminals_size(shop):
    with Terminal() as terminal:
        terminal.wait_for("second")
        assert "handled" not in terminal.plain()
        terminal.resize(150, 40)
        terminal.wait_for("handled")
        terminal.press(b"q")
        assert terminal.end() == 0


def test_a_stopped_node_is_shown_and_said(shop):
    processes = [psutil.Process(shop.process.pid), *shop.family()]
    for process in processes:
        process.suspend()
    try:
        with Terminal() as terminal:
            terminal.wait_for("its controller does not run")
            terminal.wait_for("second")
            terminal.press(b"q")
            assert terminal.end() == 0
    finally:
        for process in processes:
            process.resume()


def test_without_a_terminal_it_prints_one_look(shop):
    code, out, err = actorlab("top", "shop")
    lines = out.splitlines()
    assert (code, err) == (0, "") and "\x1b" not in out
    assert lines[0].startswith("shop  running  pid ") and lines[1].startswith("memory ")
    assert lines[3].split()[:5] == ["supervisor", "state", "memory", "mailbox", "msg/s"]
    assert [line.split()[0] for line in lines[4:6]] == ["all", "├─"]
    assert actorlab("top", "shop", "--once", "--by", "worker")[1].count("worker 1") >= 2


def test_as_json_each_line_is_an_object(shop):
    code, out, _ = actorlab("top", "--json", "--sort", "mailbox", "--limit", "3")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [one["type"] for one in lines] == ["node", "line", "line", "line"]
    assert lines[1]["name"] == "all" and {"memory_bytes", "mailbox", "rate", "restarts"} <= set(lines[1])


def test_without_the_extra_it_says_what_to_install(shop, monkeypatch, capsys):
    for name in list(sys.modules):
        if name.startswith(("actorlab.top.screen", "actorlab.top.detail", "textual.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "textual", None)
    monkeypatch.setattr("actorlab.watchers.is_terminal", lambda stream: True)
    assert main(["top", "shop"]) == 1
    assert "pip install 'actorlab[top]'" in capsys.readouterr().err
    assert main(["top", "shop", "--once"]) == 0


def test_the_command_line_alone_imports_no_face():
    heavy = "{'textual', 'rich', 'starlette', 'uvicorn', 'actorlab.observe'}"
    code = f"import actorlab.cli, sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("options", [("--every", "0"), ("--every", "-1"), ("--sort", "luck"), ("--by", "nobody")])
def test_wrong_usage_is_said(shop, options):
    code, out, err = actorlab("top", "shop", *options)
    assert (code, out) == (2, "") and "Traceback" not in err


def test_no_node_is_the_usual_answer(shop):
    assert actorlab("top", "nobody")[0] == 3
