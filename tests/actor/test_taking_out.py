"""What is taken out of the middle of a mailbox: nobody's `==` is asked, and nothing else loses its place meanwhile."""

from __future__ import annotations

import threading

import pytest

import actorlab as al
from actorlab.actor import cancelling

PATIENCE_S = 20.0


class Rude:
    """Raises when it is compared."""

    __hash__ = None

    def __eq__(self, other):
        raise ValueError("do not compare me")


class Watcher(al.Actor):
    def __init__(self, seen):
        self.seen = seen

    def watch_and_unwatch(self, ref, entered, gate):
        number = self.monitor(ref)
        self.send_after(0, Rude())
        entered.set(None)
        gate.get(timeout=PATIENCE_S)
        self.demonitor(number)

    def wait(self, entered, gate):
        entered.set(None)
        gate.get(timeout=PATIENCE_S)

    def take(self, thing):
        self.seen.put(thing)

    def on_receive(self, message):
        self.seen.put(message)


class BlockingWatcher(Watcher):
    blocking = True


class PriorityWatcher(Watcher):
    priorities = {"take": 1}


class Asker(al.Actor):
    def ask(self, ref, timeout_s):
        return ref.within(timeout_s).call.take(Rude())


@pytest.fixture
def held():
    entered, gate = al.Future(), al.Future()
    yield entered, gate
    if not gate.state:
        gate.set(None)


WEIGHED = {"max_bytes": 100_000}  # which a mailbox with priorities is not


@pytest.mark.parametrize(
    ("kind", "bounds"),
    [(Watcher, {}), (BlockingWatcher, {}), (PriorityWatcher, {}), (Watcher, WEIGHED), (BlockingWatcher, WEIGHED)],
)
def test_a_down_is_taken_back_from_behind_what_cannot_be_compared(node, seen, held, eventually, kind, bounds):
    entered, gate = held
    watcher, other = node.spawn(kind, seen, mailbox=al.Mailbox(**bounds)), node.spawn(Watcher, seen)
    cell = node.runtime.kernels[watcher.home].cells[watcher.address]
    done = watcher.request.watch_and_unwatch(other, entered, gate)
    entered.get(timeout=PATIENCE_S)
    eventually(lambda: len(cell.mailbox) == 1)
    other.stop()
    eventually(lambda: len(cell.mailbox) == 2)
    gate.set(None)
    done.get(timeout=PATIENCE_S)
    node.wait_idle()
    assert seen.get(timeout=PATIENCE_S).__class__ is Rude
    assert seen.empty()
    assert not cell.mailbox
    assert not cell.extra.unbounded


def test_who_gives_up_at_a_door_leaves_it_whoever_else_waits_there(node, seen, held, eventually):
    entered, gate = held
    full = node.spawn(Watcher, seen, mailbox=al.Mailbox(capacity=1))
    cell = node.runtime.kernels[full.home].cells[full.address]
    done = full.request.wait(entered, gate)
    entered.get(timeout=PATIENCE_S)
    full.tell("first")
    first = node.spawn(Asker).request.ask(full, PATIENCE_S)
    eventually(lambda: cell.more().waiting)
    second = node.spawn(Asker).request.ask(full, 0.05)
    with pytest.raises(al.MailboxFull):
        second.get(timeout=PATIENCE_S)
    gate.set(None)
    assert first.get(timeout=PATIENCE_S) is None
    assert done.get(timeout=PATIENCE_S) is None


@pytest.mark.parametrize("bounds", [{}, WEIGHED])
def test_what_is_passed_over_as_the_oldest_is_dropped_keeps_its_place(
    node, seen, held, monkeypatch, eventually, bounds
):
    """The thread of a blocking actor looks for its next message at that very moment."""
    entered, gate = held
    bounds = al.Mailbox(capacity=2, overflow="drop_old", **bounds)
    ref = node.spawn(BlockingWatcher, seen, mailbox=bounds)
    kernel = node.runtime.kernels[ref.home]
    cell = kernel.cells[ref.address]
    done = ref.request.wait(entered, gate)
    entered.get(timeout=PATIENCE_S)
    suspend = threading.Thread(target=ref.system.suspend, daemon=True)
    suspend.start()
    eventually(lambda: len(cell.mailbox) == 1)
    refuse = kernel.admission.refuse

    def late(*args):
        gate.set(None)
        eventually(lambda: not seen.empty() or (cell.extra.special is not None and cell.extra.special.suspended))
        refuse(*args)

    monkeypatch.setattr(kernel.admission, "refuse", late)
    for n in (1, 2, 3):
        ref.tell(n)
    done.get(timeout=PATIENCE_S)
    suspend.join(PATIENCE_S)
    assert seen.empty()
    ref.system.resume()
    assert [seen.get(timeout=PATIENCE_S) for _ in range(2)] == [2, 3]


class Lock:
    """A lock that says when somebody must wait for it."""

    def __init__(self, contended):
        self._lock = threading.Lock()
        self._contended = contended

    def __enter__(self):
        if not self._lock.acquire(blocking=False):
            self._contended.set()
            assert self._lock.acquire(timeout=PATIENCE_S)

    def __exit__(self, *_error):
        self._lock.release()


class Door(al.Actor):
    blocking = True
    stash_capacity = 5

    def __init__(self):
        self.is_open = False

    def enter(self, who):
        if not self.is_open:
            self.stash()
        return f"hello {who}"

    def open(self, entered, gate, moved):
        entered.set(None)
        gate.get(timeout=PATIENCE_S)
        self.is_open = True
        number = self.unstash()
        moved.set()
        return number


def test_a_question_is_taken_out_of_a_stash_that_is_being_emptied(node, held, monkeypatch):
    entered, gate = held
    moved = threading.Event()
    door = node.spawn(Door)
    cell = node.runtime.kernels[door.home].cells[door.address]
    stays, goes = door.request.enter("anna"), door.request.enter("bert")
    opened = door.request.open(entered, gate, moved)
    entered.get(timeout=PATIENCE_S)
    cell.extra.thread.lock = Lock(moved)
    asks = cancelling._asks

    def slowly(envelope, question):
        if not moved.is_set() and not gate.state:
            gate.set(None)
            assert moved.wait(PATIENCE_S)
        return asks(envelope, question)

    monkeypatch.setattr(cancelling, "_asks", slowly)
    assert goes.cancel()
    assert stays.get(timeout=PATIENCE_S) == "hello anna"
    assert opened.get(timeout=PATIENCE_S) == 1
    node.wait_idle()
    said = door.statistics()
    assert (said.accepted, said.handled, said.dead_lettered, said.depth) == (3, 2, 1, 0)
