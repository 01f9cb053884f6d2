"""Who is at the other end of a connection is known by the kernel's tables, or by asking our own processes."""

from __future__ import annotations

import os
import socket

import pytest

from actorlab.dashboard.peer import uid_of_peer


@pytest.fixture(params=["proc", "psutil"], autouse=True)
def how(request, without):
    if request.param == "psutil":
        without("proc")


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["IPv4", "IPv6"])
def connection(request):
    family, address = request.param
    with socket.socket(family) as listener:
        try:
            listener.bind((address, 0))
        except OSError:
            pytest.skip("no IPv6 on this machine")
        listener.listen()
        with socket.create_connection(listener.getsockname()[:2]) as client, listener.accept()[0] as server:
            yield client, server


def test_a_client_of_ours_is_ours(connection):
    client, server = connection
    assert uid_of_peer(server.getpeername()[:2], server.getsockname()[:2]) == os.geteuid()
    assert client.getsockname() == server.getpeername()


def test_nobody_is_at_an_end_that_is_not_connected(connection):
    _, server = connection
    host, port = server.getpeername()[:2]
    assert uid_of_peer((host, port ^ 1), server.getsockname()[:2]) is None
