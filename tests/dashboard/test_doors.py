"""The dashboard's doors, as strangers on a real socket find them: nothing opens, and the node does not notice."""

from __future__ import annotations

import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading

import psutil
import pytest
from command_line import NODE, TREE, Command, actorlab, make_desk
from dashboard_face import Face

pytestmark = pytest.mark.process

SHARED = ("content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy", "cache-control")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "''"])
def test_it_does_not_start_where_others_can_reach_it_without_a_token(shop, host):
    host = "" if host == "''" else host
    for options in ((), ("--allow-remote",)):
        code, out, err = actorlab("dashboard", "shop", "--port", "0", "--host", host, *options)
        assert (code, out) == (2, "") and "nothing was opened" in err and "Traceback" not in err


def test_a_token_file_that_others_may_read_is_refused(shop, tmp_path):
    file = tmp_path / "token"
    file.write_text("a token that is long enough\n")
    file.chmod(0o644)
    code, _, err = actorlab("dashboard", "shop", "--port", "0", "--token-file", str(file))
    assert code == 2 and "mode 644" in err and "long enough" not in err


def test_a_port_that_is_taken_is_one_sentence(face):
    code, _, err = actorlab("dashboard", "shop", "--port", str(face.port))
    assert code == 1 and "cannot be had" in err and "Traceback" not in err


def test_no_node_is_the_usual_answer(shop):
    assert actorlab("dashboard", "nobody", "--port", "0")[0] == 3


def test_it_listens_on_loopback_only(face):
    addresses = {one.laddr for one in psutil.Process(face.pid).net_connections("inet") if one.status == "LISTEN"}
    assert addresses == {("127.0.0.1", face.port)}


@pytest.mark.parametrize(
    ("wanted", "request_"),
    [
        (200, {}),
        (200, {"target": "/"}),
        (200, {"target": "/api/history"}),
        (403, {"host": "evil"}),
        (403, {"host": "evil.example"}),
        (400, {"host": None}),
        (403, {"Origin": "http://evil.example"}),
        (403, {"Origin": "null"}),
        (403, {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}),
        (404, {"target": "/../../etc/passwd"}),
        (404, {"target": "/..%2f..%2fetc/passwd"}),
        (404, {"target": "/vendor/../../server.py"}),
        (404, {"target": "/%2e%2e/%2e%2e/server.py"}),
        (404, {"target": "/assets/index.html"}),
        (404, {"target": "//"}),
        (404, {"target": "/nothing"}),
        (405, {"method": "POST"}),
        (405, {"method": "PUT"}),
        (405, {"method": "DELETE"}),
        (405, {"method": "PATCH"}),
        (405, {"method": "OPTIONS"}),
        (405, {"method": "TRACE"}),
        (414, {"target": "/api/state?" + "q" * 3_000}),
        (414, {"target": "/api/state?" + "q" * 30_000}),
        (414, {"target": "/api/state?" + "q" * 300_000}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_every_answer_is_the_one_it_should_be_and_bound_by_its_headers(face, wanted, request_):
    status, headers, body = face.ask(**request_)
    assert status == wanted
    assert all(name in headers for name in SHARED)
    assert "server" not in headers and "access-control-allow-origin" not in headers
    if status != 200:
        assert len(body) < 200 and b"Traceback" not in body and b"passwd" not in body


def test_the_policy_allows_no_script_but_the_servers_own_files(face):
    policy = face.ask("/")[1]["content-security-policy"]
    assert "script-src 'self'" in policy and "unsafe" not in policy and "default-src 'none'" in policy
    page = face.ask("/")[2].decode()
    assert "<script>" not in page and " style=" not in page and " onclick=" not in page and "://" not in page


def test_head_has_no_body(face):
    status, headers, body = face.ask("/", method="HEAD")
    assert (status, body) == (200, b"") and int(headers["content-length"]) > 1000


def test_other_machines_come_in_with_the_token_and_under_its_names_only(open_dashboard, tmp_path):
    token = "the word is swordfish"
    file = tmp_path / "token"
    file.write_text(token + "\n")
    file.chmod(0o600)
    options = ("--host", "0.0.0.0", "--allow-remote", "--token-file", str(file), "--allow-host", "lab.example:443")
    face = open_dashboard(*options)
    assert token not in " ".join(psutil.Process(face.pid).cmdline())
    assert face.ask()[0] == face.ask("/")[0] == face.ask("/?token=wrong")[0] == 401
    assert face.ask(Authorization=f"Bearer {token}")[0] == 200
    assert face.ask(host="lab.example:443", Authorization=f"Bearer {token}")[0] == 200
    assert face.ask(host="evil.example", Authorization=f"Bearer {token}")[0] == 403
    status, headers, _ = face.ask("/?token=the+word+is+swordfish")
    assert status == 303 and headers["location"] == "/"
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "swordfish" not in cookie
    assert face.ask(Cookie=cookie.partition(";")[0])[0] == 200


LOOK_AS_SOMEBODY_ELSE = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=10)
connection.request("GET", "/api/state", headers=dict(argument.split("=") for argument in sys.argv[2:]))
answer = connection.getresponse()
print(answer.status, answer.read()[:60])
"""


def look_as(uid, face, *headers):
    command = [shutil.which("python3", path="/usr/bin:/bin") or sys.executable, "-c", LOOK_AS_SOMEBODY_ELSE]
    done = subprocess.run(
        [*command, str(face.port), *headers], user=uid, cwd="/", env={}, capture_output=True, text=True, timeout=30
    )
    return done.stdout or done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can come as another user of this machine")
def test_another_user_of_this_machine_is_shut_out_of_a_loopback_door(face, open_dashboard, tmp_path):
    assert look_as(0, face).startswith("200")
    assert look_as(65534, face).startswith("403")
    file = tmp_path / "token"
    file.write_text("swordfish-swordfish")
    file.chmod(0o600)
    guarded = open_dashboard("--token-file", str(file))
    assert look_as(65534, guarded).startswith("401")
    assert look_as(65534, guarded, "Authorization=Bearer swordfish-swordfish").startswith("200")


def test_it_listens_on_ip_6_too_where_told(open_dashboard):
    if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("this machine has no IPv6")
    face = open_dashboard("--host", "::1")
    assert face.address.startswith("http://[::1]:")
    connection = http.client.HTTPConnection("::1", int(face.address.rpartition(":")[2].strip("/")), timeout=10)
    connection.request("GET", "/api/state")
    assert connection.getresponse().status == 200
    connection.close()


def test_garbage_is_answered_or_dropped_and_nothing_else_happens(face):
    pickled = b"\x80\x05cos\nsystem\n(S'touch /tmp/never'\ntR."
    for sent in (b"\x00" * 5000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", pickled, os.urandom(4096), b"\r\n" * 2000):
        with socket.create_connection(("127.0.0.1", face.port), timeout=10) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            answer = _read(connection)
        assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 403", b"HTTP/1.1 414")), answer[:100]
    assert face.ask()[0] == 200


def _read(connection):
    answer = b""
    try:
        while data := connection.recv(65536):
            answer += data
    except ConnectionResetError:
        pass
    return answer


def test_a_body_is_never_read(face):
    """It is refused by its method before a byte of the body is looked at, however much is announced."""
    with socket.create_connection(("127.0.0.1", face.port), timeout=10) as connection:
        head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{face.port}\r\nContent-Length: 1000000000\r\n\r\n"
        connection.sendall(head.encode())
        assert _read(connection).startswith(b"HTTP/1.1 405")


def test_slow_and_silent_clients_are_shut_out_and_cost_little(face, eventually):
    process = psutil.Process(face.pid)
    before, files = process.memory_full_info().uss, process.num_fds()
    idle = [socket.create_connection(("127.0.0.1", face.port), timeout=30) for _ in range(100)]
    try:
        for one in idle[:50]:
            one.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert process.memory_full_info().uss - before < 30_000_000
        for one in idle:
            assert one.recv(1) == b""  # each is closed, with nobody's help
    finally:
        for one in idle:
            one.close()
    eventually(lambda: process.num_fds() <= files + 2)
    assert face.ask()[0] == 200


def test_a_crowd_of_connections_does_not_take_the_descriptors_that_looking_needs(open_dashboard, eventually):
    face = open_dashboard()
    resource.prlimit(face.pid, resource.RLIMIT_NOFILE, (400, 400))
    process = psutil.Process(face.pid)
    crowd = []
    try:
        crowd.extend(socket.create_connection(("127.0.0.1", face.port), timeout=30) for _ in range(600))
        eventually(lambda: process.num_fds() < 360)  # it accepts a few more before it looks at them, and hangs up
    finally:
        for one in crowd:
            one.close()

    states = []

    def answers():
        try:
            status, _, body = face.ask()
        except (OSError, http.client.HTTPException):
            return False  # some of the crowd stood before us in the queue
        if status == 200:
            states.append(json.loads(body))
        return bool(states)

    eventually(answers, within_s=20)
    (state,) = states
    assert state["problem"] == "" and state["look"]["state"] == "running"


def test_a_flood_is_answered_from_memory_and_the_node_does_not_notice(shop, face, eventually):
    before = face.look()
    refused, ended = [], threading.Event()

    def hammer():
        connection = http.client.HTTPConnection("127.0.0.1", face.port, timeout=10)
        while not ended.is_set():
            try:
                connection.request("GET", "/api/state")
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    refused.append(answer.status)
            except (OSError, http.client.HTTPException):
                connection.close()
        connection.close()

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        looks = before["observer"]["looks"]
        eventually(lambda: face.look()["observer"]["looks"] >= looks + 3, within_s=20)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    after = face.look()
    assert set(refused) <= {503}
    assert after["state"] == "running" and after["totals"]["actors"] == before["totals"]["actors"]
    assert [p["pid"] for p in after["processes"]] == [p["pid"] for p in before["processes"]]
    looked = after["observer"]["looks"] - looks
    assert looked <= after["at"] - before["at"] + 2, "a flood of requests is no flood of looks"


def test_a_dashboard_that_is_killed_takes_nothing_with_it(open_dashboard, face):
    doomed = open_dashboard()
    before = face.look()
    doomed.command.process.kill()
    doomed.command.process.wait()
    assert actorlab("status", "shop", "--json")[0] == 0
    after = face.look()
    assert after["state"] == "running"
    assert [one["pid"] for one in after["processes"]] == [one["pid"] for one in before["processes"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_told_to_and_that_is_no_failure(open_dashboard, number):
    face = open_dashboard()
    keeps = http.client.HTTPConnection("127.0.0.1", face.port, timeout=10)
    keeps.request("GET", "/")
    keeps.getresponse().read()
    face.command.process.send_signal(number)
    code, _, err = face.command.end()
    keeps.close()
    assert (code, err) == (0, "")


def test_a_stopped_node_is_shown_as_it_stands(shop, face, eventually):
    processes = [psutil.Process(shop.process.pid), *shop.family()]
    for process in processes:
        process.suspend()
    try:
        eventually(lambda: {one["state"] for one in face.look()["processes"]} == {"stopped"}, within_s=30)
        look = face.look()
        assert look["state"] == "hung" and len(look["tree"]) == 7
        assert face.ask()[0] == 200
    finally:
        for process in processes:
            process.resume()
    eventually(lambda: face.look()["state"] == "running", within_s=30)


def test_a_node_that_ended_is_shown_as_it_was_and_found_again_when_it_is_back(tmp_path_factory, eventually):
    folder = tmp_path_factory.mktemp("again")
    make_desk(folder, NODE + 'name = "again"\n' + TREE)
    with Command("run", "app.toml", folder=folder) as first:
        first.wait_for("Ctrl-C stops it")
        with Command("dashboard", "again", "--port", "0", "--json") as dashboard:
            face = Face(dashboard, json.loads(dashboard.process.stdout.readline())["address"])
            pid = face.look()["pid"]
            first.process.kill()
            first.end()
            eventually(lambda: face.look()["state"] == "dead", within_s=30)
            assert face.look()["pid"] == pid and face.look()["tree"]
            with Command("run", "app.toml", folder=folder) as second:
                second.wait_for("Ctrl-C stops it")
                eventually(lambda: face.look()["state"] == "running", within_s=30)
                assert face.look()["pid"] == second.process.pid
                second.interrupt()
                second.end()
            dashboard.interrupt()
            dashboard.end()


def test_of_two_nodes_of_one_name_the_one_that_was_meant_is_shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twins")
    make_desk(folder, NODE + TREE)
    with Command("run", "app.toml", folder=folder) as one, Command("run", "app.toml", folder=folder) as other:
        for node in (one, other):
            node.wait_for("Ctrl-C stops it")
        rows = [json.loads(line) for line in actorlab("status", "--json")[1].splitlines()]
        meant = next(row for row in rows if row.get("pid") == other.process.pid)
        with Command("dashboard", os.path.basename(meant["directory"]), "--port", "0", "--json") as dashboard:
            face = Face(dashboard, json.loads(dashboard.process.stdout.readline())["address"])
            assert face.look()["pid"] == other.process.pid
            dashboard.interrupt()
            dashboard.end()
        for node in (one, other):
            node.interrupt()
            node.end()
