"""What the machine does to a node: kills of the whole tree, floods, full disks, refused forks, suspensions.

Rows 19, 33, 40, 41 and 42 of the fault catalogue.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from fault_drill import Clerk, Pusher, Scribe, Till

import actorlab as al
from actorlab.node import news
from actorlab.node.footprint import anonymous_bytes

pytestmark = pytest.mark.process

MIB = 1 << 20

NURSERY = """
import os, random, signal, sys, time
import actorlab as al
import actorlab.node.controller, actorlab.node.forkserver

folder, rounds, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def start():
    hears, says = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        al.Node(workers=1, runtime_dir=folder, log_level="CRITICAL")
        os.write(says, b"up")
        signal.pause()
    os.close(says)
    return pid, hears

def kill(pid, hears):
    for group in (os.killpg, os.kill):
        try:
            group(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    os.waitpid(pid, 0)
    os.close(hears)

dice, took_s = random.Random(1), 0.5
for _ in range(rounds):
    began = time.monotonic()
    trees = [start() for _ in range(each)]
    for after_s, tree in zip(sorted(dice.uniform(0, took_s) for _ in trees[::2]), trees[::2]):
        time.sleep(max(0, began + after_s - time.monotonic()))  # somewhere on its way
        kill(*tree)
    for tree in trees[1::2]:
        assert os.read(tree[1], 2) == b"up"
        took_s = time.monotonic() - began
        kill(*tree)
with al.Node(workers=1, runtime_dir=folder, log_level="CRITICAL") as node:
    print(*os.listdir(os.path.dirname(node.directory)), os.path.basename(node.directory), flush=True)
"""


def processes_with(variable: str) -> list[int]:
    """Return the processes that have an environment variable."""
    found = []
    for process in psutil.process_iter():
        try:
            if variable in process.environ() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.mark.timeout(300)
def test_the_whole_tree_killed_a_hundred_times_leaves_nothing_behind_the_next_start(tmp_path, eventually):
    """Row 19: at any moment of a start, or of a life."""
    mark = f"ACTORLAB_NURSERY_{os.getpid()}"
    command = [sys.executable, "-c", NURSERY, str(tmp_path), "10", "10"]
    done = subprocess.run(command, env=os.environ | {mark: "1"}, capture_output=True, text=True, timeout=280)
    *there, own = done.stdout.split()
    assert there == [own], done.stderr[-3000:]
    eventually(lambda: processes_with(mark) == [])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_many_senders_to_a_slow_receiver_have_bounded_memory_and_all_get_in(tmp_path, eventually):
    """Row 33: from the user's threads, its own worker and another; nobody waits for ever, nothing piles up."""
    bounds, size, over = al.Mailbox(capacity=16, overflow="block", timeout_s=60.0), 100_000, tmp_path / "over"
    with al.Node(workers=2, log_level="CRITICAL") as node:
        till = node.spawn(Till, name="till", placement=2, mailbox=bounds)
        pid = node.workers[1].pid
        before = anonymous_bytes(pid)
        pushers = [node.spawn(Pusher, placement=1 + n % 2) for n in range(6)]
        sent = [one.request.push(till, f"actor {n}", size, str(over)) for n, one in enumerate(pushers)]
        failures = []

        def push(name: str) -> None:
            try:
                while not over.exists():
                    till.cast.take(name, b"x" * size)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=push, args=(f"thread {n}",)) for n in range(3)]
        for thread in threads:
            thread.start()
        depths = []

        def all_got_in() -> bool:
            depths.append(till.statistics().depth)
            counts = till.within(60).call.counted()
            return failures or (len(counts) == 9 and min(counts.values()) >= 20)

        try:
            eventually(all_got_in, within_s=60)
            grown = anonymous_bytes(pid) - before
        finally:
            over.touch()
        for thread in threads:
            thread.join()
        assert failures == []
        assert max(depths) <= 16
        total = sum(one.get(timeout=60) for one in sent)
        assert grown < 16 * MIB, f"{grown:,} bytes after {total} messages of {size:,} by actors alone"
        node.wait_idle()


class Counting(logging.FileHandler):
    """Writes to a disk that is full, and counts what it could not write."""

    lost = 0

    def handleError(self, record: logging.LogRecord) -> None:
        assert isinstance(sys.exc_info()[1], OSError)
        self.lost += 1


def test_a_full_disk_under_the_users_log_is_counted_and_holds_up_nobody(eventually):
    """Row 40: each record that cannot be written is the handler's to count; the node goes on, and so does who logs."""
    full = Counting("/dev/full")
    logger = logging.getLogger("faults.full")
    logger.addHandler(full)
    try:
        with al.Node(workers=1) as node:
            scribe = node.spawn(Scribe, placement=1)
            scribe.call.log_many("faults.full", 200)
            eventually(lambda: full.lost == 200)
            assert scribe.call.log_many("faults.full", 1) is None
    finally:
        logger.removeHandler(full)
        with suppress(OSError):  # what it still has cannot be written
            full.close()


def test_what_a_listener_is_too_slow_for_is_dropped_and_counted(monkeypatch, caplog, eventually):
    """Row 40: a log that is written slower than it comes loses what is too much, and says how much that was."""
    monkeypatch.setattr(news, "LIMIT", 50)
    gate, written = threading.Event(), []

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            gate.wait(60)
            written.append(record)

    def lost() -> int:
        return sum(record.args[0] for record in caplog.records if "were lost" in record.msg)

    handler, logger = Slow(), logging.getLogger("faults.slow")
    logger.addHandler(handler)
    try:
        with al.Node(workers=1) as node:
            node.spawn(Scribe, placement=1).call.log_many("faults.slow", 1000)  # nobody waits for the handler
            assert written == []
            gate.set()
            eventually(lambda: len(written) + lost() == 1000)
        assert lost() > 0
    finally:
        gate.set()
        logger.removeHandler(handler)


STINGY = """
import os
fork = os.fork

def stingy():
    if os.path.exists({refuse!r}):
        with open({asked!r}, "a") as file:
            file.write("x")
        raise BlockingIOError(11, "no more processes")
    return fork()

os.fork = stingy
"""


def test_a_worker_that_cannot_be_forked_is_tried_again_with_growing_pauses(tmp_path, monkeypatch, eventually):
    """Row 41: each try is counted and told, nobody spins; when there is room the worker is back with its queue."""
    monkeypatch.syspath_prepend(tmp_path)
    refuse, asked = tmp_path / "refuse", tmp_path / "asked"
    (tmp_path / "stingy_forks.py").write_text(STINGY.format(refuse=str(refuse), asked=str(asked)))
    heard = []

    def tries() -> list[tuple[int, float]]:
        return [(event.fields["tries"], event.time) for event in heard if event.kind == "worker_not_launched"]

    tree = al.Supervisor(children=[al.child(Clerk, name="clerk", placement=1)])
    with al.Node(
        workers=2, tree=tree, preload=("stingy_forks",), on_event=heard.append, log_level="CRITICAL"
    ) as node:
        clerk, other = node.whereis("clerk"), node.spawn(Clerk, placement=2)
        clerk.call.add(1)
        refuse.touch()
        node.kill_worker(1)
        eventually(lambda: len(tries()) >= 3, within_s=60)
        clerk.tell("meanwhile")
        assert other.call.add(1) == 1  # nobody else notices
        refuse.unlink()
        eventually(lambda: clerk.incarnation == 1, within_s=60)
        assert clerk.within(20).call.all() == ["meanwhile"]
        with pytest.raises(al.CallTimeout):
            node.wait(timeout=0)  # it lives
    told = tries()
    assert [number for number, _ in told] == list(range(1, len(told) + 1))
    for (number, at), (_, then) in pairwise(told):
        assert then - at >= 0.05 * 2**number
    assert len(asked.read_text()) <= 2 * len(told) + 1  # a forkserver that dies of it is replaced once a try


SUSPENDED = """
import actorlab as al, sys
sys.path.insert(0, sys.argv[1])
from fault_drill import Clerk

if __name__ == "__main__":
    with al.Node(workers=2, heartbeat_s=0.05, hang_timeout_s=2.0, log_level="CRITICAL") as node:
        one, other, local = (node.spawn(Clerk, placement=place) for place in (1, 2, "local"))
        for ref in (one, other, local):
            ref.call.wake_after(0.5, "soon")
            ref.call.wake_after(3600.0, "in an hour")
        before = [worker.pid for worker in node.workers]
        print("ready", flush=True)
        sys.stdin.readline()
        for ref in (one, other, local):
            while "soon" not in ref.within(30).call.all():
                node.wait_idle()
        print(one.within(30).call.call_of(other, 30.0), local.call.all() == ["soon"], one.call.all() == ["soon"])
        print([worker.pid for worker in node.workers] == before, [worker.restarts for worker in node.workers])
        print(len(node.dead_letters), flush=True)
"""


def test_a_machine_that_was_suspended_finds_everybody_alive_and_timers_once(tmp_path):
    """Row 42: all of its processes stand still for longer than a hang may take, and go on in any order."""
    script = tmp_path / "suspended.py"
    script.write_text(SUSPENDED)
    command = [sys.executable, str(script), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        family = [process.pid, *(one.pid for one in psutil.Process(process.pid).children(recursive=True))]
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        end = time.monotonic() + 3.0  # the fault itself
        while time.monotonic() < end:
            time.sleep(0.1)
        for pid in family:  # the controller first: it finds the others standing
            os.kill(pid, signal.SIGCONT)
        said, _ = process.communicate("go on\n", timeout=90)
    assert said.splitlines() == ["2 True True", "True [0, 0]", "0"]
