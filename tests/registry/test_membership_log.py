"""The log of memberships: a replica is what the writer has published, whenever it looks and the writer dies."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorlab.errors import SegmentCorrupt
from actorlab.ids import pack
from actorlab.registry import IndexedBackend, LocalBackend, MembershipLog, MembershipReader, Memberships, membership_log
from actorlab.transport import arm_crashpoints, crashpoint_labels, kill_at

MEMBERS = [pack(1 + n % 3, n, 1) for n in range(40)]
LABELS = crashpoint_labels(membership_log)
BIG = b"x" * 4000


def owner(folder: Path) -> IndexedBackend:
    return IndexedBackend(LocalBackend(), MembershipLog(folder))


def said(memberships: Memberships) -> list[tuple[str, int, bytes]]:
    return sorted(memberships.rows())


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[IndexedBackend]:
    made = owner(tmp_path)
    yield made
    made.close()


def test_a_replica_says_what_the_writer_says(writer: IndexedBackend, tmp_path: Path) -> None:
    chance = random.Random(7)
    replica, late = MembershipReader(tmp_path), MembershipReader(tmp_path)
    for step in range(3_000):
        key, address = f"g:{chance.randrange(12)}", chance.choice(MEMBERS)
        match chance.randrange(5):
            case 0:
                writer.leave(key, [address, chance.choice(MEMBERS)])
            case 1 if step % 7 == 0:
                writer.release_owner(address)
            case _:
                writer.join(key, [(address, chance.randbytes(chance.randrange(60))), (chance.choice(MEMBERS), b"")])
        if step % 17 == 0:
            assert said(replica.current()) == said(writer.current())
    assert said(replica.current()) == said(late.current()) == said(writer.current())


def test_a_log_that_is_long_for_what_is_true_is_written_anew_and_followed(
    writer: IndexedBackend, tmp_path: Path
) -> None:
    replica = MembershipReader(tmp_path)
    for round in range(2_000):
        writer.join("g:team", [(MEMBERS[round % 5], BIG + bytes([round % 256]))])
        if round % 300 == 0:
            assert said(replica.current()) == said(writer.current())
    assert said(replica.current()) == said(writer.current())
    (file,) = tmp_path.glob("members-*")
    assert file.name != "members-0"
    assert file.stat().st_blocks * 512 < 3 << 20


def test_a_version_never_returns_over_a_rewrite(writer: IndexedBackend, tmp_path: Path) -> None:
    replica = MembershipReader(tmp_path)
    writer.join("g:still", [(MEMBERS[0], b"")])
    seen = {replica.current().version("g:team")}
    for round in range(1_000):
        writer.join("g:team", [(MEMBERS[round % 5], BIG + bytes([round % 256]))])
        version = replica.current().version("g:team")
        assert version not in seen
        seen.add(version)


def test_a_batch_is_seen_whole(writer: IndexedBackend, tmp_path: Path) -> None:
    replica = MembershipReader(tmp_path)
    assert writer.join("g:team", [(address, b"") for address in MEMBERS]) == len(MEMBERS)
    assert replica.current().addresses("g:team") == MEMBERS
    assert writer.leave("g:team", MEMBERS) == len(MEMBERS)
    assert replica.current().addresses("g:team") == []


def test_a_missing_log_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(SegmentCorrupt, match="missing"):
        MembershipReader(tmp_path).current()


def change(writer: IndexedBackend) -> Iterator[list[tuple[str, int, bytes]]]:
    """Make changes, some of which rewrite the log; yield what is true before each and after the last."""
    yield said(writer.current())
    for round in range(700):
        writer.join(f"g:{round % 3}", [(MEMBERS[round % 7], BIG + bytes([round % 256])), (MEMBERS[9], b"")])
        yield said(writer.current())
        if round % 5 == 0:
            writer.leave(f"g:{round % 3}", [MEMBERS[9]])
            yield said(writer.current())


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("n", [1, 2])
def test_a_writer_killed_at_any_store_leaves_the_state_before_or_after_its_change(
    label: str, n: int, tmp_path: Path
) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "killed").mkdir()
    plain = owner(tmp_path / "plain")
    true = list(change(plain))
    plain.close()
    child = os.fork()
    if not child:
        arm_crashpoints(membership_log, kill_at(label, n))
        for _ in change(owner(tmp_path / "killed")):
            pass
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, "this label was not passed"
    if label.startswith("members.open") and n == 1:  # before there was any
        with pytest.raises(SegmentCorrupt, match="missing"):
            MembershipReader(tmp_path / "killed").current()
        heir = owner(tmp_path / "killed")
        assert said(MembershipReader(tmp_path / "killed").current()) == true[0] == said(heir.current())
        heir.close()
        return
    assert said(MembershipReader(tmp_path / "killed").current()) in true
