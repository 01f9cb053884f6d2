"""What every test stands on: a runtime directory of its own session, and a check that nothing is left behind.

A test that leaves a descriptor, a node's directory or a child process behind fails at its end, with what it left.
Everything gets a little time to go, for a process that was told to stop needs some; a test that leaves nothing
pays for no waiting. `eventually` is how a test waits for another process: by the condition, never by the clock.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from actorlab.actor import runtimes

PATIENCE_S = 5.0
LAZY_DESCRIPTORS = 16
"""How many descriptors a whole session may open once and keep: the forkserver's two ends, an embedded node's loop."""

ONCE_A_SESSION = ("multiprocess.forkserver", "multiprocess.resource_tracker", "multiprocessing.resource_tracker")
"""Processes that `multiprocess` starts once and ends with the interpreter; what they fork is counted."""

SESSION_FOLDER = "actorlab-tests-"
SHARED_MEMORY = Path("/dev/shm")


def poll(condition: Callable[[], object], within_s: float = PATIENCE_S) -> bool:
    """Wait until `condition()` is true, at most `within_s`; return whether it became true."""
    deadline, pause, step_s = time.monotonic() + within_s, threading.Event(), 0.001
    while not condition():
        if time.monotonic() >= deadline:
            return False
        pause.wait(step_s)
        step_s = min(step_s * 2, 0.05)
    return True


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    """`eventually(condition, within_s=5)` waits for a condition that another process or thread brings about."""

    def wait(condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
        assert poll(condition, within_s), f"not within {within_s:g} s: {condition}"

    return wait


# The session's own runtime directory. Tests that run beside each other do not see each other's nodes.


def pytest_configure(config: pytest.Config) -> None:
    parent = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    for abandoned in parent.glob(f"{SESSION_FOLDER}*"):  # by a session that was killed
        pid = abandoned.name.removeprefix(SESSION_FOLDER).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(abandoned, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=f"{SESSION_FOLDER}{os.getpid()}-", dir=parent)
    config.stash[RUNTIME_FOLDER] = Path(folder)
    os.environ["ACTORLAB_RUNTIME_DIR"] = folder


def pytest_unconfigure(config: pytest.Config) -> None:
    if folder := config.stash.get(RUNTIME_FOLDER, None):
        shutil.rmtree(folder, ignore_errors=True)


RUNTIME_FOLDER = pytest.StashKey[Path]()
SPENT = pytest.StashKey[list[str]]()


# What is left behind.


def node_directories(folder: Path) -> set[Path]:
    """Return the directories of nodes in the session's runtime directory, and this process's in the default one."""
    found = set(folder.glob("actorlab-*/*"))
    for described in SHARED_MEMORY.glob(f"actorlab-{os.geteuid()}/*/node.json"):
        try:
            if json.loads(described.read_text("utf-8")).get("pid") == os.getpid():
                found.add(described.parent)
        except (OSError, ValueError):
            pass  # somebody else's, on its way in or out
    return found


def children() -> list[str]:
    """Return this process's descendants that are alive and were not started for the whole session."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            command = " ".join(child.cmdline())
            for_the_session = child.ppid() == os.getpid() and any(name in command for name in ONCE_A_SESSION)
            if not for_the_session and child.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{child.pid} {command}")
        except psutil.NoSuchProcess:
            pass
    return found


def descriptors() -> Counter[str]:
    """Return what this process's open descriptors point at, but for what nodes that run now opened when first used.

    Once such a node has ended, whatever it kept points at a file that is gone, and counts.
    """
    running = [f"{runtime.directory}/" for runtime in runtimes.values() if getattr(runtime, "directory", None)]
    found: Counter[str] = Counter()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
            if not any(target.startswith(folder) for folder in running):
                found[target] += 1
        except OSError:
            pass  # the one that lists them
    return found


def new_descriptors(before: Counter[str]) -> list[str]:
    now = descriptors()
    return sorted((now - before).elements()) if now.total() > before.total() else []


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    starts_processes = request.node.get_closest_marker("process") is not None
    folder = request.config.stash[RUNTIME_FOLDER]
    directories, processes = node_directories(folder), len(children()) if starts_processes else 0
    opened = descriptors()
    yield
    if new_descriptors(opened) and not poll(lambda: not new_descriptors(opened), within_s=0.05):
        gc.collect()  # what only a cycle keeps open is no leak of the test's
        spent = request.config.stash.setdefault(SPENT, [])
        # A segment whose file is gone cannot be anybody's singleton; other descriptors may be, once.
        segments = [one for one in new_descriptors(opened) if str(folder) in one and one.endswith("(deleted)")]
        if segments or len(spent) + len(new_descriptors(opened)) > LAZY_DESCRIPTORS:
            poll(lambda: not new_descriptors(opened))
        left = new_descriptors(opened)
        if left and (segments or len(spent) + len(left) > LAZY_DESCRIPTORS):
            pytest.fail(f"{len(left)} descriptors left open: {left} (earlier in this session: {spent})", pytrace=False)
        spent += left
    if not poll(lambda: node_directories(folder) <= directories):
        left_over = sorted(map(str, node_directories(folder) - directories))
        for one in left_over:
            shutil.rmtree(one, ignore_errors=True)  # or every later test would be blamed as well
        pytest.fail(f"directories of nodes left behind: {left_over}", pytrace=False)
    # By number, not by pid: a module's node may have replaced a worker that this test killed.
    if starts_processes and not poll(lambda: len(children()) <= processes):
        pytest.fail(f"child processes left behind ({processes} before): {children()}", pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def _nothing_outlives_the_session(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if not poll(lambda: not children()):
        pytest.fail(f"child processes left behind by the session: {children()}", pytrace=False)
    folder = request.config.stash[RUNTIME_FOLDER]
    if not poll(lambda: not node_directories(folder)):
        pytest.fail(f"directories of nodes left behind by the session: {node_directories(folder)}", pytrace=False)
