"""What cannot work gets its typed error, with nothing half-started and nothing left; the actors live on."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from messaging_drill import Held, Link, Patient, Replies, Sender, Undecodable, open_all_lanes

import actorlab as al
from actorlab.errors import RemoteError

pytestmark = pytest.mark.process

Eventually = Callable[..., None]


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with al.Node(workers=2) as node:
        open_all_lanes(node)
        yield node


class Box:
    """Plain data with something in it that cannot be sent."""

    def __init__(self) -> None:
        self.number = 1
        self.inner = {"lock": threading.Lock()}


# -- messages ---------------------------------------------------------------------------------------------------------


def test_an_unpicklable_message_is_refused_with_the_path_to_the_culprit(node: al.Node) -> None:
    ref = node.spawn(Held, placement=1)
    for send in (ref.tell, ref.ask, ref.call.take, ref.cast.take, ref.request.take):
        with pytest.raises(al.NotSendable) as refused:
            send(Box())
        assert refused.value.delivery == "never"
        path = {ref.tell: "inner", ref.ask: "message.inner"}.get(send, "args[0].inner") + "['lock']: cannot pickle"
        assert path in str(refused.value)
    assert ref.call.all() == []


def test_an_unpicklable_start_argument_starts_nothing(node: al.Node, eventually: Eventually) -> None:
    before = actors(node)
    with pytest.raises(al.NotSendable):
        node.spawn(Replies, Box(), placement=1)
    eventually(lambda: actors(node) == before)


def test_a_start_argument_that_does_not_unpickle_is_a_start_error(node: al.Node, eventually: Eventually) -> None:
    before = actors(node)
    with pytest.raises(al.StartError, match="on arrival"):
        node.spawn(Replies, Undecodable(), placement=1)
    eventually(lambda: actors(node) == before)
    assert node.spawn(Replies, placement=1).call.fine() == "fine"


def test_a_message_that_does_not_unpickle_is_a_dead_letter_and_its_caller_is_told(
    node: al.Node, eventually: Eventually
) -> None:
    ref = node.spawn(Held, placement=1)
    before = node.dead_letters.counts["undecodable"]
    with pytest.raises(al.NotSendable, match="on arrival") as refused:
        ref.call.take(Undecodable())
    assert refused.value.delivery == "never"
    with pytest.raises(al.NotSendable):
        ref.ask(Undecodable(), timeout=5)
    ref.tell(Undecodable())
    ref.cast.take(Undecodable())
    eventually(lambda: node.dead_letters.counts["undecodable"] == before + 4)
    assert ref.call.all() == []
    eventually(lambda: ref.statistics().dead_lettered == 4)


def test_an_unpicklable_reply_is_the_callers_error_and_the_actor_lives(node: al.Node) -> None:
    ref = node.spawn(Replies, placement=1)
    with pytest.raises(al.NotSendable) as refused:
        ref.call.lock()
    assert refused.value.delivery == "handled"  # it ran: a retry would run it again
    assert ref.call.fine() == "fine"
    assert ref.incarnation == 0


def test_a_reply_that_does_not_unpickle_is_the_callers_error(node: al.Node) -> None:
    ref = node.spawn(Replies, placement=1)
    with pytest.raises(RemoteError, match="on arrival"):
        ref.call.undecodable()
    assert ref.call.fine() == "fine"


def test_an_exception_that_does_not_pickle_arrives_as_remote_error(node: al.Node) -> None:
    ref = node.spawn(Replies, placement=1)
    with pytest.raises(RemoteError, match="boo") as error:
        ref.call.curse()
    assert "Cursed" in error.value.type_name
    assert "curse" in error.value.traceback


def test_a_call_error_of_the_handlers_own_does_not_promise_a_safe_retry(node: al.Node) -> None:
    ref = node.spawn(Replies, placement=1)
    with pytest.raises(al.MailboxFull) as error:
        ref.call.nested_refusal()
    assert error.value.delivery == "handled"


@pytest.mark.parametrize("worker", [1, 2])
def test_a_wrong_method_or_wrong_arguments_are_a_bad_call(node: al.Node, worker: int) -> None:
    ref = node.spawn(Held, placement=1)
    sender = node.spawn(Sender, placement=worker)
    for method, args in (("nonsense", ()), ("take", ()), ("take", (1, 2))):
        with pytest.raises(al.BadCall):
            sender.call.call(ref, method, *args)
        with pytest.raises(al.BadCall) as bad:
            getattr(ref.call, method)(*args)
        assert bad.value.delivery == "never"
    assert ref.call.all() == []


# -- references -------------------------------------------------------------------------------------------------------


def test_a_ref_to_a_dead_actor_says_so(node: al.Node) -> None:
    ref = node.spawn(Held, placement=1)
    sender = node.spawn(Sender, placement=2)
    assert ref.stop() is True
    assert ref.stop() is False
    for send in (ref.tell, ref.call.take, ref.cast.take):
        with pytest.raises(al.ActorDied) as died:
            send(1)
        assert died.value.delivery == "never"
    with pytest.raises(al.ActorDied):
        ref.request.take(1).get(timeout=30)
    assert sender.call.tell(ref, [1]) == ["ActorDied(noproc)"]
    assert not ref.is_alive()


def test_an_old_ref_never_reaches_a_stranger(node: al.Node) -> None:
    old = node.spawn(Held, placement=1)
    old.stop()
    new = node.spawn(Held, placement=1)
    with pytest.raises(al.ActorDied):
        old.tell("for the old one")
    assert old != new
    assert new.call.all() == []


def test_a_ref_of_a_node_that_has_ended_says_so(tmp_path: Path) -> None:
    with al.Node(workers=1) as gone:
        ref = gone.spawn(Held)
        data = pickle.dumps(ref)
        waiting = ref.request.hold(str(tmp_path / "never"))
        gone.stop(brutal=True)
    assert not ref.is_alive()
    for send in (ref.tell, ref.call.take, ref.cast.take):
        with pytest.raises(al.NodeGone) as error:
            send(1)
        assert error.value.delivery == "never"
    with pytest.raises((al.NodeGone, al.ActorDied)):
        waiting.get(timeout=30)
    with pytest.raises(al.NodeGone):
        pickle.loads(data).tell(1)


def test_a_ref_of_another_node_can_be_held_but_not_used(node: al.Node) -> None:
    with al.Node(workers=1) as other:
        foreign = other.spawn(Held)
        ref = node.spawn(Held, placement=1)
        assert ref.call.take(foreign) == foreign  # back where its node is known, it is as good as ever
        assert foreign.call.take(1) == 1
        sender = node.spawn(Sender, placement=2)
        assert sender.call.tell(foreign, [1]) == ["NodeGone"]
        with pytest.raises(al.NodeGone):
            sender.call.call(foreign, "take", 1)
        assert foreign.call.all() == [1]


# -- cycles of calls --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [(1, 2), (1, 2, 1), (1, 2, 2), (1, 1, 2), (2, 1, 1, 2)])
def test_a_cycle_of_calls_is_refused_at_once(node: al.Node, workers: tuple[int, ...]) -> None:
    ring = [node.spawn(Link, placement=worker) for worker in workers]
    for this, following in zip(ring, ring[1:] + ring[:1], strict=True):
        this.call.join(following)
    assert ring[0].call.go(len(ring) - 1) == len(ring) - 1
    with pytest.raises(al.DeadlockDetected, match="cast"):
        ring[0].within(60).call.go(len(ring) + 1)
    assert ring[0].call.go(len(ring) - 1) == len(ring) - 1  # nobody was harmed


def test_an_actor_that_calls_itself_is_refused(node: al.Node) -> None:
    ref = node.spawn(Link, placement=1)
    ref.call.join(ref)
    with pytest.raises(al.DeadlockDetected):
        ref.within(60).call.go(1)


# -- starting ---------------------------------------------------------------------------------------------------------


def test_what_is_no_actor_cannot_be_spawned(node: al.Node) -> None:
    for nonsense in (int, "Held", Held.take, None):
        with pytest.raises(al.SpecError, match="no actor"):
            node.spawn(nonsense)  # type: ignore[type-var]


@pytest.mark.parametrize("placement", [0, 3, "nowhere", al.beside("nobody"), 1.5])
def test_a_placement_that_is_nowhere_is_refused(node: al.Node, placement: Any) -> None:
    with pytest.raises(al.SpecError):
        node.spawn(Held, placement=placement)


@pytest.mark.parametrize(
    "mailbox", [{"capacity": 0}, {"capacity": "5"}, {"overflow": "explode"}, {"timeout_s": -1.0}]
)
def test_a_mailbox_that_makes_no_sense_is_refused(mailbox: dict[str, Any]) -> None:
    with pytest.raises(al.SpecError, match="mailbox"):
        al.Mailbox(**mailbox)


def actors(node: al.Node) -> int:
    return sum(len(tuple(node.runtime.table(worker.number).table.live())) for worker in node.workers)


# -- too little shared memory -----------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Path]]:
    """Return how to get a directory with so many KiB of room: a tiny tmpfs, or a file system that refuses more."""
    mounted: list[Path] = []

    def make(kib: int) -> Path:
        place = tmp_path / f"small-{kib}"
        place.mkdir(mode=0o700)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=700", "tmpfs", str(place)], capture_output=True
        )
        if done.returncode == 0:
            mounted.append(place)
        else:
            limit_allocation(monkeypatch, kib * 1024)
        return place

    yield make
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


def limit_allocation(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Let this process allocate `room` bytes in files, then no more."""
    allocate, left = os.posix_fallocate, [room]

    def refuse(fd: int, offset: int, length: int) -> None:
        if length > left[0]:
            raise OSError(28, "No space left on device")
        left[0] -= length
        allocate(fd, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", refuse)


@pytest.mark.parametrize("kib", [16, 128, 600, 1600, 4096, 6000])
def test_a_node_without_room_in_shared_memory_does_not_start(
    small: Callable[[int], Path], kib: int, caplog: pytest.LogCaptureFixture
) -> None:
    place = small(kib)
    caplog.set_level(logging.CRITICAL)
    try:
        with al.Node(workers=2, runtime_dir=str(place), start_timeout_s=10.0) as node:
            refs = node.spawn_many(Held, 10)
            assert all(ref.call.take(1) == 1 for ref in refs)
            sender = node.spawn(Sender, placement=1)
            sender.call.tell(node.spawn(Held, placement=2), [1])
    except al.SharedMemoryFull as full:
        assert "runtime_dir" in str(full)  # the remedy
    assert not list(place.glob("actorlab-*/*"))


def test_a_large_message_without_room_is_refused_and_nothing_is_left(small: Callable[[int], Path]) -> None:
    place = small(16 * 1024)
    with al.Node(workers=1, runtime_dir=str(place)) as node:
        ref = node.spawn(Patient)
        with pytest.raises(al.SharedMemoryFull, match="runtime_dir"):
            ref.call.take(bytes(15 << 20))
        assert not list(place.glob("actorlab-*/*/spill-*"))
        assert ref.call.take(1) == 1
        assert ref.call.take(bytes(1 << 20)) == bytes(1 << 20)


def test_a_large_reply_without_room_is_the_callers_error(small: Callable[[int], Path]) -> None:
    place = small(16 * 1024)
    with al.Node(workers=1, runtime_dir=str(place)) as node:
        ref = node.spawn(Replies)
        with pytest.raises(al.SharedMemoryFull):
            ref.call.huge(15 << 20)
        assert ref.call.fine() == "fine"
        assert not list(place.glob("actorlab-*/*/spill-*"))
