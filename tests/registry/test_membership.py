"""Memberships as plain data: who is on which roster, and how one knows that it has changed."""

from __future__ import annotations

from actorlab.ids import pack
from actorlab.registry import Memberships, membership_key

A, B = pack(1, 1, 1), pack(2, 1, 1)
TEAM, OTHERS = membership_key("g", "team"), membership_key("t", "others")


def test_a_member_is_on_a_roster_once_and_in_the_order_of_joining() -> None:
    lists = Memberships()
    assert lists.join(TEAM, B) and lists.join(TEAM, A)
    assert not lists.join(TEAM, B)
    assert lists.addresses(TEAM) == [B, A]


def test_joining_again_replaces_the_metadata_and_keeps_the_place() -> None:
    lists = Memberships()
    lists.join(TEAM, A, b"1")
    lists.join(TEAM, B, b"1")
    assert lists.join(TEAM, A, b"2")
    assert list(lists.members(TEAM).items()) == [(A, b"2"), (B, b"1")]


def test_every_change_of_a_roster_shows_in_its_version_and_in_no_other() -> None:
    lists = Memberships()
    seen = set()
    lists.join(OTHERS, A)
    others = lists.version(OTHERS)
    for change in (lambda: lists.join(TEAM, A), lambda: lists.join(TEAM, A, b"x"), lambda: lists.join(TEAM, B)):
        change()
        seen.add(lists.version(TEAM))
    lists.leave(TEAM, B)
    seen.add(lists.version(TEAM))
    assert len(seen) == 4
    assert lists.version(OTHERS) == others


def test_a_roster_is_gone_with_its_last_member() -> None:
    lists = Memberships()
    lists.join(TEAM, A)
    assert lists.keys("g") == ["team"]
    assert lists.leave(TEAM, A)
    assert not lists.leave(TEAM, A)
    assert (lists.keys("g"), lists.version(TEAM), dict(lists.members(TEAM))) == ([], 0, {})


def test_what_an_address_belongs_to_is_known_without_a_search() -> None:
    lists = Memberships()
    lists.join(TEAM, A)
    lists.join(OTHERS, A)
    lists.join(TEAM, B)
    assert lists.keys_of(A) == [TEAM, OTHERS]
    assert (lists.addresses_of(1), lists.addresses_of(2), lists.addresses_of(3)) == ([A], [B], [])
