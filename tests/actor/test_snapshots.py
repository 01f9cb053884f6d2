"""When snapshots are taken, what restores them, and what is refused."""

from __future__ import annotations

import asyncio

import pytest

import actorlab as al


class Account(al.Actor):
    snapshots = al.Snapshots()

    def __init__(self, seen=None):
        self.seen = seen
        self.total = 0
        self.taken = 0
        self.order = ["init"]

    def snapshot(self):
        self.taken += 1
        return {"total": self.total}

    def restore(self, state):
        self.total = state["total"]
        self.order.append("restore")

    def on_start(self):
        self.order.append("start")

    def add(self, k):
        self.total += k
        return self.total

    def add_and_save(self, k):
        self.total += k
        self.save_snapshot()

    def report(self):
        return self.total, self.taken, self.order

    def boom(self):
        raise RuntimeError("boom")


class EveryThree(Account):
    snapshots = al.Snapshots(every=3)


class EveryTen(Account):
    snapshots = al.Snapshots(interval_s=10.0)


class AsyncAccount(Account):
    snapshots = al.Snapshots(every=1)

    async def snapshot(self):
        await asyncio.sleep(0)
        return {"total": self.total}

    async def restore(self, state):
        await asyncio.sleep(0)
        self.total = state["total"]


class BlockingAccount(AsyncAccount):
    blocking = True


class BadRestore(Account):
    snapshots = al.Snapshots(every=1)

    def restore(self, state):
        raise LookupError("what is this?")


def supervised(node, kind, **options):
    node.start(al.Supervisor(children=[al.child(kind, name="account", **options)]))
    return node.whereis("account")


def test_a_handler_may_say_when(node, settled):
    account = supervised(node, Account)
    account.call.add_and_save(5)
    account.call.add(1)
    account.cast.boom()
    assert account.call.report() == (5, 0, ["init", "restore", "start"])


def test_after_so_many_messages(node, settled):
    account = supervised(node, EveryThree)
    for _ in range(7):
        account.call.add(1)
        settled()
    assert account.call.report()[1] == 2
    account.cast.boom()
    assert account.call.report()[0] == 6


def test_after_so_much_time_in_which_there_was_something(node, clock, settled):
    account = node.spawn(EveryTen)
    account.call.add(1)
    settled()
    for _ in range(3):
        clock.advance(10.1)
        settled()
    assert account.call.report()[1] == 1


@pytest.mark.parametrize("kind", [AsyncAccount, BlockingAccount])
def test_both_may_be_async_and_in_a_thread_of_its_own(node, kind, settled):
    account = supervised(node, kind)
    account.call.add(5)
    settled()
    account.cast.boom()
    assert account.call.report()[0] == 5


def test_a_stop_that_is_restarted_keeps_what_it_had(node, settled):
    account = supervised(node, Account, restart="permanent")
    account.call.add(5)
    account.stop()
    settled()
    assert account.call.report()[0] == 5


def test_a_first_start_restores_nothing(node):
    assert node.spawn(Account).call.report() == (0, 0, ["init", "start"])


def test_a_snapshot_can_be_asked_for(node):
    account = node.spawn(Account)
    account.call.add(3)
    assert account.system.snapshot() == {"total": 3}


def test_it_has_no_part_in_the_books(node, settled):
    account = node.spawn(EveryThree)
    for _ in range(3):
        account.call.add(1)
    settled()
    books = account.statistics()
    assert (books.handled, books.depth, books.accepted) == (3, 0, 3)


def test_a_restore_that_fails_is_a_start_that_failed(node, settled, eventually):
    account = supervised(node, BadRestore)
    down = node.monitor(account)
    account.call.add(1)
    settled()
    account.cast.boom()
    assert down.get(timeout=30)
    eventually(lambda: not account.is_alive(), 20)  # its supervisor has tried as often as it may


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: al.Snapshots(every=0), al.SpecError, r"snapshots\.every"),
        (lambda: al.Snapshots(interval_s=0), al.SpecError, r"snapshots\.interval_s"),
        (lambda: al.Snapshots(store="state.txt"), al.SpecError, r"snapshots\.store.*\.db.*\.arrows"),
        (lambda: type("Half", (al.Actor,), {"snapshot": lambda self: 1}), TypeError, r"define restore\(state\) too"),
        (lambda: type("No", (al.Actor,), {"snapshots": al.Snapshots()}), TypeError, r"define snapshot\(\) and restore"),
    ],
)
def test_bad_input_is_refused_with_its_place(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_a_store_needs_a_name(node, tmp_path):
    kind = type("Durable", (Account,), {"snapshots": al.Snapshots(store=str(tmp_path / "s.db"))})
    with pytest.raises(al.StartError, match=r"kept by name .* start it with name=…"):
        node.spawn(kind)


@pytest.mark.parametrize("name", ["s.db", "s.arrows"])
def test_what_cannot_be_read_is_said_so_and_left_alone(node, tmp_path, name):
    path = tmp_path / name
    if name.endswith(".db"):
        path.write_bytes(b"not a database, but long enough to be looked at" * 100)
        broken = path
    else:
        path.mkdir()
        broken = path / "till.arrow"
        broken.write_bytes(b"not arrow")
    before = broken.read_bytes()
    kind = type("Durable", (Account,), {"snapshots": al.Snapshots(store=str(path))})
    with pytest.raises(al.StartError, match=r"SnapshotUnreadable: the snapshot of till .* move it away"):
        node.spawn(kind, name="till")
    assert broken.read_bytes() == before


def test_a_handler_of_a_class_that_keeps_none_is_told_how(node):
    class Plain(al.Actor):
        reply_errors = (RuntimeError,)

        def save(self):
            self.save_snapshot()

    with pytest.raises(RuntimeError, match=r"say snapshots = al\.Snapshots"):
        node.spawn(Plain).call.save()
