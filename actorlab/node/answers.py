"""RemoteAsk: the sink of a question that came from another process; its answer travels back by lane.

Edge (sends). Answers at most once, and never raises: an answer that cannot be pickled, is too large or finds no room
becomes an error at the caller, which says that the handler ran; an exception that cannot travel a RemoteError.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..actor import FAIL, REPLY, Chain, Future
from ..errors import CallError, RemoteError
from ..transport import MAX_PAYLOAD_BYTES, decode_exception, dumps, encode_exception, loads

if TYPE_CHECKING:
    from .runtime import ProcessRuntime

log = logging.getLogger("actorlab")


class Order(Future[Any]):
    """The answer to what a kernel was asked to do. Lost with its worker, it fails with WorkerLost."""


class RemoteAsk:
    """Where the answer to a question from another process goes."""

    __slots__ = ("_answered", "_corr", "_runtime", "chain", "waiting_in")

    def __init__(self, runtime: ProcessRuntime, corr: int, chain: Chain) -> None:
        self._runtime = runtime
        self._corr = corr
        self._answered = False
        self.chain = chain
        self.waiting_in: Any = None

    def reply(self, value: Any) -> None:
        """Send the value back."""
        if self._answered:
            return
        self._answered = True
        corr, sending = self._corr, self._runtime.sending
        process = corr >> 56
        try:
            payload = dumps(value, "the reply")
            if len(payload) <= MAX_PAYLOAD_BYTES:
                door = sending.doors.get(process)
                if door is None or not door(0, corr, REPLY, 0, payload, None):
                    sending.post(process, 0, corr, REPLY, 0, payload)
            else:
                sending.post_body(process, 0, corr, REPLY, value, "the reply")
        except Exception as error:
            self._send(error, handled=True)

    def fail(self, error: BaseException) -> None:
        """Send the exception back; a CallError says by itself whether the handler ran."""
        if not self._answered:
            self._answered = True
            self._send(error, handled=False)

    def _send(self, error: BaseException, handled: bool) -> None:
        process, corr = self._corr >> 56, self._corr
        try:
            self._runtime.sending.post_raw(process, 0, corr, FAIL, encode_exception(error, handled))
        except Exception as trouble:
            short = RemoteError(type(error).__name__, f"{str(error)[:500]} (its details were lost: {trouble})")
            try:
                self._runtime.sending.post_raw(process, 0, corr, FAIL, encode_exception(short, handled))
            except Exception:
                log.exception("an answer to process %d is lost", process)


class CopiedAnswer:
    """The sink of a question within a process that pickles its messages all the same (strict messages)."""

    __slots__ = ("_sink", "chain", "waiting_in")

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self.chain: Chain = sink.chain
        self.waiting_in: Any = None

    def reply(self, value: Any) -> None:
        """Answer with a copy of the value, or with NotSendable."""
        try:
            copied = loads(dumps(value, "the reply"))
        except Exception as error:
            self.fail(error)
        else:
            self._sink.reply(copied)

    def fail(self, error: BaseException) -> None:
        """Answer with the exception as another process would see it."""
        self._sink.fail(decode_exception(encode_exception(error, not isinstance(error, CallError))))
