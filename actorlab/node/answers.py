"""RemoteAsk: the sink of a question that came from another process; its answer travels back by lane.

Edge (sends). Answers at most once, and never raises: an answer that cannot be pickled, is too large or finds no room
becomes an error at the caller, which says that the handler ran; an exception that cannot travel a RemoteError.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..actor import CAST, FAIL, REPLY, TELL, Chain, Future
from ..errors import CallError, RemoteError
from ..transport import MAX_PAYLOAD_BYTES, decode_exception, dumps, encode_exception, loads

if TYPE_CHECKING:
    from .runtime import ProcessRuntime

log = logging.getLogger("actorlab")

LARGE_IN_A_ROW = 64
"""After a large answer, so many are looked through for large buffers before these are copied in vain."""


class Order(Future[Any]):
    """The answer to what a kernel was asked to do. Lost with its worker, it fails with WorkerLost."""


class RemoteAsk:
    """Where the answer to a question from another process goes."""

    __slots__ = ("_answered", "_runtime", "chain", "corr", "waiting_in")

    def __init__(self, runtime: ProcessRuntime, corr: int, chain: Chain) -> None:
        self._runtime = runtime
        self.corr = corr
        self._answered = False
        self.chain = chain
        self.waiting_in: Any = None

    def reply(self, value: Any) -> None:
        """Send the value back."""
        if self._answered:
            return
        self._answered = True
        corr, sending = self.corr, self._runtime.sending
        process = corr >> 56
        try:
            if sending.large_answers:
                large = sending.post_body(process, 0, corr, REPLY, value, "the reply")
                sending.large_answers = LARGE_IN_A_ROW if large else sending.large_answers - 1
                return
            payload = dumps(value, "the reply")
            if len(payload) <= MAX_PAYLOAD_BYTES:
                door = sending.doors.get(process)
                if door is None or not door(0, corr, REPLY, 0, payload, None):
                    sending.post(process, 0, corr, REPLY, 0, payload)
            else:
                sending.large_answers = LARGE_IN_A_ROW
                sending.post_body(process, 0, corr, REPLY, value, "the reply")
        except Exception as error:
            self._send(error, handled=True)

    def fail(self, error: BaseException) -> None:
        """Send the exception back; a CallError says by itself whether the handler ran."""
        if not self._answered:
            self._answered = True
            self._send(error, handled=False)

    def _send(self, error: BaseException, handled: bool) -> None:
        process, corr = self.corr >> 56, self.corr
        try:
            self._runtime.sending.post_raw(process, 0, corr, FAIL, encode_exception(error, handled))
        except Exception as trouble:
            short = RemoteError(type(error).__name__, f"{str(error)[:500]} (its details were lost: {trouble})")
            try:
                self._runtime.sending.post_raw(process, 0, corr, FAIL, encode_exception(short, handled))
            except Exception:
                log.exception("an answer to process %d is lost", process)


class OrderTaken:
    """The sink of an order from another process: until it is answered, the runtime knows that we are at it."""

    __slots__ = ("_ask", "_runtime")

    def __init__(self, runtime: ProcessRuntime, corr: int) -> None:
        self._runtime = runtime
        self._ask = RemoteAsk(runtime, corr, ())
        runtime.orders.add(corr)

    def reply(self, value: Any) -> None:
        """Send the value back."""
        self._ask.reply(value)
        self._runtime.orders.discard(self._ask.corr)  # only now: who is told that we are not at it has the answer

    def fail(self, error: BaseException) -> None:
        """Send the exception back."""
        self._ask.fail(error)
        self._runtime.orders.discard(self._ask.corr)


class CopiedAnswer:
    """The sink of a question within a process that pickles its messages all the same (strict messages)."""

    __slots__ = ("origin", "waiting_in")

    def __init__(self, sink: Any) -> None:
        self.origin = sink
        self.waiting_in: Any = None

    @property
    def chain(self) -> Chain:
        """Who waits for it."""
        chain: Chain = self.origin.chain
        return chain

    @property
    def state(self) -> int:
        """Whether its asker has an outcome: then nobody need answer."""
        return int(self.origin.state)

    def reply(self, value: Any) -> None:
        """Answer with a copy of the value, or with NotSendable."""
        try:
            copied = loads(dumps(value, "the reply"))
        except Exception as error:
            self.fail(error)
        else:
            self.origin.reply(copied)

    def fail(self, error: BaseException) -> None:
        """Answer with the exception as another process would see it."""
        self.origin.fail(decode_exception(encode_exception(error, not isinstance(error, CallError))))


def copied_envelope(envelope: tuple[Any, ...]) -> tuple[Any, ...]:
    """Pickle a message between actors of one process, as if it went to another. Raises NotSendable."""
    if envelope[0] in (TELL, CAST):
        return (envelope[0], *loads(dumps(envelope[1:], "a message")))
    return (envelope[0], *loads(dumps(envelope[1:-1], "a message")), CopiedAnswer(envelope[-1]))
