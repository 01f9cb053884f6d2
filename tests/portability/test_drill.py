"""A whole node lives and ends as it should without any one of the capabilities, and without all, as on macOS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import psutil
import pytest

from actorlab.memory import Capability

pytestmark = pytest.mark.process

DRILL = Path(__file__).with_name("portable_drill.py")
EVERYTHING: tuple[str, ...] = get_args(Capability)
WITH_IT = {"proc": ("forkserver", "memfd"), "pidfd": ("forkserver",), "close_signal": ("forkserver",)}
"""What is missing with it."""
PATIENCE_S = 30.0


class Drill:
    """The drill in a process of its own: what it said, step by step; its files are in `folder` if not in memory."""

    def __init__(self, without: str, folder: Path, *how: str) -> None:
        self.lacks = set(EVERYTHING) if without == "macos" else {without, *WITH_IT.get(without, ())}
        self.environment = {**os.environ, "ACTORLAB_WITHOUT": without, "TMPDIR": str(folder)}
        if "dev_shm" in self.lacks:
            del self.environment["ACTORLAB_RUNTIME_DIR"]
        self.process = subprocess.Popen(
            [sys.executable, str(DRILL), *how],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment,
        )  # fmt: skip
        self.steps: dict[str, dict[str, Any]] = {}
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = json.loads(line)
            self.steps[said.pop("step")] = said
            if "ready" in self.steps:
                break
        if not {"ready", "stopped"} & set(self.steps):
            raise AssertionError(self.process.communicate()[1])
        self.family = psutil.Process(self.process.pid).children(recursive=True) if "ready" in self.steps else []

    @property
    def directory(self) -> Path:
        return Path((self.steps.get("ready") or self.steps["stopped"])["directory"])

    def actorlab(self, *command: str) -> str:
        """Run the command line as the drill's user would."""
        ran = subprocess.run(
            [sys.executable, "-m", "actorlab", *command],
            capture_output=True, text=True, env=self.environment, timeout=60,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def anything_left(self) -> list[object]:
        """Return which of its processes still live, and its directory if that is still there."""
        alive = []
        for one in self.family:
            try:
                if one.is_running() and one.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                    alive.append(one)
            except psutil.NoSuchProcess:
                continue
        return [*alive, *(path for path in (self.directory,) if path.exists())]

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def drill(tmp_path: Path) -> Iterator[Callable[..., Drill]]:
    started: list[Drill] = []

    def start(without: str, *how: str) -> Drill:
        started.append(Drill(without, tmp_path, *how))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def check_steps(lived: Drill) -> None:
    """What the drill itself could not see to: that it was about what it should be about."""
    assert set(lived.steps["talk"]["missing"]) == lived.lacks
    assert lived.steps["share"]["refused"].startswith("no room for dataset 'more': 5,246,976 bytes needed")
    assert lived.steps["crash"]["before"] != lived.steps["crash"]["after"]
    account = lived.steps["account"]
    last_standing = "sentry" if "forkserver" in lived.lacks else "forkserver"
    assert account["roles"] == ["controller", last_standing, "worker", "worker"]
    assert account["private_bytes"] > 4 * 5_000_000
    assert min(account["uss"].values()) > 2_000_000
    told = "proc" not in lived.lacks
    for name in ("bytes", "shared_once_bytes", "saved"):
        assert (account[name] is not None) == told
    assert all((size is not None) == told for size in account["pss"].values())


@pytest.mark.parametrize("capability", EVERYTHING)
def test_without_one_a_node_lives_and_a_killed_controller_leaves_nothing(drill, eventually, tmp_path, capability):
    lived = drill(capability)
    check_steps(lived)
    assert (tmp_path in lived.directory.parents) == (capability == "dev_shm")
    assert len(lived.family) == 3 and lived.directory.is_dir()
    lived.kill()
    eventually(lambda: not lived.anything_left(), within_s=PATIENCE_S)


def test_as_on_macos_a_node_lives_and_stops_and_leaves_nothing(drill, tmp_path):
    lived = drill("macos", "stop")
    check_steps(lived)
    assert lived.process.wait() == 0
    assert tmp_path in lived.directory.parents
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def macos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """A node as on macOS, one of whose workers holds the GIL in C code for ever."""
    lived = Drill("macos", tmp_path_factory.mktemp("macos"), "stuck")
    yield lived
    lived.kill()


def test_as_on_macos_the_account_is_of_private_memory_as_each_process_says(macos, eventually):
    looks, processes = [], (psutil.Process(macos.process.pid), *macos.family)

    def agrees():
        """What each says is up to a second old, and a process may have grown meanwhile."""
        looks.append(json.loads(macos.actorlab("mem", macos.directory.name, "--json")))
        said = {one["pid"]: one["memory"]["uss_bytes"] for one in looks[-1]["processes"]}
        assert said.keys() == {one.pid for one in processes}
        really = {one.pid: one.memory_full_info().uss for one in processes}
        return said == pytest.approx(really, rel=0.2, abs=4 << 20)

    eventually(agrees, within_s=PATIENCE_S)
    totals = looks[-1]["totals"]
    private = {one["pid"]: one["memory"]["uss_bytes"] for one in looks[-1]["processes"]}
    assert totals["private_bytes"] == sum(private.values())
    assert (totals["bytes"], totals["shared_once_bytes"], totals["memory"]["pss_bytes"]) == (None, None, None)


def test_as_on_macos_the_statement_says_that_the_whole_is_not_known(macos):
    said = macos.actorlab("mem", macos.directory.name)
    assert "how much in all is not known: this system tells no PSS" in said and "private (USS)" in said


def test_as_on_macos_metrics_tell_what_is_known_and_nothing_else(macos):
    rows = [row for row in macos.actorlab("metrics", macos.directory.name).splitlines() if not row.startswith("#")]
    said = "\n".join(rows)
    assert 'actorlab_memory_bytes{part="private"} ' in said and 'kind="uss"' in said
    assert not {one for one in ("shared_once", "unmapped", 'kind="pss"', "sharing_saved_bytes") if one in said}


def test_as_on_macos_the_doctor_says_what_stands_in_for_what(macos):
    said = macos.actorlab("doctor")
    assert not {capability for capability in EVERYTHING if f"ok  {capability} " not in said}
    assert "taken away by ACTORLAB_WITHOUT: shared files are in the user's temporary folder" in said


def test_as_on_macos_a_killed_controller_leaves_nothing_even_if_a_worker_holds_the_gil(macos, eventually):
    assert len(macos.family) == 3
    macos.kill()
    eventually(lambda: not macos.anything_left(), within_s=PATIENCE_S)
    eventually(lambda: not macos.directory.parent.exists())
