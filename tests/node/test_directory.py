"""The node's directory, with real processes where a lock must outlive or die with one."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from actorlab.errors import AlreadyRunning, SpecError, StartError, UnsafeDirectory
from actorlab.memory import start_time_of
from actorlab.node.directory import (
    NodeDirectory,
    base_directory,
    check_safe,
    has_controller,
    node_directories,
    remove_orphaned,
)
from actorlab.node.identity import Identity, read_identity

HOLD = """
import sys
from actorlab.node.directory import NodeDirectory
{make}
print("held", flush=True)
for line in sys.stdin:
    print(eval(line), flush=True)
"""


class Holder:
    """Another process that holds a membership `d` and evaluates what it is told."""

    def __init__(self, make: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD.format(make=make)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def tell(self, expression: str) -> str:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def hold():
    holders = []

    def start(make: str) -> Holder:
        holders.append(Holder(make))
        return holders[-1]

    yield start
    for holder in holders:
        holder.kill()


def creating(runtime_dir: Path, name: str) -> str:
    return f"d = NodeDirectory.create({name!r}, runtime_dir={str(runtime_dir)!r})"


def test_a_node_has_a_closed_directory_that_says_who_runs_it(tmp_path):
    with NodeDirectory.create("web", runtime_dir=tmp_path) as node:
        assert node.name == "web" and node.path.name.startswith("web-") and len(node.path.name) == len("web-") + 8
        assert stat.S_IMODE(node.path.stat().st_mode) == 0o700
        assert stat.S_IMODE(node.path.parent.stat().st_mode) == 0o700
        for file in node.path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0
        who = json.loads((node.path / "node.json").read_bytes())
        assert (who["pid"], who["uid"], who["starttime"]) == (os.getpid(), os.geteuid(), start_time_of(os.getpid()))
        assert node.controller_alive()
    assert list(tmp_path.iterdir()) == []


def test_the_base_comes_from_the_argument_then_the_environment_then_dev_shm(tmp_path, monkeypatch):
    monkeypatch.setenv("ACTORLAB_RUNTIME_DIR", "/elsewhere")
    tag = f"actorlab-{os.geteuid()}"
    assert base_directory(tmp_path) == tmp_path / tag
    assert base_directory() == Path("/elsewhere") / tag
    monkeypatch.delenv("ACTORLAB_RUNTIME_DIR")
    assert base_directory() == Path("/dev/shm") / tag


def make_symlink(base: Path) -> None:
    (base.parent / "real").mkdir(mode=0o700)
    base.symlink_to(base.parent / "real")


def make_readable(base: Path) -> None:
    base.mkdir()
    base.chmod(0o750)


def make_replaceable(base: Path) -> None:
    base.mkdir(mode=0o700)
    base.parent.chmod(0o777)


@pytest.mark.parametrize("spoil", [make_symlink, make_readable, make_replaceable, Path.touch])
def test_a_base_that_others_could_tamper_with_is_refused(tmp_path, spoil):
    base = base_directory(tmp_path)
    spoil(base)
    with pytest.raises(UnsafeDirectory):
        NodeDirectory.create(runtime_dir=tmp_path)


def test_a_base_of_another_user_is_refused(tmp_path, monkeypatch):
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: theirs.stat().st_uid + 1)
    with pytest.raises(UnsafeDirectory, match="belongs to uid"):
        check_safe(theirs)


def test_a_missing_runtime_directory_is_a_start_error(tmp_path):
    with pytest.raises(StartError, match="does not exist"):
        NodeDirectory.create(runtime_dir=tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65, "né"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path, name):
    with pytest.raises(SpecError):
        NodeDirectory.create(name, runtime_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_has_one_live_node(tmp_path):
    with (
        NodeDirectory.create("web", runtime_dir=tmp_path),
        NodeDirectory.create("web-2", runtime_dir=tmp_path),
        pytest.raises(AlreadyRunning, match="web"),
    ):
        NodeDirectory.create("web", runtime_dir=tmp_path)
    NodeDirectory.create("web", runtime_dir=tmp_path).remove()


def test_nodes_without_a_name_have_company(tmp_path):
    with NodeDirectory.create(runtime_dir=tmp_path) as one, NodeDirectory.create(runtime_dir=tmp_path) as other:
        assert one.path != other.path


@pytest.mark.process
def test_of_many_starts_at_once_one_wins(tmp_path):
    script = (
        "import sys\nfrom actorlab.node.directory import *\nfrom actorlab.errors import AlreadyRunning\n"
        "sys.stdin.readline()\n"
        f"try: d = NodeDirectory.create('web', runtime_dir={str(tmp_path)!r}); print('won', flush=True)\n"
        "except AlreadyRunning: print('lost', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    starts = [
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for start in starts:
        start.stdin.write("go\n")
        start.stdin.flush()
    outcomes = [start.stdout.readline().strip() for start in starts]
    for start in starts:
        start.communicate("end\n")
    assert sorted(outcomes) == ["lost", "lost", "lost", "won"]


@pytest.mark.process
def test_a_name_is_free_again_after_its_controller_is_killed(tmp_path, hold):
    holder = hold(creating(tmp_path, "web"))
    with pytest.raises(AlreadyRunning):
        NodeDirectory.create("web", runtime_dir=tmp_path)
    holder.kill()
    NodeDirectory.create("web", runtime_dir=tmp_path).remove()
    [left] = node_directories(base_directory(tmp_path))  # for the sweep, which decides by more than the name
    assert remove_orphaned(left)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
@pytest.mark.parametrize("act", ["close", "remove", "leave"])
def test_a_forked_child_cannot_drop_its_parents_lock_nor_remove_its_node(tmp_path, act):
    with NodeDirectory.create("web", runtime_dir=tmp_path) as node:
        child = os.fork()
        if child == 0:
            try:
                getattr(node, act)()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert has_controller(node.path)
        assert (node.path / "node.json").exists()
        with pytest.raises(AlreadyRunning):
            NodeDirectory.create("web", runtime_dir=tmp_path)


@pytest.mark.process
def test_a_forked_child_that_lives_on_does_not_keep_the_node_alive(tmp_path):
    node = NodeDirectory.create("web", runtime_dir=tmp_path)
    started_r, started_w = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(started_w, b"x")  # after_in_child hooks ran before fork returned
        signal.pause()
        os._exit(0)
    try:
        os.read(started_r, 1)
        node.close()
        assert not has_controller(node.path)
        assert remove_orphaned(node.path)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(started_r)
        os.close(started_w)


def test_locks_are_not_inherited_by_programs_that_are_started(tmp_path):
    with NodeDirectory.create(runtime_dir=tmp_path) as node:
        show = "import os; print([os.readlink(f'/proc/self/fd/{f}') for f in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12) if "
        show += "os.path.exists(f'/proc/self/fd/{f}')])"
        seen = subprocess.run([sys.executable, "-c", show], close_fds=False, capture_output=True, text=True).stdout
        assert str(node.path) not in seen


@pytest.mark.process
def test_a_worker_joins_by_its_own_lock_and_says_who_it_is(tmp_path, hold):
    with NodeDirectory.create("web", runtime_dir=tmp_path) as node:
        worker = hold(f"d = NodeDirectory.join({str(node.path)!r}, 3)")
        who = read_identity(node.path / "workers" / "3.json")
        assert who is not None and who.is_alive()
        assert (who.pid, who.slot, who.name) == (worker.process.pid, 3, "web")
        assert worker.tell("d.controller_alive()") == "True"
        assert worker.tell("d.leave()") == "False"
        assert not (node.path / "workers" / "3.json").exists()


@pytest.mark.process
def test_a_controller_is_alive_while_it_lives_though_somebody_removes_the_directory(tmp_path, hold):
    holder = hold(creating(tmp_path, "web"))
    [path] = node_directories(base_directory(tmp_path))
    with closing(NodeDirectory.join(path, 1)) as worker:
        shutil.rmtree(path)
        assert worker.controller_alive()
        holder.kill()
        assert not worker.controller_alive()


@pytest.mark.process
def test_nobody_joins_a_node_whose_controller_is_gone(tmp_path, hold):
    holder = hold(creating(tmp_path, "web"))
    [path] = node_directories(base_directory(tmp_path))
    holder.kill()
    with pytest.raises(StartError, match="controller"):
        NodeDirectory.join(path, 1)
    assert remove_orphaned(path)
    with pytest.raises(StartError, match="is gone"):
        NodeDirectory.join(path, 1)


@pytest.mark.process
def test_the_last_worker_of_a_killed_controller_removes_the_directory(tmp_path, hold):
    controller = hold(creating(tmp_path, "web"))
    [path] = node_directories(base_directory(tmp_path))
    first, last = (hold(f"d = NodeDirectory.join({str(path)!r}, {slot})") for slot in (1, 2))
    controller.kill()
    assert first.tell("d.leave()") == "False"
    assert path.exists()
    assert last.tell("d.leave()") == "True"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_an_identity_does_not_survive_its_process_nor_fit_another(hold, tmp_path):
    holder = hold(creating(tmp_path, "web"))
    [path] = node_directories(base_directory(tmp_path))
    who = read_identity(path / "node.json")
    assert who is not None and who.is_alive()
    pidfd = os.pidfd_open(holder.process.pid)
    holder.process.send_signal(signal.SIGKILL)
    select.select([pidfd], [], [], 30)
    os.close(pidfd)
    assert not who.is_alive()  # a zombie
    holder.kill()
    assert not who.is_alive()
    assert remove_orphaned(path)
    me = Identity.of_this_process()
    assert me.is_alive()
    assert not Identity(me.pid, me.starttime + 1, me.boot_id, me.uid).is_alive()
    assert not Identity(me.pid, me.starttime, "another boot", me.uid).is_alive()
    assert not Identity(me.pid, me.starttime, me.boot_id, me.uid + 1).is_alive()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": 1}', b'{"pid": "1", "starttime": 0}', b"\xff"])
def test_a_record_that_is_not_ours_is_nobody(tmp_path, content):
    file = tmp_path / "1.json"
    file.write_bytes(content)
    assert read_identity(file) is None
