"""Laws of the door: whom it lets in, and what it says to others. Without a network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.dashboard.access import MAX_TARGET_BYTES, Access, Admission, Refusal, Request, authorities, check_door
from actorlab.errors import UnsafeDoor

TOKEN = "correct horse battery staple"
HOSTS = authorities(["127.0.0.1", "localhost", "::1"], 8787)
OWNER = 1000
PATHS = frozenset(("/", "/api/state"))


def access(token=None):
    return Access(HOSTS, token, PATHS, "8787", OWNER)


def ask(path="/", method="GET", query="", host="127.0.0.1:8787", uid=OWNER, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, path, query, {"host": host, **named} if host is not None else named, uid)


def status(verdict):
    return verdict.status if isinstance(verdict, Refusal) else 200


@pytest.mark.parametrize("host", ["127.0.0.1:8787", "localhost:8787", "LOCALHOST:8787", "[::1]:8787"])
def test_our_own_names_are_let_in(host):
    assert access().judge(ask(host=host)) is None


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8787", "127.0.0.1", "127.0.0.1:80", "localhost:8787.evil.example", "", None),
        *("127.0.0.1:8787, evil.example", "evil.example, 127.0.0.1:8787", "localhost.:8787", "user@localhost:8787"),
    ],
)
def test_any_other_host_is_refused(host):
    assert status(access().judge(ask(host=host))) == 403


@given(st.text(max_size=40))
def test_no_made_up_host_gets_in(host):
    assert (host.casefold() in HOSTS) == (access().judge(ask(host=host)) is None)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://127.0.0.1", "http://127.0.0.1:8788", "http://localhost:8787"]
)
def test_a_foreign_origin_is_refused(origin):
    assert status(access().judge(ask(origin=origin))) == 403


def test_the_pages_own_origin_is_let_in():
    assert access().judge(ask(origin="http://127.0.0.1:8787")) is None


def test_what_another_sites_page_loads_is_refused_and_a_link_followed_is_not():
    loads = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}
    follows = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    frames = {**follows, "sec_fetch_dest": "iframe"}
    assert [status(access().judge(ask(**how))) for how in (loads, follows, frames)] == [403, 200, 403]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW", "get"])
def test_only_reading_is_allowed(method):
    assert status(access().judge(ask(method=method))) == 405


@pytest.mark.parametrize(
    "path", ["/../etc/passwd", "/..", "//", "/api", "/api/state/", "/index.html", "/assets/../", "/\x00", "/%2e%2e", ""]
)
def test_there_are_no_other_paths(path):
    assert status(access().judge(ask(path=path))) == 404


def test_a_huge_query_is_refused_before_anything_reads_it():
    assert status(access(TOKEN).judge(ask(query="a=" + "b" * MAX_TARGET_BYTES))) == 414
    assert status(access(TOKEN).judge(ask(query="&".join("token=x" for _ in range(200))))) == 401


def test_without_a_token_only_the_owner_and_root_come_in():
    for uid, wanted in ((OWNER, 200), (0, 200), (1001, 403), (65534, 403), (None, 403)):
        assert status(access().judge(ask(uid=uid))) == wanted
        assert status(access(TOKEN).judge(ask(uid=uid, authorization=f"Bearer {TOKEN}"))) == 200


def test_without_the_token_nothing_is_shown_not_even_which_paths_there_are():
    door = access(TOKEN)
    for request in (ask(), ask("/nowhere"), ask(query="token="), ask(query="token=wrong"), ask("/api/state")):
        assert status(door.judge(request)) == 401
    assert status(door.judge(ask(authorization="Bearer wrong"))) == 401
    assert status(door.judge(ask(authorization=TOKEN))) == 401
    assert status(door.judge(ask(cookie=f"{door.cookie_name}={TOKEN}"))) == 401
    assert status(door.judge(ask("/api/state", query=f"token={TOKEN}"))) == 401


def test_the_token_opens_by_header_and_by_a_cookie_that_is_not_the_token():
    door = access(TOKEN)
    assert door.judge(ask(authorization=f"Bearer {TOKEN}")) is None
    admission = door.judge(ask(query="token=correct+horse+battery+staple"))
    assert isinstance(admission, Admission) and TOKEN not in admission.cookie
    assert door.judge(ask("/api/state", cookie=f"other=1; {door.cookie_name}={admission.cookie}")) is None
    assert status(access(TOKEN).judge(ask(cookie=f"{door.cookie_name}={admission.cookie}"))) == 401, "another server's"


def test_no_token_in_any_encoding_fails_the_door():
    door = access(TOKEN)
    for told in ("\xe9\xff", "%ff%fe", "é" * 20):
        assert status(door.judge(ask(query=f"token={told}", authorization=f"Bearer {told}", cookie=f"a={told}"))) == 401


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "::ffff:127.0.0.1"])
def test_loopback_needs_no_more(host):
    check_door(host, allow_remote=False, token=None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "2001:db8::1", "example.org", "", "::ffff:10.0.0.1"])
@pytest.mark.parametrize(("allow_remote", "token"), [(False, None), (True, None), (False, TOKEN), (True, "short")])
def test_anything_else_needs_both_the_word_and_a_token(host, allow_remote, token):
    with pytest.raises(UnsafeDoor) as refused:
        check_door(host, allow_remote=allow_remote, token=token)
    assert "nothing was opened" in str(refused.value)


def test_a_token_that_can_be_guessed_is_refused_on_loopback_too():
    with pytest.raises(UnsafeDoor):
        check_door("127.0.0.1", allow_remote=False, token="12345")
