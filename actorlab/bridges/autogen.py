"""autogen-core agents as supervised actors: each in a worker process, kept alive, found by its AgentId.

An actor and an edge; needs the extra `autogen` (pip install 'actorlab[autogen]'). `AgentHost` is the actor: it makes
one agent, and hands it what others send and publish. `HostedRuntime` is autogen's `AgentRuntime` as agents and users
see it: `send_message` goes to the host that has the agent's id as its name, `publish_message` to every host whose
agent's subscriptions match.

What differs from autogen's own runtimes: agents are started by supervisors, not by the first message to them; a message
is delivered at most once; an exception is the answer of a message that was sent, as it is there, but of one that was
published it is a crash, and the supervisor decides.
"""

from __future__ import annotations

import asyncio
import inspect
import uuid
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from autogen_core import (
    Agent,
    AgentId,
    AgentInstantiationContext,
    AgentMetadata,
    AgentType,
    BaseAgent,
    CancellationToken,
    MessageContext,
    Subscription,
    SubscriptionInstantiationContext,
    TopicId,
    TypeSubscription,
)

from ..actor import Actor, ActorRef
from ..errors import CallError, NothingFound, SpecError
from ..lean_dataclass import dataclass
from ..registry import Via, via
from ..transport import decode_exception, encode_exception

NAMESPACE = "autogen"
_ANY_TOPIC = "autogen/*"


def name_of(agent: AgentId) -> Via:
    """Return the name by which the host of an agent is found."""
    return via(f"{agent.type}/{agent.key}", NAMESPACE)


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published, on its way to a host."""

    message: Any
    sender: AgentId | None
    topic: TopicId
    message_id: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What a handler raised, as an answer."""

    encoded: bytes


class HostedRuntime:
    """autogen's `AgentRuntime` over a node: what a hosted agent's `self.runtime` is, and how users reach agents."""

    def __init__(self, node: Any) -> None:
        """Stand for the agents of `node`: an `al.Node`, or `self.node` in an actor."""
        self._node = node

    def _host(self, agent: AgentId) -> ActorRef[AgentHost]:
        found: ActorRef[AgentHost] | None = self._node.whereis(name_of(agent))
        if found is None:
            raise NothingFound(
                f"the agent {agent}", "the agents that are hosted here: start it with al.child(AgentHost, …)"
            )
        return found

    async def send_message(
        self,
        message: Any,
        recipient: AgentId,
        *,
        sender: AgentId | None = None,
        cancellation_token: CancellationToken | None = None,
        message_id: str | None = None,
    ) -> Any:
        """Send to one agent and return what its handler returns; raise what it raises, ActorDied, NothingFound."""
        host = self._host(recipient)
        answer = host.request.deliver(message, sender, message_id or str(uuid.uuid4()))
        waiting = asyncio.ensure_future(_awaited(answer))
        if cancellation_token is not None:
            cancellation_token.link_future(waiting)
        answered = await waiting
        if isinstance(answered, Failure):
            raise decode_exception(answered.encoded)
        return answered

    async def publish_message(
        self,
        message: Any,
        topic_id: TopicId,
        *,
        sender: AgentId | None = None,
        cancellation_token: CancellationToken | None = None,
        message_id: str | None = None,
    ) -> None:
        """Send to every hosted agent that subscribes to the topic, but not to the sender."""
        number = message_id or str(uuid.uuid4())
        rosters = (self._node.group(roster).members() for roster in (_topic(topic_id.type), _ANY_TOPIC))
        for host in dict.fromkeys(chain.from_iterable(rosters)):  # one may be in both, and hears of it once
            try:
                await host.send(Publication(message, sender, topic_id, number))
            except CallError as error:
                if error.delivery != "never":
                    raise

    async def get(
        self, id_or_type: AgentId | AgentType | str, /, key: str = "default", *, lazy: bool = True
    ) -> AgentId:
        """Return an agent's id; unless `lazy`, only if it is hosted."""
        if isinstance(id_or_type, AgentId):
            agent = id_or_type
        else:
            agent = AgentId(id_or_type if isinstance(id_or_type, str) else id_or_type.type, key)
        if not lazy:
            self._host(agent)
        return agent

    async def agent_metadata(self, agent: AgentId) -> AgentMetadata:
        """Return what an agent says of itself."""
        described: AgentMetadata = await self._host(agent).request.describe()
        return described

    async def agent_save_state(self, agent: AgentId) -> Mapping[str, Any]:
        """Return an agent's state, as its own `save_state` gives it."""
        state: Mapping[str, Any] = await self._host(agent).request.save_state()
        return state

    async def agent_load_state(self, agent: AgentId, state: Mapping[str, Any]) -> None:
        """Give an agent a state, as its own `load_state` takes it."""
        await self._host(agent).request.load_state(dict(state))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise SpecError(
            f"AgentRuntime.{name}",
            "a node's agents are started by its supervisors: al.child(AgentHost, factory, type), and subscribe by "
            "their class's decorators",
        )


class AgentHost(Actor):
    """Hosts the agent that `factory(*args, **kwargs)` makes, under the id `type/key`."""

    reentrant = True

    def __init__(
        self,
        factory: Callable[..., Any],
        type: str,
        *args: Any,
        key: str = "default",
        subscriptions: Sequence[Subscription] = (),
        **kwargs: Any,
    ) -> None:
        """Make the agent. `factory` is its class, or a function; `subscriptions` come to those of its class."""
        super().__init__()
        self.id = AgentId(type, key)
        self._made = (factory, args, kwargs)
        self._subscriptions = list(subscriptions)
        self._agent: Any = None

    async def on_start(self) -> None:  # type: ignore[override]  # handlers and hooks may be async
        """Make the agent, and say that it is here and what it listens to."""
        factory, args, kwargs = self._made
        runtime = HostedRuntime(self.node)
        with AgentInstantiationContext.populate_context((runtime, self.id)):
            made = factory(*args, **kwargs)
            self._agent = await made if inspect.isawaitable(made) else made
        if not isinstance(self._agent, Agent):
            raise SpecError(f"the agent {self.id}", f"{factory!r} made {self._agent!r}, which is no agent")
        await self._agent.bind_id_and_runtime(self.id, runtime)
        if isinstance(self._agent, BaseAgent):
            with SubscriptionInstantiationContext.populate_context(AgentType(self.id.type)):
                for unbound in self._agent._unbound_subscriptions():
                    bound = unbound()
                    self._subscriptions += await bound if inspect.isawaitable(bound) else bound
        await asyncio.to_thread(self._appear)  # it waits for the registry's owner

    def _appear(self) -> None:
        node, ref = self.node, self.ref
        node.register(name_of(self.id), ref)
        for subscription in self._subscriptions:
            kind = subscription.topic_type if isinstance(subscription, TypeSubscription) else None
            node.group(_ANY_TOPIC if kind is None else _topic(kind)).join(ref)

    async def deliver(self, message: Any, sender: AgentId | None, message_id: str) -> Any:
        """Hand the agent a message that was sent to it; return its answer, or a Failure: it raised, and lives on."""
        try:
            return await self._hand(message, sender, None, message_id)
        except Exception as error:
            return Failure(encode_exception(error))

    async def on_receive(self, message: Any) -> None:
        """Hand the agent what was published, if it subscribes to it and did not publish it itself."""
        if isinstance(message, Publication) and message.sender != self.id and self._hears(message.topic):
            await self._hand(message.message, message.sender, message.topic, message.message_id)

    async def _hand(self, message: Any, sender: AgentId | None, topic: TopicId | None, message_id: str) -> Any:
        context = MessageContext(
            sender=sender,
            topic_id=topic,
            is_rpc=topic is None,
            cancellation_token=CancellationToken(),
            message_id=message_id,
        )
        return await self._agent.on_message(message, context)

    def _hears(self, topic: TopicId) -> bool:
        return any(
            subscription.is_match(topic) and subscription.map_to_agent(topic) == self.id
            for subscription in self._subscriptions
        )

    def describe(self) -> AgentMetadata:
        """Return what the agent says of itself."""
        described: AgentMetadata = self._agent.metadata
        return described

    async def save_state(self) -> Mapping[str, Any]:
        """Return the agent's state."""
        state: Mapping[str, Any] = await self._agent.save_state()
        return state

    async def load_state(self, state: Mapping[str, Any]) -> None:
        """Give the agent a state."""
        await self._agent.load_state(state)

    async def on_stop(self) -> None:  # type: ignore[override]
        """Let the agent close."""
        if self._agent is not None:
            await self._agent.close()


def _topic(kind: str) -> str:
    return f"autogen/{kind}"


async def _awaited(answer: Any) -> Any:
    return await answer
