"""Guard: judges every request to the dashboard before all else, and gives every answer the headers that bind it.

Edge (ASGI); stands around the whole application, so that refusals and failures get the headers too. The rules are in
access.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .access import METHODS, Access, Admission, Refusal, Request

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PEER_UID = "actorlab_peer_uid"
"""In a connection's state: the user at its other end, see peer."""
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
HEADERS = (
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"cache-control", b"no-store"),
)


class Guard:
    """An ASGI application that lets through to `app` what `access` admits."""

    def __init__(self, app: App, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)  # the server's own start and stop; WebSockets are switched off
            return

        async def send_bound(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        verdict = self._access.judge(_request(scope))
        if verdict is None:
            await self._app(scope, receive, send_bound)
        elif isinstance(verdict, Admission):
            cookie = f"{self._access.cookie_name}={verdict.cookie}; HttpOnly; SameSite=Lax; Path=/"
            await _answer(send_bound, 303, "", (b"location", b"/"), (b"set-cookie", cookie.encode("ascii")))
        else:
            await _refuse(send_bound, verdict)


def _request(scope: Scope) -> Request:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        # Said twice, a header is judged by both, so that a good one cannot cover for a bad one.
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    uid = scope.get("state", {}).get(PEER_UID)
    return Request(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers, uid)


async def _refuse(send: Send, refusal: Refusal) -> None:
    extra: dict[int, tuple[bytes, bytes]] = {
        405: (b"allow", ", ".join(METHODS).encode("ascii")),
        401: (b"www-authenticate", b'Bearer realm="actorlab"'),
    }
    more = (extra[refusal.status],) if refusal.status in extra else ()
    # What a refused client still sends is not read, so the connection ends with the answer.
    await _answer(send, refusal.status, f"{refusal.status}: {refusal.text}\n", (b"connection", b"close"), *more)


async def _answer(send: Send, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
    body = text.encode("utf-8")
    plain = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode("ascii"))]
    await send({"type": "http.response.start", "status": status, "headers": [*plain, *headers]})
    await send({"type": "http.response.body", "body": body})
