"""What every test stands on: a runtime directory of its own session, and a check that nothing is left behind.

A test that leaves a descriptor, a node's directory or a child process behind fails at its end, with what it left.
Everything gets a little time to go, for a process that was told to stop needs some; a test that leaves nothing
pays for no waiting. `eventually` is how a test waits for another process: by the condition, never by the clock.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

from actorlab import testing
from actorlab.actor import runtimes
from actorlab.memory import ask_again
from actorlab.testing import poll
from actorlab.testing.leaks import children, descriptors, new_descriptors, node_directories

# A machine that stands still for a moment is no counterexample.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

PATIENCE_S = 20.0
LAZY_DESCRIPTORS = 16
"""How many descriptors a whole session may open once and keep: the forkserver's two ends, an embedded node's loop."""

SESSION_FOLDER = "actorlab-tests-"
SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    """`eventually(condition, within_s=20)` waits for a condition that another process or thread brings about."""

    return testing.eventually


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`without("pidfd", …)` takes capabilities away from this process and those it starts, until the test ends."""

    def take_away(*capabilities: str) -> None:
        monkeypatch.setenv("ACTORLAB_WITHOUT", ",".join(capabilities))
        ask_again()

    yield take_away
    monkeypatch.undo()
    ask_again()


# The session's own runtime directory. Tests that run beside each other do not see each other's nodes.


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what goes to the background so, and every program that a test interrupts would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    parent = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    for abandoned in parent.glob(f"{SESSION_FOLDER}*"):  # by a session that was killed
        pid = abandoned.name.removeprefix(SESSION_FOLDER).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(abandoned, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=f"{SESSION_FOLDER}{os.getpid()}-", dir=parent)
    config.stash[RUNTIME_FOLDER] = Path(folder)
    os.environ["ACTORLAB_RUNTIME_DIR"] = folder
    os.environ[CRASH_LOG] = os.path.join(folder, "killed")


# The crash points of the source, and those at which a process of this session was killed.


def pytest_collection_finish(session: pytest.Session) -> None:
    """Remember whether everything is to run: only then is what was never killed a gap."""
    config = session.config
    limited = config.option.keyword or config.option.markexpr or any("::" in one for one in config.args)
    chosen = {Path(item.path).resolve() for item in session.items}
    tests = (path.resolve() for path in Path(__file__).parent.rglob("test_*.py"))
    kill = {path for path in tests if re.search(r"\b(kill|die)_at\(|crashpoint_labels\(", path.read_text("utf-8"))}
    config.stash[RUNS_ALL_THAT_KILL] = bool(kill) and not limited and kill <= chosen


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Compare the crash points in the source with those at which somebody was killed, if all that kill have run."""
    if not session.config.stash.get(RUNS_ALL_THAT_KILL, False) or session.testsfailed or session.shouldstop:
        return
    from tools.check_promises import crash_points

    top = Path(__file__).resolve().parents[1]
    log = Path(os.environ[CRASH_LOG])
    killed = set(log.read_text().split()) if log.exists() else set()
    left = {label for labels in crash_points(top).values() for label in labels} - killed
    if left:
        print(f"\ncrash points at which no test killed a process: {', '.join(sorted(left))}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    if folder := config.stash.get(RUNTIME_FOLDER, None):
        shutil.rmtree(folder, ignore_errors=True)


CRASH_LOG = "ACTORLAB_CRASH_LOG"
RUNS_ALL_THAT_KILL = pytest.StashKey[bool]()
RUNTIME_FOLDER = pytest.StashKey[Path]()
SPENT = pytest.StashKey[list[str]]()


# What is left behind.


def processes_of_nodes() -> int:
    """Return how many processes the nodes that run here have, when all that were killed are replaced."""
    workers = [options.workers for one in runtimes.values() if (options := getattr(one, "options", None)) is not None]
    return sum(1 + number for number in workers if number)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    starts_processes = request.node.get_closest_marker("process") is not None
    folder = request.config.stash[RUNTIME_FOLDER]
    directories = node_directories([folder])
    processes = max(len(children()), processes_of_nodes()) if starts_processes else 0
    opened = descriptors()
    yield
    if new_descriptors(opened) and not poll(lambda: not new_descriptors(opened), within_s=0.05):
        gc.collect()  # what only a cycle keeps open is no leak of the test's
        spent = request.config.stash.setdefault(SPENT, [])
        spent[:] = (Counter(spent) & descriptors()).elements()
        poll(lambda: not new_descriptors(opened), min(PATIENCE_S, 1.0))  # a killed worker's are let go of soon
        # A segment whose file is gone cannot be anybody's singleton; other descriptors may be, once.
        segments = [one for one in new_descriptors(opened) if str(folder) in one and one.endswith("(deleted)")]
        if segments or len(spent) + len(new_descriptors(opened)) > LAZY_DESCRIPTORS:
            poll(lambda: not new_descriptors(opened), PATIENCE_S)
        left = new_descriptors(opened)
        if left and (segments or len(spent) + len(left) > LAZY_DESCRIPTORS):
            pytest.fail(f"{len(left)} descriptors left open: {left} (earlier in this session: {spent})", pytrace=False)
        spent += left
    if not poll(lambda: node_directories([folder]) <= directories, PATIENCE_S):
        left_over = sorted(map(str, node_directories([folder]) - directories))
        for one in left_over:
            shutil.rmtree(one, ignore_errors=True)  # or every later test would be blamed as well
        pytest.fail(f"directories of nodes left behind: {left_over}", pytrace=False)
    # By number, not by pid: a module's node may have replaced a worker that this test killed.
    if starts_processes and not poll(lambda: len(children()) <= processes, PATIENCE_S):
        pytest.fail(f"child processes left behind ({processes} before): {children()}", pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def _nothing_outlives_the_session(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if not poll(lambda: not children(), PATIENCE_S):
        pytest.fail(f"child processes left behind by the session: {children()}", pytrace=False)
    folder = request.config.stash[RUNTIME_FOLDER]
    if not poll(lambda: not node_directories([folder]), PATIENCE_S):
        pytest.fail(f"directories of nodes left behind by the session: {node_directories([folder])}", pytrace=False)
