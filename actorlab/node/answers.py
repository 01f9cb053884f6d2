"""RemoteAsk: the sink of a question that came from another process; its answer travels back by lane.

Edge (sends). Answers at most once. An answer that cannot be pickled becomes a NotSendable at the caller, and an
exception that cannot travel a RemoteError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..actor import FAIL, REPLY, Chain
from ..errors import CallError
from ..transport import encode_exception

if TYPE_CHECKING:
    from .runtime import ProcessRuntime


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
        try:
            self._runtime.sending.post_body(self._corr >> 56, 0, self._corr, REPLY, value, "the reply")
        except Exception as error:
            self._send_error(error)

    def fail(self, error: BaseException) -> None:
        """Send the exception back."""
        if self._answered:
            return
        self._answered = True
        self._send_error(error)

    def _send_error(self, error: BaseException) -> None:
        handled = not isinstance(error, CallError)
        self._runtime.sending.post_raw(self._corr >> 56, 0, self._corr, FAIL, encode_exception(error, handled))
