"""autogen-core agents as their users write them; imported by the workers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autogen_core import (
    AgentId,
    DefaultTopicId,
    MessageContext,
    RoutedAgent,
    TopicId,
    default_subscription,
    event,
    message_handler,
    rpc,
    type_subscription,
)


@dataclass
class Question:
    text: str


@dataclass
class News:
    text: str


@dataclass
class Where:
    pass


@type_subscription("news")
class Writer(RoutedAgent):
    """Answers questions, and keeps the news."""

    def __init__(self, tone: str = "plain") -> None:
        super().__init__("a writer")
        self.tone = tone
        self.heard: list[str] = []

    @rpc
    async def answer(self, message: Question, ctx: MessageContext) -> str:
        if message.text == "fail":
            raise ValueError("no ink")
        if message.text == "heard?":
            return ",".join(self.heard)
        if message.text == "die":
            os._exit(3)
        return f"{self.tone}: {message.text} from {ctx.sender}"

    @rpc
    async def where(self, message: Where, ctx: MessageContext) -> int:
        return os.getpid()

    @event
    async def keep(self, message: News, ctx: MessageContext) -> None:
        if message.text == "fail":
            raise ValueError("bad news")
        self.heard.append(message.text)

    async def save_state(self) -> Mapping[str, Any]:
        return {"heard": self.heard}

    async def load_state(self, state: Mapping[str, Any]) -> None:
        self.heard = list(state["heard"])


@default_subscription
class Editor(RoutedAgent):
    """Asks a writer, and tells everybody."""

    def __init__(self) -> None:
        super().__init__("an editor")

    @message_handler
    async def commission(self, message: Question, ctx: MessageContext) -> str:
        answer = await self.send_message(message, AgentId("writer", "default"))
        await self.publish_message(News(f"out: {message.text}"), TopicId("news", "default"))
        await self.publish_message(News("to the default topic"), DefaultTopicId())
        return f"edited {answer}"


async def make_writer(tone: str) -> Writer:
    return Writer(tone)
