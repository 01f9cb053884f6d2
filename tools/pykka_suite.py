"""Pykka's own test suite, run with an actor class of our choice.

Edge (pip, files, a child process); used by tests/contracts/test_pykka_suite.py and by hand:

    python -m tools.pykka_suite [actorlab | threading] [arguments for pytest]

The tests come from the source distribution of the Pykka that is installed, are kept in the user's cache and
are never part of this repository. They run in a process and a folder of their own, without this project's
pytest configuration. Their `conftest.py` names the runtimes to test; `OVERLAY` is added to its end, says which
runtime it is instead, and writes down how each case ended.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

SDIST_VARIABLE = "PYKKA_SDIST"
RUNTIMES = {
    "actorlab": ("actorlab", "ProcessActor", "actorlab", "Future"),
    "threading": ("pykka", "ThreadingActor", "pykka", "ThreadingFuture"),
}

OVERLAY = """

import importlib
import json
import os

_module, _actor, _future_module, _future = os.environ["PYKKA_SUITE_RUNTIME"].split()
_RUNTIME = Runtime(
    name=_module,
    actor_class=getattr(importlib.import_module(_module), _actor),
    event_class=threading.Event,
    future_class=getattr(importlib.import_module(_future_module), _future),
    sleep_func=time.sleep,
)


@pytest.fixture(scope="session")
def runtime():
    return _RUNTIME


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        with open(os.environ["PYKKA_SUITE_RESULTS"], "a", encoding="utf-8") as results:
            line = {"case": report.nodeid, "phase": report.when, "outcome": report.outcome, "text": report.longreprtext}
            results.write(json.dumps(line) + "\\n")
"""


class SuiteUnavailable(Exception):
    """Pykka's tests could not be had."""


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """How the suite ended: the cases that passed, those that did not with why, and pytest's own words."""

    passed: frozenset[str]
    failed: dict[str, str]
    output: str
    status: int


def cache_folder() -> Path:
    """Return where downloads are kept; a fresh temporary folder where there is no home to write to."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "actorlab"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="pykka-sdist-"))
    return folder


def obtain_sdist(version: str) -> Path:
    """Return Pykka's source distribution: `$PYKKA_SDIST`, the cached one, or a download by pip (seconds).

    Raises SuiteUnavailable, with the remedy, when there is none.
    """
    if given := os.environ.get(SDIST_VARIABLE):
        if Path(given).is_file():
            return Path(given)
        raise SuiteUnavailable(f"${SDIST_VARIABLE} names {given}, which is no file")
    name = f"pykka-{version}.tar.gz"
    kept = cache_folder() / name
    if kept.is_file():
        return kept
    with tempfile.TemporaryDirectory(dir=kept.parent) as fresh:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        pip += ["--no-deps", "--no-binary", "pykka", "--dest", fresh, f"pykka=={version}"]
        done = subprocess.run(pip, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=100)
        if done.returncode or not (Path(fresh) / name).is_file():
            said = (done.stderr.strip().splitlines() or [f"there is no {name}"])[-1]
            raise SuiteUnavailable(
                f"Pykka {version}'s tests could not be downloaded ({said}). They are in its source distribution: "
                f"fetch {name} where there is a network and set {SDIST_VARIABLE} to it, or put it into {kept.parent}"
            )
        os.replace(Path(fresh) / name, kept)  # whole or not at all, beside another run that does the same
    return kept


def unpack(sdist: Path, to: Path) -> Path:
    """Unpack Pykka's tests below `to`, add the overlay, and return the folder to run pytest in."""
    with tarfile.open(sdist) as archive:
        archive.extractall(to, filter="data")
    (top,) = [folder for folder in to.iterdir() if folder.is_dir()]
    conftest = top / "tests" / "conftest.py"
    if not conftest.is_file():
        raise SuiteUnavailable(f"{sdist} holds no tests/conftest.py; pin pykka to a version whose sdist has its tests")
    if not all(word in conftest.read_text("utf-8") for word in ("def runtime(", "Runtime(", "import threading")):
        raise SuiteUnavailable(f"{sdist}: tests/conftest.py no longer has the runtime fixture; adapt {__file__}")
    with conftest.open("a", encoding="utf-8") as end:
        end.write(OVERLAY)
    shutil.rmtree(top / "src", ignore_errors=True)  # the installed Pykka is what we are measured by
    (top / "pytest.ini").write_text("[pytest]\n")  # nobody's configuration but this
    return top


def run_suite(
    runtime: str, folder: Path, *arguments: str, case_timeout_s: int = 20, timeout_s: float = 110
) -> SuiteRun:
    """Run every case of Pykka's suite on `runtime` in a process of its own; blocks for seconds.

    A case that hangs fails after `case_timeout_s`; a run that does not end is killed after `timeout_s`.
    """
    top = unpack(obtain_sdist(metadata.version("pykka")), folder)
    results = folder / "results.jsonl"
    environment = os.environ | {
        "PYKKA_SUITE_RUNTIME": " ".join(RUNTIMES[runtime]),
        "PYKKA_SUITE_RESULTS": str(results),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")))),
    }
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--timeout={case_timeout_s}"]
    try:
        done = subprocess.run(
            [*pytest, "tests", *arguments],
            cwd=top,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
        )
        output, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as late:
        output, status = f"{(late.stdout or b'').decode(errors='replace')}\nstopped after {timeout_s:g} s", -1
    passed: set[str] = set()
    failed: dict[str, str] = {}
    for line in results.read_text("utf-8").splitlines() if results.exists() else ():
        case = json.loads(line)
        if case["outcome"] == "passed":
            passed.add(case["case"])
        else:
            failed.setdefault(case["case"], f"{case['phase']} {case['outcome']}:\n{case['text']}")
    return SuiteRun(frozenset(passed - failed.keys()), failed, output, status)


def main() -> int:
    """Run the suite and print what pytest says; the exit status is pytest's."""
    runtime = sys.argv[1] if len(sys.argv) > 1 else "actorlab"
    with tempfile.TemporaryDirectory(prefix="pykka-suite-") as folder:
        run = run_suite(runtime, Path(folder), *sys.argv[2:])
    print(run.output)
    return run.status


if __name__ == "__main__":
    sys.exit(main())
