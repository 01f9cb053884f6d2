"""The check that nothing is left behind sees what is left, and lets the usual pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
HEAD = "import os, subprocess, sys, threading, pytest\nfrom pathlib import Path\n"

LEAVES = {
    "directories of nodes left behind": """
        def test_it():
            node = Path(os.environ["ACTORLAB_RUNTIME_DIR"], "actorlab-0", "node-1")
            node.mkdir(parents=True)
    """,
    "descriptors left open": """
        def test_it():
            for _ in range(40):
                os.open("/dev/null", os.O_RDONLY)
    """,
    "1 descriptors left open": """
        def test_it():
            lane = Path(os.environ["ACTORLAB_RUNTIME_DIR"], "lane")
            os.open(lane, os.O_CREAT | os.O_RDWR)
            lane.unlink()
    """,
    "child processes left behind (0 before)": """
        CHILD = [sys.executable, "-c", "input()"]
        @pytest.mark.process
        def test_it():
            pytest.child = subprocess.Popen(CHILD, stdin=subprocess.PIPE)
    """,
    "child processes left behind by the session": """
        CHILD = [sys.executable, "-c", "input()"]
        def test_it():
            pytest.child = subprocess.Popen(CHILD, stdin=subprocess.PIPE)
    """,
}

LEAVES_NOTHING = """
    from hypothesis import given, strategies
    KEPT = []

    @pytest.fixture(scope="module")
    def child():
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
            yield child
            child.stdin.close()

    @pytest.mark.process
    def test_a_module_s_own_process_is_not_the_test_s(child):
        assert child.poll() is None

    def test_a_singleton_may_be_opened_once():
        KEPT.append(os.open("/dev/null", os.O_RDONLY))

    def test_what_goes_a_little_later_is_no_leak():
        read, write = os.pipe()
        threading.Timer(0.02, lambda: (os.close(read), os.close(write))).start()

    @given(strategies.integers())
    def test_hypothesis_is_content(n):
        assert n == n

    def test_a_condition_is_waited_for(eventually):
        done = threading.Event()
        threading.Timer(0.01, done.set).start()
        eventually(done.is_set)
        with pytest.raises(AssertionError, match="not within 0.01 s"):
            eventually(lambda: False, within_s=0.01)
"""


def run(folder: Path, body: str, patience_s: float) -> subprocess.CompletedProcess[str]:
    """Run `body` as a test module under our own conftest, with so much patience."""
    lines = body.strip("\n").splitlines()
    margin = len(lines[0]) - len(lines[0].lstrip())
    ours = CONFTEST.read_text("utf-8")
    assert "PATIENCE_S = 20.0" in ours
    (folder / "conftest.py").write_text(ours.replace("PATIENCE_S = 20.0", f"PATIENCE_S = {patience_s}"))
    (folder / "test_it.py").write_text(HEAD + "\n".join(line[margin:] for line in lines) + "\n")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = process: starts processes\nfilterwarnings = error\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("what", LEAVES)
def test_what_a_test_leaves_behind_fails_it(tmp_path, what):
    done = run(tmp_path, LEAVES[what], 0.3)
    assert done.returncode == 1, done.stdout + done.stderr
    assert what in done.stdout


def test_a_test_that_tidies_up_passes(tmp_path):
    done = run(tmp_path, LEAVES_NOTHING, 20.0)
    assert done.returncode == 0, done.stdout + done.stderr
