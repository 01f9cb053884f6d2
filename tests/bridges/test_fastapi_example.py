"""The FastAPI example, run as its first lines say: real server, real node, clients that leave before their answer."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from actorlab.node import running_nodes

pytestmark = pytest.mark.process

TOP = Path(__file__).parents[2]
Eventually = Callable[..., None]


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A client of the application; at the end the server is interrupted, and must leave nothing behind."""
    command = [sys.executable, "-m", "uvicorn", "examples.web_fastapi:app", "--port", "0"]
    environment = os.environ | {"PYTHONPATH": str(TOP)}
    with subprocess.Popen(command, cwd=TOP, env=environment, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            address = next(found[0] for line in server.stderr if (found := re.search(r"http://[\d.]+:\d+", line)))
            with httpx.Client(base_url=address, timeout=30.0) as client:
                yield client
            server.send_signal(signal.SIGINT)
            said = server.stderr.read()
            assert "Application shutdown complete" in said, said
            assert "Exception in ASGI" not in said and "never retrieved" not in said, said
        finally:
            if server.poll() is None:
                server.terminate()
    assert not running_nodes()


def look(client: httpx.Client) -> dict[str, Any]:
    return dict(client.get("/till").json())


def test_a_route_awaits_an_actor_and_a_node_lives_as_long_as_the_application(client: httpx.Client) -> None:
    assert len(running_nodes()) == 1
    tea = {"item": "tea", "number": 2}
    assert [client.post("/orders", json=tea).json()["sold"] for _ in range(3)] == [2, 4, 6]
    refused = client.post("/orders", json={"item": "tea", "number": 0})
    assert refused.status_code == 422 and "number" in refused.text
    schema = client.get("/openapi.json").json()
    assert "/orders" in schema["paths"] and "Order" in schema["components"]["schemas"]


def test_an_actor_that_crashes_is_an_error_of_one_request(client: httpx.Client) -> None:
    crashed = client.post("/orders", json={"item": "dynamite", "number": 1})
    assert (crashed.status_code, crashed.json()) == (500, {"detail": "this order crashes its actor"})
    assert client.post("/orders", json={"item": "tea", "number": 1}).json() == {"item": "tea", "sold": 1}


def test_a_client_that_leaves_takes_its_question_back(client: httpx.Client, eventually: Eventually) -> None:
    assert client.post("/till/suspend").json() == {"till": "suspend"}
    patience = httpx.Timeout(20.0, read=1.0)  # less than the route's own
    with httpx.Client(base_url=client.base_url, timeout=patience) as hasty, pytest.raises(httpx.ReadTimeout):
        hasty.post("/orders", json={"item": "tea", "number": 50})
    eventually(lambda: look(client) == {"waiting": 0, "taken_back": 1}, 20)
    assert client.post("/till/resume").json() == {"till": "resume"}
    assert client.post("/orders", json={"item": "tea", "number": 1}).json()["sold"] == 1  # the 50 were never sold


def test_a_question_whose_answer_is_late_is_taken_back(client: httpx.Client, eventually: Eventually) -> None:
    client.post("/till/suspend")
    late = client.post("/orders", json={"item": "tea", "number": 50})
    assert (late.status_code, late.json()) == (503, {"detail": "no answer within 2 s"})
    eventually(lambda: look(client) == {"waiting": 0, "taken_back": 1}, 20)
    client.post("/till/resume")
    assert client.post("/orders", json={"item": "tea", "number": 1}).json()["sold"] == 1


def test_a_stream_is_told_to_its_end_or_left(client: httpx.Client, eventually: Eventually) -> None:
    assert client.get("/story", params={"words": 3}).text == "word 0\nword 1\nword 2\n"
    eventually(lambda: client.get("/stories").json() == {"over": 1}, 20)
    with client.stream("GET", "/story", params={"words": 10**9}) as told:
        lines = told.iter_lines()
        assert [next(lines) for _ in range(2)] == ["word 0", "word 1"]
    eventually(lambda: client.get("/stories").json() == {"over": 2}, 20)
