"""The web example, run as its first lines say: a node for as long as the application runs, and none afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from actorlab.node import running_nodes

pytestmark = pytest.mark.process

TOP = Path(__file__).parents[2]


def test_an_application_has_a_node_while_it_runs_and_none_afterwards() -> None:
    command = [sys.executable, "-m", "uvicorn", "examples.web:app", "--port", "0"]
    environment = os.environ | {"PYTHONPATH": str(TOP)}
    with subprocess.Popen(command, cwd=TOP, env=environment, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            address = next(found[0] for line in server.stderr if (found := re.search(r"http://[\d.]+:\d+", line)))
            assert len(running_nodes()) == 1

            def visit(page: str) -> dict[str, object]:
                try:
                    with urlopen(f"{address}/visits/{page}", timeout=20) as answer:
                        return dict(json.load(answer))
                except HTTPError as refused:
                    with refused:
                        return {"status": refused.code, **json.load(refused)}

            assert [visit("tea")["visits"] for _ in range(3)] == [1, 2, 3]
            assert visit("coffee") == {"page": "coffee", "visits": 1}
            assert visit("cursed") == {"status": 500, "page": "cursed", "error": "this page crashes its actor"}
            assert visit("cocoa")["visits"] == 1
            server.send_signal(signal.SIGINT)
            server.stderr.read()
        finally:
            if server.poll() is None and not server.returncode:
                server.terminate()
    assert not running_nodes()
