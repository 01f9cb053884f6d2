"""A web application whose state lives in supervised actors: a page counts its visits, each in an actor of its own.

    pip install 'actorlab[dashboard]' && uvicorn examples.web:app

    $ curl localhost:8000/visits/tea
    {"page": "tea", "visits": 1}

The node starts when the application does and stops with it; each server process has a node of its own, so run one (the
workers are the node's). Handlers await answers: the event loop is never blocked. The same with FastAPI, streams and
clients that go away, is in web_fastapi.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import actorlab as al


class Page(al.Actor):
    """Counts the visits to the pages that are its share."""

    def __init__(self) -> None:
        self.visits: dict[str, int] = {}

    def visit(self, page: str) -> int:
        if page == "cursed":
            raise ValueError("this page crashes its actor")
        self.visits[page] = self.visits.get(page, 0) + 1
        return self.visits[page]


TREE = al.Supervisor(children=[al.PartitionSupervisor(Page, partitions=8, name="pages")], max_restarts=100)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Run a node for as long as the application runs."""
    with al.Node(workers=2, tree=TREE) as node:
        app.state.node = node
        yield


async def visits(request: Request) -> JSONResponse:
    """Count a visit, in whichever worker the page's actor lives."""
    page = request.path_params["page"]
    pages = request.app.state.node.find("pages")
    actor = await pages.request.route(page)
    try:
        count = await actor.request.visit(page)
    except al.CallError as error:
        return JSONResponse({"page": page, "error": str(error)}, status_code=503)
    except al.RemoteError as error:
        return JSONResponse({"page": page, "error": str(error)}, status_code=500)
    except ValueError as error:
        return JSONResponse({"page": page, "error": str(error)}, status_code=500)
    return JSONResponse({"page": page, "visits": count})


app = Starlette(routes=[Route("/visits/{page}", visits)], lifespan=lifespan)
