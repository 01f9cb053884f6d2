"""Connection: uvicorn's HTTP protocol, with a limit to how long and how much a client may take to say what it wants.

Edge (asyncio); one for each connection. uvicorn bounds their number and how long an idle one is kept after an answer,
but not how slowly a request may arrive: a client that sends a byte a minute would hold its place for ever. And it
answers 400 to whatever it cannot read, which for a request line without an end is 414.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .guard import HEADERS, PEER_UID
from .peer import uid_of_peer

PATIENCE_S = 10.0
"""From a connection's, or a request's, first byte to the end of its headers."""
MAX_HEADER_BYTES = 32 * 1024
"""Of a request line and headers whose end has not come yet; so much of each connection is kept, at most."""

MOST = 256
"""Connections at a time; one more is closed at once."""
LINGER_S = 0.5
"""How long what a refused client still sends is read and thrown away."""


class Connection(H11Protocol):
    """One client. Closes a connection whose request does not come within PATIENCE_S."""

    _deadline: asyncio.TimerHandle | None = None
    _head = b""
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST:
            transport.abort()  # or a flood would take the descriptors that looking needs
            return
        if self.client is not None and self.server is not None and self.server[1] is not None:
            uid = uid_of_peer(self.client, (self.server[0], self.server[1]))
            self.app_state = {**self.app_state, PEER_UID: uid}
        self._expect()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return  # to close with bytes unread would reset the connection, and the refusal would be lost
        if self.conn.their_state is h11.IDLE:
            self._head = (self._head + data)[: MAX_HEADER_BYTES + 1]
            self._expect()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE and not self._refused:
            self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read: 414 a request line without an end, 431 too many headers, else 400."""
        status = 400
        if len(self._head) >= MAX_HEADER_BYTES:
            status = 431 if b"\n" in self._head else 414
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close"), *HEADERS]
        body = f"{status}: {msg}\n".encode("ascii")
        events: tuple[h11.Event, ...] = (
            h11.Response(status_code=status, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
        answering = self.cycle is not None and not self.cycle.response_complete
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and not answering:
            self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
        self._refused = True
        self._settle()
        self._deadline = self.loop.call_later(LINGER_S, self.transport.close)

    def _expect(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(PATIENCE_S, self.transport.close)

    def _settle(self) -> None:
        self._head = b""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
