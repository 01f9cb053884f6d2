"""Pykka's own test suite is the measure of the actor contract: its cases hold for embedded actorlab actors.

The suite is downloaded (tools/pykka_suite.py), or taken from the file that `PYKKA_SDIST` names.
"""

from __future__ import annotations

import tarfile
import tomllib
from pathlib import Path

import pytest

from tools import pykka_suite
from tools.pykka_suite import SuiteRun, SuiteUnavailable, obtain_sdist, run_suite, unpack

EXCEPTIONS = Path(__file__).with_name("pykka_exceptions.toml")


def excused() -> dict[str, str]:
    listed = tomllib.loads(EXCEPTIONS.read_text("utf-8")).get("exception", [])
    return {one["case"]: one["reason"] for one in listed}


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> SuiteRun:
    return run_suite("actorlab", tmp_path_factory.mktemp("pykka"))


def test_every_exception_to_pykkas_suite_has_a_reason():
    assert all(reason.strip() for reason in excused().values())


def test_pykkas_own_actors_pass_the_suite_as_we_run_it(tmp_path):
    run = run_suite("threading", tmp_path)
    assert (run.failed, run.status) == ({}, 0), run.output
    assert len(run.passed) > 100


def test_pykkas_suite_holds_for_embedded_actors(ours):
    assert len(ours.passed | ours.failed.keys()) > 100, ours.output
    unexcused = {case: text for case, text in ours.failed.items() if case not in excused()}
    assert not unexcused, "\n\n".join(f"{case}\n{text}" for case, text in unexcused.items())


def test_the_run_of_pykkas_suite_comes_to_its_end(ours):
    assert ours.status in (0, 1), ours.output  # 1: some case failed, which the other tests judge


def test_no_exception_to_pykkas_suite_is_stale(ours):
    stale = [case for case in excused() if case not in ours.failed]
    assert not stale, f"these pass, or are gone: take them out of {EXCEPTIONS.name}: {stale}"


def test_a_suite_that_cannot_be_had_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv(pykka_suite.SDIST_VARIABLE, str(tmp_path / "none.tar.gz"))
    with pytest.raises(SuiteUnavailable, match="which is no file"):
        obtain_sdist("4.5.0")


def test_a_distribution_without_tests_is_refused(tmp_path):
    (tmp_path / "pykka-0").mkdir()
    with tarfile.open(tmp_path / "pykka-0.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "pykka-0", "pykka-0")
    (tmp_path / "to").mkdir()
    with pytest.raises(SuiteUnavailable, match=r"holds no tests/conftest\.py"):
        unpack(tmp_path / "pykka-0.tar.gz", tmp_path / "to")
