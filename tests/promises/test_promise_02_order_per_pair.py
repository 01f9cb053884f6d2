"""Promise 2: messages from one sender to one receiver arrive in order. Between senders there is no order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from promise_drill import Recorder, Talker

import actorlab as al

pytestmark = pytest.mark.process

Eventually = Callable[..., None]


@pytest.mark.parametrize("capacity", [4, 1024])
@pytest.mark.parametrize("worker", [1, 2])
def test_messages_of_all_kinds_and_sizes_arrive_in_order(
    node: al.Node, eventually: Eventually, worker: int, capacity: int
) -> None:
    """Promise 2: tell, cast, call, ask and large messages from one sender, beside others who do the same."""
    ref = node.spawn(Recorder, placement=1, mailbox=al.Mailbox(capacity=capacity, timeout_s=30.0))
    talkers = [node.spawn(Talker, placement=worker) for _ in range(3)]
    futures = [talker.request.talk(ref, f"t{n}", 150) for n, talker in enumerate(talkers)]
    for n in range(150):
        ref.tell(("user", n, b""))
    for future in futures:
        assert future.get(timeout=60) == 150
    eventually(lambda: len(ref.within(30).call.all()) == 4 * 150)
    seen = ref.within(30).call.all()
    for who in ("t0", "t1", "t2", "user"):
        assert [item[1] for item in seen if item[0] == who] == list(range(150))


def test_what_a_local_actor_is_sent_arrives_in_order(node: al.Node, eventually: Eventually) -> None:
    """Promise 2: for an actor of the user's own process, whose messages two threads take from the lanes."""
    ref = node.spawn(Recorder, placement="local")
    talkers = [node.spawn(Talker, placement=1 + n % 2) for n in range(2)]
    futures = [talker.request.talk(ref, f"t{n}", 200) for n, talker in enumerate(talkers)]
    for future in futures:
        assert future.get(timeout=60) == 200
    eventually(lambda: len(ref.within(30).call.all()) == 2 * 200)
    seen = ref.within(30).call.all()
    for who in ("t0", "t1"):
        assert [item[1] for item in seen if item[0] == who] == list(range(200))
