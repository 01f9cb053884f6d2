"""FastAPI over supervised actors: checked input, awaited answers, streams, and clients that go away.

    pip install actorlab fastapi uvicorn && uvicorn examples.web_fastapi:app

    $ curl localhost:8000/orders -H 'content-type: application/json' -d '{"item": "tea", "number": 2}'
    {"item":"tea","sold":2}

The node starts with the application and stops with it; each server process has a node of its own, so run one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, closing
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse

import actorlab as al
from examples.web_actors import TREE, Order, Till

PATIENCE_S = 2.0


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    async with al.Node(workers=2, tree=TREE) as node:
        yield {"node": node}


def the_till(request: Request) -> al.ActorRef[Till]:
    return request.state.node.find("till")


TillRef = Annotated[al.ActorRef, Depends(the_till)]
app = FastAPI(lifespan=lifespan)


async def answered(request: Request, answer: Coroutine[Any, Any, Any]) -> Any:
    """Return the answer. If it is late, or the client goes away first, whoever awaits it is cancelled.

    So a question that still waits at the actor is taken back. For routes that have read their request's body.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    waiting, leaving = asyncio.create_task(answer), asyncio.create_task(gone())
    try:
        await asyncio.wait((waiting, leaving), timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return await waiting
        raise HTTPException(503, "the client has gone" if leaving.done() else f"no answer within {PATIENCE_S:g} s")
    finally:
        waiting.cancel()
        leaving.cancel()


@app.post("/orders")
async def sell(request: Request, order: Order, till: TillRef) -> dict[str, Any]:
    async def sold() -> int:
        return await till.request.take(order)

    try:
        return {"item": order.item, "sold": await answered(request, sold())}
    except (ValueError, al.CallError) as error:
        raise HTTPException(500 if isinstance(error, ValueError) else 503, str(error)) from error


@app.get("/story")
async def story(till: TillRef, words: int = 10) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        with closing(till.stream.story(words)) as told:  # left early, it is closed in the actor too
            async for word in told:
                yield word + "\n"

    return StreamingResponse(lines(), media_type="text/plain")


@app.get("/till")
async def look(request: Request, till: TillRef) -> dict[str, Any]:
    letters = request.state.node.dead_letters.counts
    return {"waiting": till.statistics().depth, "taken_back": letters.get("cancelled", 0)}


@app.post("/till/{what}")
async def hold(what: str, till: TillRef) -> dict[str, Any]:
    """Close the till (suspend) and open it again (resume): what comes meanwhile waits."""
    if what not in ("suspend", "resume"):
        raise HTTPException(404, "suspend or resume")
    await till.system.ask(what)
    return {"till": what}


@app.get("/stories")
async def stories(till: TillRef) -> dict[str, Any]:
    return {"over": await till.request.heard()}
