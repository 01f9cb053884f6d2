"""How workers are made: by each method they do the same, and a fork of the user's process keeps nothing of the user."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import actorlab as al
from actorlab.memory import start_time_of

pytestmark = pytest.mark.process

METHODS = ["forkserver", "fork", "spawn"]


@pytest.fixture
def run(tmp_path):
    """Run a program in a process of its own, `start_method` set; return what it printed, in lines."""

    def running(body: str, method: str = "fork", timeout: float = 60) -> list[str]:
        (tmp_path / "told.py").write_text(TOLD)
        script = tmp_path / "program.py"
        script.write_text(textwrap.dedent(body))
        done = subprocess.run(
            [sys.executable, str(script), method], capture_output=True, text=True, timeout=timeout, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout.splitlines()

    return running


TOLD = """
import os, signal, sys, logging
import actorlab as al

value = "as imported"

class Teller(al.Actor):
    def value(self):
        return value

    def is_open(self, what):
        return any(what in os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                   if os.path.exists(f"/proc/self/fd/{fd}"))

    def handlers(self):
        return [signal.getsignal(one) is signal.SIG_DFL for one in (signal.SIGUSR2, signal.SIGALRM)]

    def main(self):
        return sorted(name for name in vars(sys.modules["__main__"]) if not name.startswith("__"))

    def say(self, text):
        print(text, flush=True)
        logging.getLogger("told").warning("logged " + text)

    def pid(self):
        return os.getpid()

    def boom(self):
        raise RuntimeError("boom")
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_node_does_the_same_by_each_method(run, method):
    assert run(
        """
        import os, signal, sys
        import actorlab as al
        from told import Teller

        if __name__ == "__main__":
            children = [al.child(Teller, name=name, placement=number) for name, number in (("a", 1), ("b", 2))]
            tree = al.Supervisor(children=children)
            with al.Node(workers=2, tree=tree, start_method=sys.argv[1], log_level="CRITICAL") as node:
                a, b = node.find("a"), node.find("b")
                pid = a.call.pid()
                down = node.monitor(a)
                os.kill(pid, signal.SIGKILL)
                print(type(down.get(timeout=30).reason).__name__)
                print(a.within(20).call.pid() != pid, b.call.value())
                handle = node.pool("p").put("x", b"shared")
                node.recycle_worker(2)
                print(b.call.value(), bytes(handle.get()))
        """,
        method,
    ) == ["WorkerDied", "True as imported", "as imported b'shared'"]


def test_what_modules_hold_is_there_as_it_was_when_the_node_was_made(run):
    body = """
        import sys
        import actorlab as al
        import told

        if __name__ == "__main__":
            mine = 1
            told.value = "as set"
            with al.Node(workers=1, start_method=sys.argv[1]) as node:
                told.value = "too late"
                teller = node.spawn(told.Teller)
                print(teller.call.value(), teller.call.main())
        """
    assert run(body, "fork") == ["as set []"]
    assert run(body, "forkserver") == ["as imported []"]


REFUSED = (
    "the forkserver did not start: start_method='fork' needs a process with one thread, and this one has 2; "
    "start the node before they are, or take 'forkserver'"
)


def test_a_process_with_threads_is_not_forked_and_nothing_is_left(run):
    assert run(
        """
        import os, sys, threading
        import actorlab as al

        if __name__ == "__main__":
            over = threading.Event()
            thread = threading.Thread(target=over.wait)
            thread.start()
            try:
                al.Node(workers=2, start_method="fork")
            except al.StartError as error:
                print(error)
            over.set()
            thread.join()
            base = os.environ.get("ACTORLAB_RUNTIME_DIR", "/dev/shm") + f"/actorlab-{os.geteuid()}"
            print(os.path.exists(base) and os.listdir(base) or "nothing")
            with al.Node(workers=1, start_method="fork") as node:
                print(node.spawn(al.Actor, placement=1).is_alive())
        """
    ) == [
        REFUSED,
        "nothing",
        "True",
    ]


def test_a_thread_that_was_joined_is_not_counted_though_it_be_on_its_way_out(run):
    assert run(
        """
        import threading
        from actorlab.node.preload import count_threads

        counted = set()
        for _ in range(1000):
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()
            counted.add(count_threads())
        print(counted)
        """
    ) == ["{1}"]


def test_descriptors_handlers_and_printed_text_stay_with_the_user(run):
    said = run(
        """
        import logging, os, signal, socket, sys
        import actorlab as al
        from told import Teller

        def say(*words):
            sys.stdout.write(" ".join(map(str, words)) + "\\n")  # at once: the workers' records are written, too
            sys.stdout.flush()

        if __name__ == "__main__":
            logging.basicConfig(stream=sys.stdout, format="%(message)s")
            logging.getLogger("told").addHandler(logging.FileHandler("told.log"))
            listener = socket.create_server(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            ours, theirs = os.pipe()
            signal.signal(signal.SIGUSR2, lambda *_: None)
            signal.signal(signal.SIGALRM, lambda *_: None)
            sys.stdout.write("written, not flushed; ")
            with al.Node(workers=2, start_method="fork") as node:
                for worker in (1, 2):
                    teller = node.spawn(Teller, placement=worker)
                    say(teller.call.handlers(), teller.call.is_open("told.log"))
                    teller.call.say(f"hello from {worker}")
                listener.close()
                os.close(theirs)
                say("hung up:", os.read(ours, 1) == b"")
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                except ConnectionRefusedError:
                    say("the port is free")
            print(open("told.log").read().split())
        """
    )
    assert sorted(said) == sorted([
        "written, not flushed; [True, True] False", "[True, True] False",
        "hello from 1", "logged hello from 1", "hello from 2", "logged hello from 2",
        "hung up: True", "the port is free", "['logged', 'hello', 'from', '1', 'logged', 'hello', 'from', '2']",
    ])  # fmt: skip


def test_when_the_fork_is_killed_a_fresh_one_takes_its_place(run):
    assert run(
        """
        import os, signal, sys
        import actorlab as al
        import told

        if __name__ == "__main__":
            told.value = "as set"
            tree = al.Supervisor(children=[al.child(told.Teller, name="a", placement=1)])
            with al.Node(workers=1, tree=tree, start_method="fork", log_level="CRITICAL") as node:
                a = node.find("a")
                print(a.call.value())
                [server] = [int(pid) for pid in open(f"/proc/self/task/{os.getpid()}/children").read().split()]
                os.kill(server, signal.SIGKILL)
                pid = a.call.pid()
                down = node.monitor(a)
                os.kill(pid, signal.SIGKILL)
                down.get(timeout=30)
                print(a.within(20).call.value())
        """
    ) == ["as set", "as imported"]


def test_a_killed_controller_leaves_no_process(run, tmp_path, eventually):
    body = """
        import os, signal, subprocess, sys, time
        import actorlab as al
        from told import Teller

        if __name__ == "__main__":
            child = os.fork()
            if child == 0:
                node = al.Node(workers=2, start_method="fork")
                pids = [node.spawn(Teller, placement=worker).call.pid() for worker in (1, 2)]
                print(*pids, node.directory, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            os.waitpid(child, 0)
        """
    [line] = run(body)
    *pids, directory = line.split()
    eventually(lambda: not Path(directory).exists())
    eventually(lambda: not any(start_time_of(int(pid)) for pid in pids))  # a zombie has none


def test_an_unknown_method_is_refused():
    with pytest.raises(al.SpecError, match=r"start_method.*must be one of auto, forkserver, fork, spawn, not 'thread'"):
        al.NodeOptions(start_method="thread")
