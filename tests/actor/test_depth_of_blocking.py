"""What is said of how many messages wait at a blocking actor, whose thread takes them when it comes to it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

import actorlab as al
from actorlab.actor.threads import BlockingThread


class Blocker(al.Actor):
    blocking = True

    def note(self, n: int) -> int:
        return n


@pytest.fixture
def late_threads(monkeypatch):
    """`late_threads()` lets the threads of blocking actors begin, which until then are given turns and take none."""
    begin, held = BlockingThread.have_done, []
    monkeypatch.setattr(BlockingThread, "have_done", lambda self, turn: held.append((self, turn)))

    def let_begin():
        monkeypatch.undo()
        for thread, turn in held:
            begin(thread, turn)

    return let_begin


def test_its_start_is_no_message_that_waits(late_threads, eventually):
    """Else, killed before its thread has begun, it would have a dead letter too many (P5)."""
    with al.Node(workers=0) as node, ThreadPoolExecutor(1) as pool:
        started = pool.submit(node.spawn, Blocker, init_timeout_s=60.0)
        eventually(lambda: blocking_cells(node))
        [cell] = blocking_cells(node)
        kernel = cell.kernel
        eventually(lambda: len(cell.mailbox) == 1)
        ref = node.runtime.ref(cell.address)
        for messages in range(3):
            said = al.Future("what is said")
            kernel.post(lambda said=said: (kernel.admission.publish_depths(), said.reply(None)))
            said.get(timeout=30)
            assert ref.statistics().depth == messages
            ref.cast.note(messages)
            eventually(lambda messages=messages: len(cell.mailbox) == messages + 2)
        late_threads()
        assert started.result(timeout=30).call.note(7) == 7
        node.wait_idle()
        books = ref.statistics()
        assert (books.accepted, books.handled, books.depth) == (4, 4, 0)


def blocking_cells(node: al.Node):
    kernels = tuple(node.runtime.kernels.values())
    return [cell for kernel in kernels for cell in tuple(kernel.cells.values()) if cell.behaviour.blocking]
