"""Steps: the paths of a message through the code, and where in it each of their steps ends.

Pure; read by `bench_steps`, which has `probes` put there. The names of the steps are those of docs/performance.md. What
ends at a place is what came before it since the last place that was passed; so the steps of a path leave nothing out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from .probes import EMPTY, Probe

Where = Literal["before", "after", "of", "within"]

_CAST = "actorlab.actor.ref:Cast.__getattr__"
_CALL = "actorlab.actor.ref:Call.__getattr__"
_LOCAL_CALL = "actorlab.actor.waiting:call"
_PARK = "actorlab.actor.waiting:park"
_CALL_OUT = "actorlab.actor.remote_call:call_out"
_RUNNER = "actorlab.actor.scheduler:Kernel.runner"
_ACTIVATE = "actorlab.actor.scheduler:Kernel._activate"
_FROM_LANE = "actorlab.actor.handling:_lane_handler"
_SHORTCUT = "actorlab.node.sending:Sending._shortcut"
_DRAIN = "actorlab.node.draining:drainer"
_REPLY = "actorlab.node.answers:RemoteAsk.reply"
_TRY_SEND = "actorlab.transport.lane_writer:_sender"


@dataclass(frozen=True, slots=True)
class Path:
    """One way of a message, or a part of it: its probes in the order in which they are passed."""

    probes: tuple[Probe, ...]

    @property
    def steps(self) -> tuple[str, ...]:
        """Return its steps, in order."""
        return tuple(dict.fromkeys(probe.step for probe in self.probes if probe.step != EMPTY))


def _path(*probes: tuple[str, str, Where, str], twice: int | None = 0) -> Path:
    """Return a path; where its probe `twice` stands, which is passed once a message, there is a second one."""
    made = [Probe(*probe) for probe in probes]
    if twice is not None:
        made.insert(twice + 1, replace(made[twice], step=EMPTY))
    return Path(tuple(made))


TURN = "1 in 64 finds 64 waiting: the sender gives way, the scheduler's turn, and back"

TELL = _path(
    ("the loop that sends, and into `cast.take`", _CAST, "of", "def send("),
    ("is the actor of this kernel, and this its thread", _CAST, "before", "mailbox = cell.mailbox"),
    ("is there room", _CAST, "before", "mailbox.append("),
    ("one tuple into its mailbox", _CAST, "before", "if cell.phase == IDLE"),
    ("into the run queue, if it was idle", _CAST, "after", "if cell.phase == IDLE"),
    (TURN, _CAST, "after", "outbound.cast("),
    (TURN, _ACTIVATE, "before", "cell.phase = RUNNING"),
    ("is there another, is the slice over", _ACTIVATE, "before", "if not mailbox:\n"),
    ("out of the mailbox", _ACTIVATE, "before", "try:"),
    ("of which kind is it", _ACTIVATE, "before", "result = public["),
    ("the method, looked up and called", _ACTIVATE, "before", "if result.__class__ is CoroutineType"),
    ("counted; is its context as it was", _ACTIVATE, "before", "if n >= clock_at"),
)

SENDING = _path(
    ("the loop that sends, and into `cast.take`", _CAST, "of", "def send("),
    ("the actor is elsewhere: the short way to it", _SHORTCUT, "of", "def send("),
    ("has its mailbox room, is the node ours, does it live", _SHORTCUT, "before", "try:"),
    ("pickled, and nothing of `__main__` in it", _SHORTCUT, "before", "if len(payload) > most"),
    ("it fits a block, nothing waits before it", _TRY_SEND, "of", "def try_send("),
    ("the lane's lock taken", _TRY_SEND, "after", "acquire()"),
    ("a free block", _TRY_SEND, "before", "previous = owners["),
    ("to whom it counts as on its way", _TRY_SEND, "before", "offset = data"),
    ("header and payload, in one `pack_into`", _TRY_SEND, "before", "status[block] = single"),
    ("published: its status, its place in the ring, the tail", _TRY_SEND, "before", "writer._sent_bytes +="),
    ("the lock given back", _TRY_SEND, "before", "if not news["),
    ("does the receiver know that there is news", _TRY_SEND, "before", "return block\n"),
    ("back to the loop", _CAST, "before", "return\n"),
)

HANDLING = _path(
    ("the hub's turn: 1 in 256", _DRAIN, "before", "records = reader.drain("),
    ("out of the lane, 256 at a time", _DRAIN, "before", "if not records"),
    ("into its mailbox, one by one", _DRAIN, "after", "if not cell.phase:"),
    ("the scheduler's turn: 1 in 64", _ACTIVATE, "before", "cell.phase = RUNNING"),
    ("is there another, is the slice over", _ACTIVATE, "before", "if not mailbox:\n"),
    ("out of the mailbox", _ACTIVATE, "before", "try:"),
    ("of which kind is it: one that lies in its lane", _FROM_LANE, "of", "def from_lane("),
    ("\"this block is in hand\": one store", _FROM_LANE, "before", "if flags or kind > CALL"),
    ("copied", _FROM_LANE, "within", "body = loads("),
    ("unpickled", _FROM_LANE, "before", "sink = None\n"),
    ("which method", _FROM_LANE, "before", "result = cell.behaviour.public["),
    ("the method", _FROM_LANE, "before", "if result.__class__ is CoroutineType"),
    ("counted; is its context as it was", _FROM_LANE, "before", "if sink is not None"),
    ("its block free; does the sender want room", _FROM_LANE, "before", "words[cell.word] = handled << 24"),
    ("\"handled, nothing in hand\": one store", _FROM_LANE, "before", "return True\n"),
    twice=5,
)

CALL = _path(
    ("the loop that asks, and into `call.echo`", _CALL, "of", "def call("),
    ("is the actor of this kernel, and this its thread", _LOCAL_CALL, "of", "def call("),
    ("does the callee wait for us", _LOCAL_CALL, "before", "behaviour = cell.behaviour"),
    ("the method looked up", _LOCAL_CALL, "before", "if calls:\n"),
    ("a place for the answer, the last call's", _LOCAL_CALL, "before", "if not cell.phase and kernel.handovers"),
    ("both marked: it runs, we wait", _LOCAL_CALL, "before", "try:"),
    ("the thread is lent: a greenlet switch", _RUNNER, "after", "job = back.switch()"),
    ("who runs now, for whom", _RUNNER, "before", "result = function("),
    ("the method", _RUNNER, "before", "if result.__class__ is CoroutineType"),
    ("counted, in the node table too; idle again", _RUNNER, "before", "sink.outcome = result"),
    ("the answer in its place; is the context as it was", _RUNNER, "before", "self.current = None"),
    ("the thread is given back: a greenlet switch", _LOCAL_CALL, "before", "kernel.current = caller"),
    ("1 in 256: the hub has its turn", _LOCAL_CALL, "after", "_park_until_answered("),
    ("the answer taken up, its place kept for the next", _LOCAL_CALL, "before", "return result\n"),
)

SEEN = "until the other process sees it"

ASKING = _path(
    ("the loop that asks, and into `call.echo`", _CALL, "of", "def call("),
    ("the actor is elsewhere: which way", _CALL_OUT, "of", "def call_out("),
    ("who waits for us, a place for the answer, the deadline", _CALL_OUT, "before", "shortcut, body ="),
    ("the short way to it", _SHORTCUT, "of", "def send("),
    ("has its mailbox room, is the node ours, does it live", _SHORTCUT, "before", "try:"),
    ("pickled, and nothing of `__main__` in it", _SHORTCUT, "before", "if len(payload) > most"),
    ("numbered, and noted as asked", _TRY_SEND, "of", "def try_send("),
    ("into the lane, published", _TRY_SEND, "before", "writer._sent_bytes +="),
    (SEEN, _DRAIN, "before", "found = inlet.freed = True"),
    ("the answer copied, unpickled", _DRAIN, "before", "reader.status[block] = FREE"),
    ("its block free, its asker ready", _DRAIN, "after", "question.reply(value)"),
    ("the scheduler's turn, a greenlet switch", _PARK, "after", "kernel.hub_greenlet.switch()"),
    ("the answer taken up, its place kept for the next", _CALL_OUT, "before", "return result\n"),
)

ANSWERING = _path(
    (SEEN, _DRAIN, "before", "found = inlet.freed = True"),
    ("into its mailbox", _DRAIN, "after", "if not cell.phase:"),
    ("the scheduler's turn", _FROM_LANE, "of", "def from_lane("),
    ("\"this block is in hand\": one store", _FROM_LANE, "before", "if flags or kind > CALL"),
    ("copied, unpickled", _FROM_LANE, "before", "sink = None\n"),
    ("where its answer goes, which method", _FROM_LANE, "before", "result = cell.behaviour.public["),
    ("the method", _FROM_LANE, "before", "if result.__class__ is CoroutineType"),
    ("counted; is its context as it was", _REPLY, "of", "def reply("),
    ("the answer pickled", _REPLY, "before", "if len(payload) <= MAX_PAYLOAD_BYTES"),
    ("into the lane, published", _TRY_SEND, "before", "writer._sent_bytes +="),
    twice=None,
)

AFTER_THE_METHOD = ANSWERING.steps.index("the method")
"""From this step on, the answer to a question is noted; before it, the question."""

PATHS = (TELL, SENDING, HANDLING, CALL, ASKING, ANSWERING)
