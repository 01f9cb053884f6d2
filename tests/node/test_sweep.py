"""What dead nodes leave is removed; what lives, and whoever only has a dead one's pid, is left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import actorlab as al
from actorlab.errors import UnsafeDirectory
from actorlab.node.checkup import doctor
from actorlab.node.directory import NodeDirectory, base_directory
from actorlab.node.identity import Identity, write_whole
from actorlab.node.sweep import sweep

pytestmark = pytest.mark.process

told_apart = pytest.mark.parametrize("how", ["pidfds", "plain"], indirect=True)


@pytest.fixture(autouse=True)
def how(request, without):
    """How processes are told apart, where a test asks for both ways."""
    if getattr(request, "param", "pidfds") == "plain":
        without("pidfd", "proc")


def run(script: str) -> subprocess.Popen[str]:
    """Start a script that prints a line when it stands."""
    head = "import os, signal, sys\nfrom actorlab.node.directory import *\nfrom actorlab.node.identity import *\n"
    process = subprocess.Popen([sys.executable, "-c", head + script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.first_line = process.stdout.readline().strip()  # type: ignore[attr-defined]
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def dead_node(runtime_dir: Path) -> Path:
    """Leave the directory of a node that was killed."""
    process = run(
        f"d = NodeDirectory.create(runtime_dir={str(runtime_dir)!r}); print(d.path, flush=True); signal.pause()"
    )
    end(process)
    return Path(process.first_line)


def orphan_of(path: Path, slot: int = 1) -> subprocess.Popen[str]:
    """Start a process that joined `path`; its controller must still live."""
    return run(f"d = NodeDirectory.join({str(path)!r}, {slot}); print('joined', flush=True); signal.pause()")


def test_living_nodes_are_left_alone(tmp_path):
    with NodeDirectory.create(runtime_dir=tmp_path) as node:
        assert sweep(base_directory(tmp_path)) == []
        assert (node.path / "node.json").exists()


def test_without_any_node_there_is_nothing_to_do(tmp_path):
    assert sweep(base_directory(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_killed_nodes_directory_is_removed(tmp_path):
    path = dead_node(tmp_path)
    (path / "lane-1-2").write_bytes(b"x" * 4096)
    [finding] = sweep(base_directory(tmp_path))
    assert (finding.path, finding.what, finding.removed) == (str(path), "dead", True)
    assert list(tmp_path.iterdir()) == []


def test_looking_removes_nothing(tmp_path):
    path = dead_node(tmp_path)
    [finding] = sweep(base_directory(tmp_path), clean=False)
    assert not finding.removed and path.exists()


def test_a_removal_that_was_interrupted_is_finished(tmp_path):
    path = dead_node(tmp_path)
    (path / "tree.lock").unlink()
    [finding] = sweep(base_directory(tmp_path))
    assert finding.removed and not path.exists()


@told_apart
def test_orphans_are_killed_and_their_directory_removed(tmp_path):
    controller = run(
        f"d = NodeDirectory.create(runtime_dir={str(tmp_path)!r}); print(d.path, flush=True); signal.pause()"
    )
    path = Path(controller.first_line)
    orphans = [orphan_of(path, slot) for slot in (1, 2)]
    end(controller)
    [finding] = sweep(base_directory(tmp_path))
    assert finding.what == "orphans" and finding.removed
    assert sorted(finding.killed) == sorted(orphan.pid for orphan in orphans)
    for orphan in orphans:
        orphan.communicate()
        assert orphan.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


@told_apart
@pytest.mark.parametrize(
    "change",
    [{"starttime": 1}, {"boot_id": "another boot"}, {"uid": 4_000_000}],
    ids=["pid reused", "other boot", "other user"],
)
def test_a_stranger_with_a_recorded_pid_is_never_signalled(tmp_path, change):
    tell = "print(json.dumps(asdict(Identity.of_this_process())), flush=True); signal.pause()"
    stranger = run("import json\nfrom dataclasses import asdict\n" + tell)
    who = replace(Identity(**json.loads(stranger.first_line)), **change)
    path = dead_node(tmp_path)
    write_whole(path / "workers" / "1.json", asdict(who))
    assert not who.send_signal(signal.SIGKILL)
    [finding] = sweep(base_directory(tmp_path))
    assert finding.removed and finding.killed == ()
    assert stranger.poll() is None
    end(stranger)


def test_a_controller_that_let_go_is_not_killed_for_it(tmp_path):
    node = NodeDirectory.create(runtime_dir=tmp_path)
    node.close()
    [finding] = sweep(base_directory(tmp_path))
    assert finding.removed and finding.killed == ()


def test_a_lock_held_by_somebody_unrecorded_is_reported_not_guessed_at(tmp_path):
    controller = run(
        f"d = NodeDirectory.create(runtime_dir={str(tmp_path)!r}); print(d.path, flush=True); signal.pause()"
    )
    path = Path(controller.first_line)
    orphan = orphan_of(path)
    (path / "workers" / "1.json").unlink()
    end(controller)
    [finding] = sweep(base_directory(tmp_path), patience_s=0.02)
    assert finding.what == "held" and not finding.removed and finding.killed == ()
    assert orphan.poll() is None
    end(orphan)
    [finding] = sweep(base_directory(tmp_path))
    assert finding.removed


def test_a_sweep_never_takes_a_node_that_is_just_being_created(tmp_path):
    base = base_directory(tmp_path)
    stop = threading.Event()
    found: list[object] = []

    def sweep_on() -> None:
        while not stop.is_set():
            found.extend(sweep(base))

    sweepers = [threading.Thread(target=sweep_on) for _ in range(2)]
    for sweeper in sweepers:
        sweeper.start()
    try:
        for _ in range(100):
            with NodeDirectory.create(runtime_dir=tmp_path) as node:
                assert (node.path / "workers").exists()
    finally:
        stop.set()
        for sweeper in sweepers:
            sweeper.join()
    assert list(tmp_path.iterdir()) == []


def test_an_unsafe_base_is_not_swept(tmp_path):
    path = dead_node(tmp_path)
    base_directory(tmp_path).chmod(0o755)
    with pytest.raises(UnsafeDirectory):
        sweep(base_directory(tmp_path))
    assert path.exists()


def test_the_doctor_looks_and_only_cleans_when_asked(tmp_path):
    path = dead_node(tmp_path)
    report = doctor(base_directory(tmp_path))
    assert not report.ok and path.exists()
    names = {check.name for check in report.checks}
    assert {"python", "processes", "sched_yield", "directory", "shared memory", "descriptors", "RemoveIPC"} <= names
    report = doctor(base_directory(tmp_path), clean=True)
    assert [finding.removed for finding in report.findings] == [True]
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_reports_an_unsafe_directory_instead_of_failing(tmp_path):
    dead_node(tmp_path)
    base_directory(tmp_path).chmod(0o755)
    report = doctor(base_directory(tmp_path), clean=True)
    assert not report.ok
    assert any(check.name == "directory" and not check.ok and "755" in check.text for check in report.checks)
    assert os.listdir(base_directory(tmp_path)) != []


def test_a_node_that_starts_removes_what_dead_ones_left(tmp_path):
    left = [dead_node(tmp_path), dead_node(tmp_path)]
    assert all(path.exists() for path in left)
    with al.Node(workers=1, runtime_dir=str(tmp_path)) as node:
        assert [path for path in base_directory(tmp_path).iterdir()] == [node.directory]
    assert not base_directory(tmp_path).exists()
