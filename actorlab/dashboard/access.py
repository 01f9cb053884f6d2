"""Access: who may look at the dashboard, from where, and how that is decided for each request.

Pure; used by guard, which carries the verdicts out. The rules, and the attack each one is there for:

* loopback only, unless told otherwise and with a token (anybody on the network);
* on loopback without a token: only the user whose dashboard it is, and root (other users of the machine);
* `Host` is one of our own names, on every request (DNS rebinding: its GETs carry no Origin);
* `Origin`, where sent, is the page's own; a request that another site's page makes is refused, but a link followed;
* GET only, of a handful of paths known beforehand (nothing a client says ever becomes a path of a file);
* the token is compared in constant time, and a browser keeps a cookie that dies with this process in its stead.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs, urlsplit

from ..errors import UnsafeDoor
from ..lean_dataclass import dataclass

TOKEN_CHARACTERS = 16
"""A token is at least this long; shorter ones can be guessed."""
MAX_TARGET_BYTES = 2048
"""Of path and query together; our own are far below."""
METHODS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a request gets instead of an answer: an HTTP status and a sentence."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Admission:
    """A request that came with the token in its query: it is sent on to the bare path, with a cookie."""

    cookie: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is judged of a request. Header names are lower case; `host` is None where none was sent."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    uid: int | None = None
    """The user at the other end, where that is on this machine."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`. A name that is no address is looked at as written.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host.casefold() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def check_door(host: str, *, allow_remote: bool, token: str | None) -> None:
    """Raise UnsafeDoor unless it is safe to listen at `host`."""
    if not host:
        raise UnsafeDoor("--host ''", "an empty host means every address", "name one, as 127.0.0.1")
    if token is not None and (len(token) < TOKEN_CHARACTERS or not token.isascii() or not token.isprintable()):
        raise UnsafeDoor(
            host, f"its token is not {TOKEN_CHARACTERS} printable ASCII characters or more", f"try {new_token()}"
        )
    if is_loopback(host):
        return
    if not allow_remote:
        raise UnsafeDoor(
            host,
            "other machines can reach it",
            "stay on 127.0.0.1 and come by `ssh -L`, or say --allow-remote with a token",
        )
    if token is None:
        raise UnsafeDoor(
            host, "other machines can reach it and no token is set", "set one with --token-file or ACTORLAB_TOKEN"
        )


def new_token() -> str:
    """Return a fresh token that nobody can guess."""
    return secrets.token_urlsafe(24)


def authorities(hosts: Iterable[str], port: int) -> frozenset[str]:
    """Return what a Host header may say: each host with the port, IPv6 in brackets; port 80 may be left out.

    >>> sorted(authorities(["LocalHost", "::1"], 8000))
    ['[::1]:8000', 'localhost:8000']
    """
    named = {f"[{host}]" if ":" in host else host.casefold() for host in hosts}
    return frozenset(f"{name}:{port}" for name in named) | (frozenset(named) if port == 80 else frozenset())


class Access:
    """The door's rules for one server: its names, its token if it has one, its paths.

    `paths` are all there are; `name` tells this server's cookie from another's (cookies do not know ports); `uid` is
    the user who may come in without a token.
    """

    def __init__(self, hosts: frozenset[str], token: str | None, paths: frozenset[str], name: str, uid: int) -> None:
        self._hosts = hosts
        self._uids = (uid, 0)
        self._token = token
        self._paths = paths
        self.cookie_name = f"actorlab-{name}"
        self._cookie = secrets.token_urlsafe(24)

    def judge(self, request: Request) -> Refusal | Admission | None:
        """Return None for a request that may be answered; cheap tests that need no secret come first."""
        if self._token is None and request.uid not in self._uids:
            return Refusal(403, "this is another user's; with a token it would open")
        if request.headers.get("host", "").casefold() not in self._hosts:
            return Refusal(403, "this is not a name of this server")
        if (said := self._foreign(request)) is not None:
            return Refusal(403, said)
        if len(request.path) + len(request.query) > MAX_TARGET_BYTES:
            return Refusal(414, f"more than {MAX_TARGET_BYTES} bytes of path and query")
        if request.method not in METHODS:
            return Refusal(405, "this page is for reading: GET only")
        if self._token is not None and not self._is_known(request):
            if request.path == "/" and self._fits(_token_of(request.query)):
                return Admission(self._cookie)
            return Refusal(401, "a token is needed: open the link with ?token=, or send Authorization: Bearer")
        if request.path not in self._paths:
            return Refusal(404, "there is nothing here")
        return None

    def _foreign(self, request: Request) -> str | None:
        headers = request.headers
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.casefold() != headers["host"].casefold():
            return "another site's page asks"  # `null`, of sandboxes and files, has no netloc
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            followed = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
            if not followed:
                return "another site's page asks"
        return None

    def _is_known(self, request: Request) -> bool:
        kind, _, told = request.headers.get("authorization", "").partition(" ")
        if kind.casefold() == "bearer" and self._fits(told.strip()):
            return True
        for pair in request.headers.get("cookie", "").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == self.cookie_name and hmac.compare_digest(value.encode(), self._cookie.encode()):
                return True
        return False

    def _fits(self, told: str) -> bool:
        return self._token is not None and hmac.compare_digest(told.encode(), self._token.encode())


def _token_of(query: str) -> str:
    try:
        return parse_qs(query, max_num_fields=8).get("token", [""])[0]
    except ValueError:
        return ""
