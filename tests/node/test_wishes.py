"""Wishes: any node is asked from outside for another worker, or to empty one; what it refuses is said as what it is."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from moving_actors import Counter, Locked

import actorlab as al
from actorlab.cli import main
from actorlab.errors import UnsafeDirectory
from actorlab.node import wish
from actorlab.node.wishes import Wishes

pytestmark = pytest.mark.process

Eventually = Callable[..., None]


def test_any_node_with_workers_is_told_and_names_who_cannot_move(capsys: pytest.CaptureFixture[str]) -> None:
    with al.Node(workers=2, name="script", heartbeat_s=0.05) as node:
        moving = node.spawn(Counter, placement=2)
        moving.call.add(3)
        stay = [node.spawn(Locked, name=f"lock{n}", placement=2) for n in range(8)]
        assert main(["drain", "script", "2"]) == 1
        said = capsys.readouterr().err
        assert "lock0 cannot be moved" in said and ", and neither can lock1, lock2" in said and "and 2 more" in said
        assert len({worker.pid for worker in node.workers}) == 2
        for ref in stay:
            ref.stop()
        assert main(["drain", "script", "2"]) == 0
        assert main(["drain", "script", "2"]) == 1 and main(["drain", "script", "1"]) == 1
        said = capsys.readouterr().err
        assert "worker 2 stays as it is: it is drained: its actors are guests of worker 1" in said
        assert "worker 1 stays as it is: its process hosts the actors of worker 2" in said
        assert moving.call.state() == (3, 1)
        with pytest.raises(al.WorkerStays, match="its process hosts"):
            assert node.directory is not None
            wish(node.directory, "recycle", {"worker": 1}, 20.0)
        assert main(["add", "script", "--json"]) == 0 and moving.call.state() == (3, 1)


def test_an_order_that_takes_too_long_says_whether_it_has_begun(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, eventually: Eventually
) -> None:
    with al.Node(workers=2, name="slow", heartbeat_s=0.05, recycle=al.RecycleOptions(timeout_s=60.0)) as node:
        assert node.directory is not None
        holding = node.spawn(Counter, placement=2)
        gate = tmp_path / "gate"
        held = holding.request.hold(str(gate))
        eventually((tmp_path / "gate.held").exists)
        assert main(["drain", "slow", "2", "--timeout", "5"]) == 1
        assert "the node, which has begun to drain, within 5 s" in capsys.readouterr().err
        gate.touch()
        assert held.get(timeout=30) == "held"
        eventually(lambda: len({worker.pid for worker in node.workers}) == 1)
        eventually(lambda: any(path.name.startswith("granted.") for path in node.directory.iterdir()))  # type: ignore


def test_a_wish_that_another_user_wrote_is_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "wish.1").write_text('{"kind": "add"}')
    wishes = Wishes(tmp_path, {"add": lambda: pytest.fail("it was granted")})
    stranger = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    wishes.look()
    assert list(tmp_path.iterdir()) == [] and "a wish that is none of ours" in caplog.text


def test_a_wish_that_cannot_be_read_for_want_of_a_descriptor_is_granted_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    (tmp_path / "wish.1").write_text('{"kind": "add"}')
    wishes = Wishes(tmp_path, {"add": lambda: {"worker": 2}})

    def refuse(*_: object, **__: object) -> str:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Path, "read_text", refuse)
        wishes.look()
    assert [path.name for path in tmp_path.iterdir()] == ["wish.1"]
    wishes.look()
    eventually(lambda: [path.name for path in tmp_path.iterdir()] == ["granted.1"])


def test_directories_of_others_are_refused(tmp_path: Path) -> None:
    with al.Node(workers=1, heartbeat_s=0.05) as node:
        assert node.directory is not None
        os.chmod(node.directory, 0o755)
        try:
            with pytest.raises(UnsafeDirectory, match="its mode is 755"):
                wish(node.directory, "restart", {}, 5.0)
        finally:
            os.chmod(node.directory, 0o700)
    (tmp_path / f"actorlab-{os.geteuid()}").mkdir(mode=0o777)
    os.chmod(tmp_path / f"actorlab-{os.geteuid()}", 0o777)
    assert main(["workers", "--dir", str(tmp_path)]) == 1


def test_a_node_that_ends_meanwhile_is_said_to_have_ended(tmp_path: Path) -> None:
    with pytest.raises(al.StartError, match="the node has ended"):
        wish(tmp_path / "gone", "add", {}, 5.0)


def test_a_reload_does_not_end_a_process_that_does_not_know_it(capsys: pytest.CaptureFixture[str]) -> None:
    with al.Node(workers=1, name="plain"):
        assert main(["reload", "plain"]) == 1
    assert "was not started by actorlab run" in capsys.readouterr().err
