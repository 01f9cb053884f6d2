"""autogen-core's own agents, hosted: sent to and published to across workers, and kept alive by supervisors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from autogen_core import AgentId, CancellationToken, TopicId, TypePrefixSubscription
from autogen_drill import Editor, News, Question, Where, Writer, make_writer

import actorlab as al
from actorlab.bridges.autogen import AgentHost, HostedRuntime

pytestmark = pytest.mark.process

Eventually = Callable[..., None]

WRITER, EDITOR = AgentId("writer", "default"), AgentId("editor", "default")


@pytest.fixture
def node() -> Iterator[al.Node]:
    tree = al.Supervisor(
        children=[
            al.child(AgentHost, make_writer, "writer", "dry", name="writer", placement=1),
            al.child(AgentHost, Writer, "writer", "loud", key="second", name="second", placement=2),
            al.child(AgentHost, Editor, "editor", name="editor", placement=2),
        ],
        max_restarts=10,
    )
    with al.Node(workers=2, tree=tree) as made:
        yield made


def ask(node: al.Node, who: AgentId, message: Any, **keys: Any) -> Any:
    return asyncio.run(HostedRuntime(node).send_message(message, who, **keys))


def test_a_message_is_sent_to_an_agent_in_a_worker_and_its_answer_comes_back(node: al.Node) -> None:
    assert ask(node, WRITER, Question("hello")) == "dry: hello from None"
    assert ask(node, AgentId("writer", "second"), Question("hi"), sender=EDITOR) == "loud: hi from editor/default"
    assert ask(node, WRITER, Where()) == node.workers[0].pid


def test_an_exception_is_the_answer_and_the_agent_lives(node: al.Node) -> None:
    with pytest.raises(ValueError, match="no ink"):
        ask(node, WRITER, Question("fail"))
    assert ask(node, WRITER, Question("still")) == "dry: still from None"


def test_agents_of_different_workers_send_and_publish_to_each_other(node: al.Node, eventually: Eventually) -> None:
    assert ask(node, EDITOR, Question("spring")) == "edited dry: spring from editor/default"
    eventually(lambda: ask(node, WRITER, Question("heard?")) == "out: spring")
    assert ask(node, AgentId("writer", "second"), Question("heard?")) == ""  # its key is another topic's source


def test_what_is_published_reaches_the_agents_whose_subscriptions_map_it_to_them(
    node: al.Node, eventually: Eventually
) -> None:
    runtime = HostedRuntime(node)
    asyncio.run(runtime.publish_message(News("a"), TopicId("news", "second")))
    asyncio.run(runtime.publish_message(News("b"), TopicId("other", "second")))
    asyncio.run(runtime.publish_message(News("c"), TopicId("news", "second"), sender=AgentId("writer", "second")))
    asyncio.run(runtime.publish_message(News("d"), TopicId("news", "second")))
    eventually(lambda: ask(node, AgentId("writer", "second"), Question("heard?")) == "a,d")
    assert ask(node, WRITER, Question("heard?")) == ""


def test_an_agent_that_two_subscriptions_match_hears_of_it_once(node: al.Node) -> None:
    by_prefix = TypePrefixSubscription("ne", "writer")
    tree = al.Supervisor(children=[al.child(AgentHost, Writer, "writer", key="both", subscriptions=(by_prefix,))])
    node.start(tree)
    asyncio.run(HostedRuntime(node).publish_message(News("a"), TopicId("news", "both")))
    node.wait_idle()
    assert ask(node, AgentId("writer", "both"), Question("heard?")) == "a"


def test_an_agent_that_crashes_or_loses_its_worker_is_restarted(node: al.Node, eventually: Eventually) -> None:
    host = node.find("writer")
    asyncio.run(HostedRuntime(node).publish_message(News("fail"), TopicId("news", "default")))
    eventually(lambda: host.incarnation == 1)
    with pytest.raises(al.ActorDied):
        ask(node, WRITER, Question("die"))
    eventually(lambda: host.incarnation == 2)
    assert host.within(10).call.deliver(Question("again"), None, "1") == "dry: again from None"
    assert ask(node, WRITER, Question("again")) == "dry: again from None"


def test_state_metadata_and_ids_are_autogens(node: al.Node) -> None:
    async def inside() -> None:
        runtime = HostedRuntime(node)
        await runtime.agent_load_state(WRITER, {"heard": ["x"]})
        assert await runtime.agent_save_state(WRITER) == {"heard": ["x"]}
        assert (await runtime.agent_metadata(WRITER))["description"] == "a writer"
        assert await runtime.get("writer") == WRITER
        with pytest.raises(al.NothingFound, match=r"nobody/default.*al\.child\(AgentHost"):
            await runtime.get("nobody", lazy=False)
        with pytest.raises(al.NothingFound):
            await runtime.send_message(Question("?"), AgentId("nobody", "default"))
        token = CancellationToken()
        token.cancel()
        with pytest.raises(asyncio.CancelledError):
            await runtime.send_message(Question("late"), WRITER, cancellation_token=token)
        with pytest.raises(al.SpecError, match="started by its supervisors"):
            await runtime.register_factory("writer", Writer)

    asyncio.run(inside())


def test_what_makes_no_agent_does_not_start() -> None:
    with al.Node(workers=1) as node, pytest.raises(al.StartError, match="is no agent"):
        node.spawn(AgentHost, dict, "nothing")
