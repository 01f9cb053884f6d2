"""Mailboxes bounded by bytes within one process: a message weighs what its pickle does, whoever sends it."""

from __future__ import annotations

import pickle

import pytest
from test_mailbox_bounds import BlockingSender, Held, Sender, Slow, SlowBlocker, reasons

import actorlab as al
from actorlab.actor.weight import WeighedMailbox, weigh_object
from actorlab.ids import LOCAL_HOME

KB = b"x" * 1000
"""Weighs a little more than 1,000 bytes; three fit into 3,500."""


@pytest.fixture(params=[Slow, SlowBlocker])
def held(request, node, seen):
    made = []

    def hold(**bounds):
        made.append(Held(node, seen, request.param, **bounds))
        return made[-1]

    yield hold
    for one in made:
        if not one.gate.outcome()[0]:
            one.gate.set(None)


@pytest.fixture(params=[Sender, BlockingSender])
def sender(request, node):
    return node.spawn(request.param)


def waiting_bytes(node, ref):
    return node.runtime.kernels[LOCAL_HOME].cells[ref.address].mailbox.size_bytes


def test_a_message_weighs_what_its_pickle_does():
    for body in (KB, {"a": [1, 2.5, "text"]}, ("add", (1,), {})):
        assert weigh_object(body) == len(pickle.dumps(body, 5))


def test_buffers_out_of_band_are_weighed_without_being_copied():
    numpy = pytest.importorskip("numpy")
    assert 1_000_000 <= weigh_object(numpy.zeros(1_000_000, numpy.uint8)) < 1_001_000


def test_what_cannot_be_pickled_weighs_as_python_says():
    assert weigh_object(lambda: None) > 0


def test_what_waits_never_weighs_more_than_the_bound(node, held, sender, eventually):
    full = held(max_bytes=3500)
    sent = sender.request.send(full.ref, *[KB] * 10)
    eventually(lambda: waiting_bytes(node, full.ref) > 3000)
    assert not sent.outcome()[0]
    assert 3000 < waiting_bytes(node, full.ref) <= 3500
    assert full.release() == [KB] * 10
    assert sent.get(timeout=30) == "sent"
    assert waiting_bytes(node, full.ref) == 0


def test_many_small_messages_are_weighed_too(node, held, sender, eventually):
    full = held(max_bytes=1000)
    sent = sender.request.send(full.ref, *range(2000))
    eventually(lambda: waiting_bytes(node, full.ref) > 990)
    assert 990 < waiting_bytes(node, full.ref) <= 1000
    assert full.release() == list(range(2000))
    sent.get(timeout=30)


def test_a_thread_of_the_users_waits_for_bytes_at_most_the_time_that_was_said(node, held):
    full = held(max_bytes=3500)
    for _ in range(3):
        full.ref.tell(KB)
    full.hurry(0.05)
    with pytest.raises(al.MailboxFull, match="3,500 bytes") as refused:
        full.ref.tell(KB)
    assert refused.value.reason == "bytes"
    full.hurry(60.0)
    full.ref.tell("small")
    assert full.release() == [KB, KB, KB, "small"]


def test_reject_says_bytes(node, held, sender):
    full = held(max_bytes=3500, overflow="reject")
    with pytest.raises(al.MailboxFull, match="3,500 bytes"):
        sender.call.send(full.ref, *[KB] * 4)
    assert full.release() == [KB] * 3


def test_drop_new_drops_what_is_too_much(node, held):
    full = held(max_bytes=3500, overflow="drop_new")
    for n in range(5):
        full.ref.tell((n, KB))
    assert [n for n, _ in full.release()] == [0, 1, 2]
    assert [reason for _, reason in reasons(node)] == ["dropped"] * 2


def test_drop_old_drops_as_many_as_it_takes(node, held):
    full = held(max_bytes=3500, overflow="drop_old")
    for n in range(3):
        full.ref.tell((n, KB))
    full.ref.tell((3, KB * 2))
    assert [n for n, _ in full.release()] == [2, 3]
    assert [reason for _, reason in reasons(node)] == ["dropped"] * 2


@pytest.mark.parametrize("overflow", ["block", "reject", "drop_new", "drop_old"])
def test_one_that_is_too_heavy_alone_is_refused_at_once_and_drops_nobody(node, held, overflow):
    full = held(max_bytes=3500, overflow=overflow, timeout_s=30.0)
    full.ref.tell("kept")
    with pytest.raises(al.MessageTooLarge, match="3,500"):
        full.ref.call.take(KB * 4)
    assert node.spawn(Sender).within(25).call.here()
    assert full.release() == ["kept"]


def test_the_capacity_holds_beside_the_bytes(node, held):
    full = held(capacity=2, max_bytes=3500, overflow="reject")
    full.ref.tell(1)
    full.ref.tell(2)
    with pytest.raises(al.MailboxFull, match="2 messages"):
        full.ref.tell(3)
    assert full.release() == [1, 2]


def test_a_call_that_waits_for_bytes_is_let_in_when_there_is_room(node, held):
    full = held(max_bytes=2500)
    full.ref.tell(KB)
    full.ref.tell(KB)
    waiting = node.spawn(Sender).request.send_by_call(full.ref, KB, 30.0)
    node.spawn(Sender).call.here()
    assert not waiting.outcome()[0]
    assert full.release() == [KB] * 3
    assert waiting.get(timeout=30) == KB


def test_every_way_in_and_out_keeps_the_sum():
    box = WeighedMailbox(100, lambda envelope: 10)
    for n in range(5):
        box.append((1, n))
    box.appendleft((1, -1))
    del box[4]
    assert list(box) == [(1, -1), (1, 0), (1, 1), (1, 2), (1, 4)]
    assert box.size_bytes == box.copy().size_bytes == 50
    box.popleft()
    assert box.size_bytes == 40
    box.clear()
    assert box.size_bytes == 0 and not box


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "1MiB"])
def test_a_bound_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(al.SpecError, match="max_bytes"):
        al.Mailbox(max_bytes=wrong)
