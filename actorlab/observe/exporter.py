"""Exporter: a node's metrics over HTTP, for a Prometheus on this machine.

Edge (a socket); used by the command line, in a process of its own that is in nobody's way. It listens on loopback only
and answers GET for `/metrics`, to whoever calls it by a name of this machine: a page in a browser that has its own name
point here is refused. HTTP and text are prometheus_client's and wsgiref's.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler

from ..errors import SpecError, StartError, UnsafeDoor
from .exposition import registry_of
from .observer import Observer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

PATIENCE_S = 5.0
"""What a client gets to ask in."""


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE_S

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a scrape every few seconds is no news."""


def loopback(host: str) -> str:
    """Return the loopback address that `host` is. Raises UnsafeDoor for any other, SpecError for what is none."""
    try:
        address = str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
        if ipaddress.ip_address(address).is_loopback:
            return address
    except (OSError, UnicodeError, ValueError) as error:
        raise SpecError("--listen", f"{host!r} is no address: {error}") from None
    raise UnsafeDoor(host, "others could read there", "metrics are served on loopback only, a proxy may pass them on")


def serve_metrics(observer: Observer, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve until interrupted; `announce` is told the address. Port 0 is any free one.

    Raises UnsafeDoor for an address that is not loopback, StartError when it cannot be had.
    """
    address = loopback(host)
    registry = registry_of(observer)
    from prometheus_client import make_wsgi_app
    from prometheus_client.exposition import ThreadingWSGIServer

    metrics = make_wsgi_app(registry)

    class Server(ThreadingWSGIServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    try:
        server = Server((address, port), _Handler)
    except (OSError, OverflowError) as error:
        raise StartError("the exporter", f"{host} port {port} cannot be had: {error}") from None
    names = {"localhost", host, address, f"[{address}]"}

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        name = environ.get("HTTP_HOST", "").rpartition(":")[0] or environ.get("HTTP_HOST", "")
        for refused, status in (
            (environ["REQUEST_METHOD"] != "GET", "405 Method Not Allowed"),
            (name.lower() not in names, "403 Forbidden"),
            (environ.get("PATH_INFO") != "/metrics", "404 Not Found"),
        ):
            if refused:
                start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
                return [f"{status[4:]}: metrics are at /metrics\n".encode()]
        answer: Iterable[bytes] = metrics(environ, start_response)
        return answer

    with server:
        server.set_app(guarded)
        shown = f"[{address}]" if ":" in address else address
        announce(f"http://{shown}:{server.server_port}/metrics")
        server.serve_forever(poll_interval=0.2)
