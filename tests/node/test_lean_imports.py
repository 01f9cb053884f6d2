"""What nobody has asked for is not imported: each process of a node pays for what it does, not for what it could do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lean_actors import Looker

import actorlab as al

pytestmark = pytest.mark.process

TOP = Path(__file__).parents[2]

RARE = {
    "cloudpickle", "difflib", "numpy", "psutil", "pyarrow", "sqlite3", "starlette", "textual", "uvicorn",
    "actorlab.bridges", "actorlab.config", "actorlab.corpus", "actorlab.dashboard", "actorlab.node.checkup",
    "actorlab.node.view", "actorlab.observe", "actorlab.routing", "actorlab.tasks", "actorlab.testing",
    "actorlab.top", "asyncio.sslproto", "hashlib", "hmac", "secrets", "ssl",
}  # fmt: skip
"""What a node does not need before somebody asks for it."""

CONTROLLERS = {
    "actorlab.node.amend", "actorlab.node.caretaker", "actorlab.node.chronicle", "actorlab.node.controller",
    "actorlab.node.hosting", "actorlab.node.launch", "actorlab.node.node", "actorlab.node.patrol",
    "actorlab.node.recycling", "actorlab.node.wishes", "actorlab.supervision",
}  # fmt: skip
"""What runs a node, and decides about children: of no use in a worker that has no supervisor."""


def imported_by(code: str) -> set[str]:
    """Run `code` in a fresh interpreter and return what has been imported there beside what any has."""
    script = f"import sys\nbefore = set(sys.modules)\n{code}\nfound = [*sys.modules.keys() - before]\n"
    script += "import json\nprint(json.dumps(found))"
    command = [sys.executable, "-c", script]
    ran = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(ran.stdout))


def test_the_package_alone_imports_nothing_of_ours_and_no_library() -> None:
    found = imported_by("import actorlab")
    assert {name for name in found if name.startswith("actorlab")} == {"actorlab"}
    assert not found & {"asyncio", "greenlet", "inspect", "logging", "msgspec", "multiprocess", "pykka", *RARE}


def test_the_command_line_imports_only_what_its_command_needs() -> None:
    found = imported_by("import actorlab.cli")
    assert not found & {"actorlab.actor", "actorlab.node", "asyncio", "msgspec", "multiprocess", *RARE}


def test_whoever_opens_a_node_imports_nothing_that_only_some_use() -> None:
    found = imported_by("import actorlab as al; al.Node, al.Actor, al.Supervisor, al.child")
    assert "actorlab.node.controller" in found and not found & RARE


def test_a_worker_imports_nothing_of_what_runs_the_node() -> None:
    with al.Node(workers=1) as node:
        found = set(node.spawn(Looker).call.modules())
    assert "actorlab.node.station" in found and not found & (CONTROLLERS | RARE)


TLS = """
from actorlab.lean_asyncio import asyncio

async def ask():
    async def answer(reader, writer):
        writer.write(b"not a word of TLS" + bytes(100))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        await asyncio.open_connection("127.0.0.1", port, ssl=True)
    except OSError as error:
        import ssl
        assert isinstance(error, ssl.SSLError), error
    else:
        raise AssertionError("whatever that was, it was not TLS")
    server.close()

assert "ssl" not in sys.modules and "asyncio.sslproto" not in sys.modules
asyncio.run(ask())
import ssl, asyncio.sslproto
assert type(ssl) is type(sys) and asyncio.base_events.ssl.SSLContext is ssl.SSLContext
assert asyncio.base_events.sslproto.SSLProtocol is asyncio.sslproto.SSLProtocol
"""


def test_asyncio_has_its_tls_when_somebody_uses_it() -> None:
    assert {"ssl", "asyncio.sslproto"} <= imported_by(TLS)


def test_who_has_imported_asyncio_before_us_keeps_it_as_it_is() -> None:
    found = imported_by("import asyncio, ssl\nimport actorlab.lean_asyncio\nassert asyncio.base_events.ssl is ssl")
    assert "actorlab.lean_asyncio" in found
