"""What waits in mailboxes, in bytes, from outside: exactly where it came by a lane, roughly where by reference."""

from __future__ import annotations

import threading

import numpy
import pytest

import actorlab as al
from actorlab import observe

pytestmark = pytest.mark.process

PAYLOAD = 5_000
MANY = 40


class Slow(al.Actor):
    """Handles nothing until a file appears."""

    blocking = True

    def wait_for(self, path):
        import os

        open(path + ".held", "w").close()
        pause = threading.Event()
        while not os.path.exists(path):
            pause.wait(0.01)

    def take(self, data):
        return len(data)


class Neighbour(al.Actor):
    def flood(self, ref, data, number):
        for _ in range(number):
            ref.cast.take(data)


def row(cls):
    (found,) = [row for row in observe.snapshot("bytes").classes if row.cls.endswith(f":{cls.__name__}")]
    return found


@pytest.fixture
def node():
    with al.Node(workers=2, name="bytes", heartbeat_s=0.05, hold_warning_s=30) as node:
        yield node


@pytest.fixture
def slow(node, tmp_path, eventually):
    ref = node.spawn(Slow, placement=1)
    ref.cast.wait_for(str(tmp_path / "go"))
    eventually((tmp_path / "go.held").exists)
    yield ref
    (tmp_path / "go").touch()


def test_messages_from_other_processes_are_counted_to_the_byte(node, slow, eventually):
    for _ in range(MANY):
        slow.cast.take(b"x" * PAYLOAD)
    eventually(lambda: row(Slow).depth == MANY)
    seen = observe.snapshot("bytes")
    assert MANY * PAYLOAD <= row(Slow).mailbox_bytes <= MANY * (PAYLOAD + 100)
    (actor,) = [one for one in seen.actors if one.cls.endswith(":Slow")]
    assert actor.mailbox_bytes == row(Slow).mailbox_bytes == seen.totals.mailbox_bytes
    (lane,) = [one for one in seen.lanes if (one.sender, one.receiver) == (0, 1)]
    assert lane.queued_bytes >= actor.mailbox_bytes and lane.used >= MANY


def test_large_messages_count_with_what_they_keep_in_shared_memory(node, slow, eventually):
    for _ in range(3):
        slow.cast.take(numpy.zeros(1_000_000, dtype=numpy.uint8))
    eventually(lambda: row(Slow).depth == 3)
    assert 3_000_000 <= row(Slow).mailbox_bytes < 3_100_000


def test_messages_from_within_the_process_are_estimated_and_forgotten_when_handled(node, slow, tmp_path, eventually):
    neighbour = node.spawn(Neighbour, placement=1)
    neighbour.call.flood(slow, b"x" * PAYLOAD, MANY)
    eventually(lambda: row(Slow).mailbox_bytes >= MANY * PAYLOAD * 0.9)
    assert row(Slow).mailbox_bytes <= MANY * PAYLOAD * 1.3
    (tmp_path / "go").touch()
    eventually(lambda: row(Slow).mailbox_bytes == 0)
