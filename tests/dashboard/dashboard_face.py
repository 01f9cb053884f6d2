"""A dashboard that runs in a process of its own, and requests to it. For tests."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from command_line import Command


@dataclass
class Face:
    """A dashboard that runs: where, and the command that it is."""

    command: Command
    address: str

    @property
    def port(self) -> int:
        return int(urlsplit(self.address).port or 0)

    @property
    def pid(self) -> int:
        return self.command.process.pid

    def ask(
        self, target: str = "/api/state", method: str = "GET", host: str | None = "", **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Make one request; `host` None sends no Host header. Headers: dashes written as underscores."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            if host is not None:
                connection.putheader("Host", host or f"127.0.0.1:{self.port}")
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def look(self) -> dict:
        status, _, body = self.ask()
        assert status == 200
        return json.loads(body)["look"]
