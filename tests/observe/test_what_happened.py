"""What happened in a node, and to messages that nobody handled, read from outside; also while it hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

import actorlab as al
from actorlab import observe

pytestmark = pytest.mark.process


class Clerk(al.Actor):
    def fail(self):
        raise ValueError("on purpose")

    def work(self):
        return 1


def test_crashes_and_restarts_are_in_the_journal_newest_first(eventually):
    with al.Node(workers=1, name="story") as node:
        node.start(al.Supervisor(children=[al.child(Clerk, name="till")]))
        till = node.whereis("till")
        with pytest.raises(ValueError):
            till.call.fail()
        eventually(lambda: till.incarnation == 1)

        def kinds():
            return [row.kind for row in observe.snapshot("story").restarts]

        eventually(lambda: "actor_restarted" in kinds())
        assert kinds().index("actor_restarted") < kinds().index("actor_crashed") < kinds().index("node_started")
        (crash,) = [row for row in observe.snapshot("story").restarts if row.kind == "actor_crashed"]
        assert (crash.actor, crash.worker) == ("till", 1) and "on purpose" in crash.text
        assert crash.address.startswith("1.")
        os.kill(observe.snapshot("story").processes[-1].pid, signal.SIGKILL)
        eventually(lambda: "worker_replaced" in kinds())
        assert kinds().index("worker_replaced") < kinds().index("worker_died")


def test_dead_letters_of_a_worker_are_there_with_their_reason_and_counted(eventually):
    with al.Node(workers=1, name="story") as node:
        clerk = node.spawn(Clerk)
        clerk.cast.work("one argument too many")
        eventually(lambda: observe.snapshot("story").dead_letter_counts == {"bad_call": 1})
        (letter,) = observe.snapshot("story").dead_letters
        assert (letter.reason, letter.worker, letter.actor) == ("bad_call", 1, "Clerk") and "work" in letter.message


def test_a_flood_of_dead_letters_is_counted_in_full_and_kept_in_part(eventually):
    with al.Node(workers=1, name="story") as node:
        for k in range(1000):
            node.dead_letters.add("clerk", 1 << 56, str(k), "flood")
        eventually(lambda: observe.snapshot("story").dead_letter_counts == {"flood": 1000})
        assert 100 <= len(observe.snapshot("story").dead_letters) <= 127


def test_a_node_that_is_stopped_whole_can_still_be_looked_at(tmp_path, eventually):
    """SIGSTOP to every process of it: the user's, the forkserver, the workers."""
    (tmp_path / "hangs.py").write_text(
        textwrap.dedent(
            """
            import actorlab as al
            class Clerk(al.Actor):
                def work(self): return 1
                def fail(self): raise ValueError("on purpose")
            if __name__ == "__main__":
                with al.Node(workers=2, name="hangs") as node:
                    clerk = node.spawn(Clerk, name="till", placement=1)
                    for _ in range(7): clerk.call.work()
                    node.wait_idle()
                    print("ready", flush=True)
                    input()
            """
        )
    )
    with subprocess.Popen(
        [sys.executable, "hangs.py"], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        pids = [one.pid for one in observe.snapshot("hangs").processes]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            eventually(lambda: {one.state for one in observe.snapshot("hangs").processes} == {"stopped"})
            seen = observe.snapshot("hangs")
            assert seen.state == "hung" and [one.pid for one in seen.processes] == pids
            assert seen.totals.memory.pss_bytes > 10_000_000 and seen.totals.handled == 7
            assert seen.actors[0].name == "till" and seen.restarts[0].kind == "node_started"
            assert all(one.gc is not None for one in seen.processes if one.worker is not None)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            process.communicate("\n")
