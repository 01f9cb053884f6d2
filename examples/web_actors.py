"""Actors behind a web application (see web_fastapi): in a module of their own, so that workers import no web framework.

`Order` is a pydantic model: it is checked where it comes in, and sent to the actor as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from pydantic import BaseModel, Field

import actorlab as al


class Order(BaseModel):
    """What a customer asks for."""

    item: str = Field(min_length=1)
    number: int = Field(ge=1, le=100)


class Till(al.Actor):
    """Takes orders, one after another, and tells stories."""

    def __init__(self) -> None:
        self.sold: dict[str, int] = {}
        self.stories_left = 0

    def take(self, order: Order) -> int:
        """Return how many of the item have been sold."""
        if order.item == "dynamite":
            raise ValueError("this order crashes its actor")
        self.sold[order.item] = self.sold.get(order.item, 0) + order.number
        return self.sold[order.item]

    async def story(self, words: int) -> AsyncIterator[str]:
        """Yield words, as many as are wanted: nothing runs that nobody reads."""
        try:
            for n in range(words):
                yield f"word {n}"
                await asyncio.sleep(0)
        finally:
            self.stories_left += 1

    def heard(self) -> int:
        """Return how many stories are over, told to their end or left."""
        return self.stories_left


TREE = al.Supervisor(children=[al.child(Till, name="till")], max_restarts=100)
