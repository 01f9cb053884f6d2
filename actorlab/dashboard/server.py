"""Server: the dashboard's process: a socket, the page's files and the sampler, behind the guard.

Edge (sockets, signals); used by the command line. A process of its own that reads the node's files from outside: when
it crashes, hangs or is flooded, the node does not notice. Uvicorn speaks HTTP, Starlette routes; every path there is
stands in one table, and files are read once, at the start.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable
from importlib import resources
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..observe import Looker
from .access import Access, authorities
from .connection import MAX_HEADER_BYTES, Connection
from .door import Door
from .guard import Guard
from .sampler import Sampler

ASSETS = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/dashboard.css": ("dashboard.css", "text/css; charset=utf-8"),
    "/theme.js": ("theme.js", "text/javascript; charset=utf-8"),
    "/draw.js": ("draw.js", "text/javascript; charset=utf-8"),
    "/chart.js": ("chart.js", "text/javascript; charset=utf-8"),
    "/panels.js": ("panels.js", "text/javascript; charset=utf-8"),
    "/dashboard.js": ("dashboard.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/vendor/uPlot.js": ("vendor/uPlot.js", "text/javascript; charset=utf-8"),
    "/vendor/uPlot.css": ("vendor/uPlot.css", "text/css; charset=utf-8"),
}
API = ("/api/state", "/api/history")
AT_ONCE = 64
"""Requests in hand at a time; one more is told 503."""


def serve(find: Callable[[], Looker], door: Door, announce: Callable[[str], object]) -> None:
    """Show a node until SIGINT or SIGTERM; `announce` gets the address once it can be opened. Main thread only.

    Raises UnsafeDoor for a door that strangers could open, StartError when the address cannot be had, and whatever
    `find` (see Follower) raises when the node is not there; then nothing was opened.
    """
    listener = door.listen()
    try:
        port = int(listener.getsockname()[1])
        sampler = Sampler(find)
        hosts = authorities(door.called(listener), port) | {name.casefold() for name in door.names}
        access = Access(hosts, door.token, frozenset((*ASSETS, *API)), str(port), os.geteuid())
        server = _Server(_configure(Guard(build_app(sampler), access)))
        server.on_start = lambda: announce(door.address(port))
        sampler.start()
        before = {number: signal.signal(number, _ended) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            server.run(sockets=[listener])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            sampler.stop()
    finally:
        listener.close()


def build_app(sampler: Sampler) -> Starlette:
    """Return the application: the page's files, read here, and what the sampler has."""

    def file(name: str, kind: str) -> Callable[[Request], Response]:
        content = resources.files(__package__).joinpath("assets", name).read_bytes()
        return lambda request: Response(content, headers={"content-type": kind})

    async def state(request: Request) -> Response:
        return Response(sampler.state(), media_type="application/json")

    async def history(request: Request) -> Response:
        return Response(sampler.history(), media_type="application/json")

    async def page(request: Request) -> Response:
        return pages[request.url.path](request)

    pages = {path: file(name, kind) for path, (name, kind) in ASSETS.items()}
    routes = [Route(path, page) for path in ASSETS]
    return Starlette(routes=[*routes, Route(API[0], state), Route(API[1], history)])


class _Server(uvicorn.Server):
    """Uvicorn that says when it listens."""

    on_start: Callable[[], object] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_start()


def _configure(app: Guard) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a flood must not fill a log either
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=AT_ONCE,
        backlog=AT_ONCE,  # asyncio accepts so many before it looks at the first
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )


def _ended(number: int, frame: FrameType | None) -> None:
    """Uvicorn raises a signal anew once it has stopped because of it; that is the end we want."""
