"""A worker SIGKILLed just before and just after each store to the node table: its successor finds the books right.

Every test sends numbered messages from another process, from beside the actor, or both, kills the worker at one crash
point while they are handled, and looks when the node is at rest: no number was handled twice (P4), each call settled
once and said the truth (P6), and the books have each message once (P5).

The crash points are those of handling, scheduler, endings, stash and reentry, and of books, takeover and draining.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import store_bomb
from recovery_drill import kill_worker
from store_drill import Inside, Ledger, Open, Patient, Retried, Stashing

import actorlab as al
from actorlab.transport import crashpoint_labels, view_tally

pytestmark = pytest.mark.process

Eventually = Callable[..., None]

BESIDE = "beside"
LEDGERS = {kind.__name__: kind for kind in (Ledger, Patient, Stashing, Open, Retried)}
NARROW = {"reject": al.Mailbox(3, "reject"), "drop_new": al.Mailbox(3, "drop_new")}


@dataclass
class House:
    """A node of one worker, whose processes can be killed at a label; and the ledgers' notes."""

    node: al.Node
    bomb: Path
    notes: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def fresh(self, n: int) -> list[int]:
        return [next(self.numbers) for _ in range(n)]

    def noted(self) -> Counter[int]:
        return Counter(map(int, self.notes.read_text().split()))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("stores")
    bomb, notes = folder / "bomb", folder / "notes"
    store_bomb.disarm(bomb)
    notes.touch()
    children = [al.child(kind, str(notes), name=name, placement=1) for name, kind in LEDGERS.items()]
    children += [al.child(Patient, str(notes), name=name, placement=1, mailbox=box) for name, box in NARROW.items()]
    children += [al.child(Inside, name=BESIDE, placement=1), al.DynamicSupervisor(name="jobs")]
    tree = al.Supervisor(max_restarts=10_000, children=children)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(store_bomb.ENVIRONMENT, str(bomb))
        with al.Node(workers=1, tree=tree, preload=("store_bomb",), log_level="CRITICAL", call_timeout_s=20.0) as node:
            for placement in (1, "local"):  # every lane and bell of this process is in use from the first test on
                ref = node.spawn(Ledger, str(notes), placement=placement)
                ref.statistics()
                ref.stop()
            node.wait_idle(20)
            yield House(node, bomb, notes)


@pytest.fixture(autouse=True)
def _the_next_test_finds_nobody_doomed(house: House) -> Iterator[None]:
    yield
    store_bomb.disarm(house.bomb)


# -- what is sent, and what must be true of it in the end


@dataclass
class Sent:
    """What one test sent to one ledger: the numbers, and the futures of those that were questions."""

    outside: list[int] = field(default_factory=list)
    inside: list[int] = field(default_factory=list)
    questions: dict[int, al.Future[Any]] = field(default_factory=dict)
    settled: Counter[int] = field(default_factory=Counter)

    def ask(self, number: int, future: al.Future[Any]) -> None:
        self.questions[number] = future
        future.on_settled(lambda: self.settled.update([number]))


def tell_and_ask(house: House, ref: Any, method: str = "note", before: Sent | None = None) -> Sent:
    """Send of every kind, from this process; `before` takes what is sent now as well."""
    sent = Sent(house.fresh(24))
    if before is not None:
        before.outside += sent.outside
        sent.settled = before.settled
    for turn, n in enumerate(sent.outside):
        if turn % 4 == 0 and method == "note":
            ref.tell(n)
        elif turn % 4 == 1 and method == "note":
            sent.ask(n, ref.ask(n, block=False))
        elif turn % 4 == 2:
            sent.ask(n, getattr(ref.request, method)(n))
        else:
            getattr(ref.cast, method)(n)
    if before is not None:
        before.questions |= sent.questions
    return sent


def lost(sent: Sent) -> set[int]:
    """Wait until every question is settled; return those that were not answered, each of which said why."""
    unanswered = set()
    for n, future in sent.questions.items():
        try:
            assert future.get(timeout=30) == n
        except ValueError:
            pass  # the answer of a handler that fails
        except (al.ActorDied, al.MailboxFull) as error:
            assert error.delivery in ("unknown", "never")
            unanswered.add(n)
    return unanswered


def check(house: House, ref: Any, before: Any, sent: Sent, eventually: Eventually) -> Any:
    """P4, P5 and P6 over the death of a worker; return the statistics."""
    eventually(lambda: store_bomb.is_spent(house.bomb))
    unanswered = lost(sent)
    house.node.wait_idle(30)
    noted, now = house.noted(), ref.statistics()
    everything = sent.outside + sent.inside
    assert [n for n in everything if noted[n] > 1] == [], "handled twice"
    assert set(sent.questions) - unanswered <= set(noted), "answered, and not handled"
    eventually(lambda: all(sent.settled[n] for n in sent.questions))
    assert set(sent.settled.values()) <= {1}, "settled more than once"
    handled = now.handled + now.failed - before.handled - before.failed
    dead = now.dead_lettered - before.dead_lettered
    done = sum(noted[n] for n in everything)
    assert now.depth == 0
    assert handled <= done, "in the books as handled, and was not"
    assert handled + dead <= len(everything), "in the books twice"
    if not sent.inside:
        assert handled + dead == len(everything), "in no books"
        assert len(everything) - done <= 1, "more than the one in hand was not handled"
        assert dead <= 1
    # what was by reference, and in hand when the books were last written, is known to nobody
    assert not now.full
    return now


def doomed(
    house: House, name: str, label: str, skip: int = 0, times: int = 1, then: tuple[str, ...] = ()
) -> tuple[Any, Any]:
    """Have the worker killed at `label`, and its next ones where `then` says; return a ledger and its books."""
    ref = house.node.whereis(name)
    house.node.wait_idle(30)
    before = ref.statistics()
    store_bomb.order(house.bomb, (label, skip, times), *((one, 0, 1) for one in then))
    return ref, before


def buried(house: House) -> int:
    """Return how many messages the worker's actors that are gone had handled."""
    assert house.node.directory is not None
    return sum(row.handled for row in view_tally((house.node.directory / "tally.1").read_bytes()).values())


def places(house: House) -> int:
    """Return how many of the worker's slots are taken, when the node is at rest."""
    house.node.wait_idle(30)
    return sum(1 for _ in house.node.runtime.table(1).table.live())


BEGIN = ["begin.mark", "begin.marked"]
DONE = ["done.free", "done.freed", "done.over"]
HAND = ["hand.done", "hand.freed", "hand.over"]
TAKEN = ["taken.mark", "taken.marked", "taken.opened", "taken.free", "taken.freed"]
STRAND = ["strand.word", "strand.depth", "strand.over"]
SETTLE = ["settle.word", "settle.depth", "settle.noted"]
DEPTH = ["depth.before", "depth.at", "depth.after"]
ASIDE = ["aside.word", "aside.waits", "settle.aside", "settle.counted"]


CLOSING = {f"takeover.{when}" for when in ("close", "closed")}
"""Where test_takeover_killed.py kills."""


def test_every_point_is_tested() -> None:
    here = Path(__file__).read_text()
    labels = {label for module in store_bomb.MODULES for label in crashpoint_labels(module)}
    assert {one for one in labels if f'"{one}"' not in here} == CLOSING


@pytest.mark.parametrize("skip", [0, 9])
@pytest.mark.parametrize("label", BEGIN + DONE)
def test_a_message_that_came_by_a_lane_is_handled_once(house, eventually, label, skip):
    ref, before = doomed(house, "Ledger", label, skip)
    sent = tell_and_ask(house, ref)
    now = check(house, ref, before, sent, eventually)
    died = now.dead_lettered - before.dead_lettered
    assert died == (label in ("begin.marked", "done.free")), "in hand from the first store to the freeing of its block"


@pytest.mark.parametrize("then", ["takeover.handled", "takeover.counted"])
def test_a_message_that_was_done_is_counted_once_though_who_counts_it_dies(house, eventually, then):
    twice = then == "takeover.handled"  # after it is counted, the next has nothing to count
    ref, before = doomed(house, "Ledger", "done.freed", then=(then,) * (1 + twice))
    sent = tell_and_ask(house, ref)
    check(house, ref, before, sent, eventually)


@pytest.mark.parametrize("skip", [0, 9])
@pytest.mark.parametrize("label", HAND)
def test_a_message_whose_handler_was_a_task_is_handled_once(house, eventually, label, skip):
    ref, before = doomed(house, "Ledger", label, skip)
    sent = tell_and_ask(house, ref, method="note_later")
    now = check(house, ref, before, sent, eventually)
    assert now.dead_lettered - before.dead_lettered == (label == "hand.done")


@pytest.mark.parametrize("label", TAKEN + STRAND)
def test_a_message_that_is_taken_out_of_its_lane_first_is_handled_once_at_most(house, eventually, label):
    """Of a reentrant actor: what was under way on its strands is written off by number."""
    ref, before = doomed(house, "Open", label, 3)
    sent = tell_and_ask(house, ref)
    sent.inside, sent.outside = sent.outside, []
    check(house, ref, before, sent, eventually)


@pytest.mark.parametrize("label", [*SETTLE, "gone.before", "gone.after"])
def test_what_waits_when_the_depth_is_written_is_never_in_the_books_twice(house, eventually, label):
    """From beside it, by reference: handled and written off together are never more than were sent."""
    ref, before = doomed(house, "Ledger", label, 1)
    beside = house.node.whereis(BESIDE)
    sent = Sent(inside=house.fresh(300))
    beside.cast.tell_all(ref, "note", sent.inside)
    check(house, ref, before, sent, eventually)


@pytest.mark.parametrize("label", ["call.word", "call.counted"])
def test_a_call_from_beside_is_in_the_books_once_at_most(house, eventually, label):
    """Of an actor that nobody restarts, so its class's tally has what it had done."""
    ref = house.node.spawn(Ledger, str(house.notes), placement=1)
    beside, _ = doomed(house, BESIDE, label, 5)
    before, sent = buried(house), Sent(inside=house.fresh(12))
    with pytest.raises(al.ActorDied) as died:
        beside.call.ask_all(ref, sent.inside)
    assert died.value.delivery == "unknown"
    house.node.wait_idle(30)
    noted = house.noted()
    assert [noted[n] for n in sent.inside] == [1] * 6 + [0] * 6
    eventually(lambda: buried(house) - before == 5 + (label == "call.counted"))


@pytest.mark.parametrize("label", [*ASIDE, *DEPTH])
def test_a_message_put_aside_is_handled_once(house, eventually, label):
    ref, before = doomed(house, "Stashing", label, 2)
    sent = tell_and_ask(house, ref)
    eventually(lambda: store_bomb.is_spent(house.bomb))
    sent.outside.append(next(n for n in house.numbers if n % 2 == 0))
    assert ref.within(20).call.note(sent.outside[-1]) == sent.outside[-1]  # whatever is aside comes back
    check(house, ref, before, sent, eventually)


@pytest.mark.parametrize("then", [(), ("takeover.stop",), ("takeover.stop_waits",)])
def test_a_stop_that_was_in_hand_is_done_by_the_next_and_is_no_message(house, eventually, then):
    """In hand, and not yet begun with: no dead letter, and the depth is not off by one ever after."""
    for name in ("Ledger", "Retried"):
        ref, before = doomed(house, name, "begin.marked", then=then)
        stopped = ref.stop(block=False)
        eventually(lambda: store_bomb.is_spent(house.bomb))
        assert stopped.get(timeout=30) in (True, False)
        sent = tell_and_ask(house, ref)
        now = check(house, ref, before, sent, eventually)
        assert now.dead_lettered == before.dead_lettered


@pytest.mark.parametrize("label", ["end.word", "end.state", "end.begun"])
@pytest.mark.parametrize("name", ["Ledger", "Retried"])
def test_a_stop_is_done_once_and_who_waits_behind_it_is_served_by_the_next(house, eventually, label, name):
    ref, before = doomed(house, name, label)
    sent = tell_and_ask(house, ref)
    stopped = ref.stop(block=False)
    behind = tell_and_ask(house, ref, before=sent)
    assert stopped.get(timeout=30) in (True, False)
    assert lost(behind) == set()
    now = check(house, ref, before, sent, eventually)
    assert now.dead_lettered == before.dead_lettered


@pytest.mark.parametrize("label", ["final.word", "final.close", "final.closed"])
def test_the_place_of_who_ended_for_good_is_free_again(house, eventually, label):
    before = places(house)
    jobs = house.node.whereis("jobs")
    job = al.child(Ledger, str(house.notes), name="job", restart="temporary", placement=1)
    for start in (lambda: house.node.spawn(Ledger, str(house.notes), placement=1), lambda: jobs.call.start_child(job)):
        one: Any = start()
        doomed(house, BESIDE, label)
        number = house.fresh(1)[0]
        assert one.call.note(number) == number
        assert one.stop(block=False).get(timeout=30) in (True, False)
        eventually(lambda: store_bomb.is_spent(house.bomb))
        house.node.wait_idle(30)
        assert house.noted()[number] == 1
    eventually(lambda: places(house) == before)
    assert jobs.call.count_children().active == 0


@pytest.mark.parametrize("label", ["lent.word", "lent.over", "state.before", "state.after"])
def test_a_start_that_died_with_its_worker_leaves_no_place_behind(house, eventually, label):
    before = places(house)
    doomed(house, BESIDE, label)
    with pytest.raises(al.StartError):
        house.node.spawn(Ledger, str(house.notes), placement=1)
    eventually(lambda: store_bomb.is_spent(house.bomb))
    eventually(lambda: places(house) == before)


@pytest.mark.parametrize("label", ["named.before", "named.after"])
def test_a_name_whose_owner_died_being_named_is_free(house, eventually, label):
    before = places(house)
    doomed(house, BESIDE, label)
    with pytest.raises(al.StartError):
        house.node.spawn(Ledger, str(house.notes), placement=1, name="till")
    eventually(lambda: places(house) == before)
    assert house.node.whereis("till") is None
    till = house.node.spawn(Ledger, str(house.notes), placement=1, name="till")
    assert till.stop(timeout=30)


INCARNATION = ["incarnation.before", "incarnation.after"]
SUPERVISOR = ["supervisor.before", "supervisor.epoch", "supervisor.after"]


@pytest.mark.parametrize(
    ("label", "skip"),
    [(label, 0) for label in (*INCARNATION, *SUPERVISOR, *DEPTH)]
    + [(label, skip) for label in ("state.before", "state.after") for skip in range(3)],
)
def test_a_restart_that_dies_with_its_worker_is_made_again_with_the_queue_it_had(house, eventually, label, skip):
    ref, before = doomed(house, "Ledger", label, skip)
    sent = tell_and_ask(house, ref)
    sent.outside.append(house.fresh(1)[0])
    ref.cast.fail(sent.outside[-1])
    behind = tell_and_ask(house, ref, before=sent)
    assert lost(behind) == set()
    now = check(house, ref, before, sent, eventually)
    assert now.incarnation > before.incarnation


@pytest.mark.parametrize("label", ["full.before", "full.after"])
@pytest.mark.parametrize("skip", [0, 3])
def test_a_mailbox_that_was_said_to_be_full_is_not_for_ever(house, eventually, label, skip):
    ref, before = doomed(house, "reject", label, skip)
    sent = Sent()
    while not store_bomb.is_spent(house.bomb):
        sent.inside += house.fresh(1)
        with suppress(al.MailboxFull):
            ref.cast.note(sent.inside[-1])
    check(house, ref, before, sent, eventually)
    number = house.fresh(1)[0]
    assert ref.call.note(number) == number


@pytest.mark.parametrize("label", ["failed.before", "failed.after"])
def test_a_failure_from_beside_is_in_the_books_once_at_most(house, eventually, label):
    ref, before = doomed(house, "Patient", label, 3)
    sent = Sent(inside=house.fresh(30))
    house.node.whereis(BESIDE).cast.tell_all(ref, "fail", sent.inside)
    check(house, ref, before, sent, eventually)


@pytest.mark.parametrize("label", ["dead.before", "dead.after"])
def test_what_was_dropped_from_beside_is_in_the_books_once_at_most(house, eventually, label):
    ref, before = doomed(house, "drop_new", label, 3)
    sent = Sent(inside=house.fresh(30))
    house.node.whereis(BESIDE).cast.tell_all(ref, "note", sent.inside)
    check(house, ref, before, sent, eventually)


@pytest.mark.parametrize(
    ("label", "times"),
    [(label, times) for label in ("takeover.lost", "takeover.depth", "takeover.over") for times in (1, 2)]
    + [("takeover.written_off", 1)],  # the next has nothing to write off
)
def test_what_was_sent_from_beside_is_written_off_once(house, tmp_path, eventually, label, times):
    ref, before = doomed(house, "Ledger", label, 0, times)
    ref.cast.hold(str(tmp_path / "never"))
    eventually((tmp_path / "never.held").exists)
    sent = Sent(house.fresh(20), house.fresh(20))
    house.node.whereis(BESIDE).call.tell_all(ref, "note", sent.inside)
    for number in sent.outside:
        ref.cast.note(number)
    eventually(lambda: ref.statistics().depth == 40)
    kill_worker(house.node, 1)
    eventually(lambda: store_bomb.is_spent(house.bomb))
    house.node.wait_idle(30)
    noted, now = house.noted(), ref.statistics()
    assert [noted[n] for n in sent.outside] == [1] * 20
    assert [noted[n] for n in sent.inside] == [0] * 20
    assert now.handled - before.handled == 20
    assert now.dead_lettered - before.dead_lettered in (20, 21)  # at least: whether the one in hand waited is not known


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("label", ["retry.forget", "retry.tried", "retry.attempt", "retry.word", "retry.waits"])
def test_no_message_is_tried_more_often_than_its_actor_says(house, eventually, label, times):
    """P4: killed before a try is counted, the same try comes; after it, one is not made: never one too many."""
    ref = house.node.whereis("Retried")
    for _ in range(2):  # the second must not inherit what the first had used up
        ref, before = doomed(house, "Retried", label, 0, times)
        number = house.fresh(1)[0]
        with pytest.raises(al.ActorDied) as died:
            ref.within(30).call.die_of(number)
        assert died.value.delivery == "unknown"
        house.node.wait_idle(30)
        tries, now = house.noted()[number], ref.statistics()
        if label in ("retry.word", "retry.waits"):
            assert 3 - times <= tries <= 3
        else:
            assert tries == 3
        assert now.dead_lettered - before.dead_lettered == 1
        assert (now.handled, now.failed, now.depth) == (before.handled, before.failed, 0)


@pytest.mark.parametrize("label", ["answer.free", "answer.freed"])
def test_an_answer_dies_with_who_asked_and_was_given_once(house, eventually, label):
    local = house.node.spawn(Ledger, str(house.notes), placement="local")
    beside, _ = doomed(house, BESIDE, label, 3)
    numbers = house.fresh(8)
    with pytest.raises(al.ActorDied) as died:
        beside.call.ask_all(local, numbers)
    assert died.value.delivery == "unknown"
    house.node.wait_idle(30)
    noted = house.noted()
    assert [noted[n] for n in numbers] == sorted((noted[n] for n in numbers), reverse=True)
    assert set(noted[n] for n in numbers) == {0, 1}
    more = house.fresh(4)
    assert beside.within(20).call.ask_all(local, more) == more
    local.stop()
