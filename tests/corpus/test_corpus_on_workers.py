"""The corpus job on real worker processes: the answers of a plain scan, also while the workers are killed."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

import pytest

import actorlab as al
from actorlab.corpus import Scan, find_text, run
from actorlab.errors import CorpusError, PoolFull

pytestmark = pytest.mark.process

QUERIES = ["decode an escaped string", "parse header parameters", "JSONDecoder", "attach a file to a message", "zzzz"]
PRELOAD = ("actorlab.corpus",)


class Told:
    """A report that remembers."""

    json = True

    def __init__(self):
        self.events, self.answers = {}, {}

    def line(self, text):
        pass

    def event(self, kind, text, **fields):
        self.events.setdefault(kind, []).append(fields)

    def answer(self, query, hits):
        self.answers[query] = hits


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two packages of the standard library: real text, some 700 kB of it."""
    where = tmp_path_factory.mktemp("text")
    for package in ("json", "email"):
        shutil.copytree(Path(sysconfig.get_path("stdlib")) / package, where / package)
    return str(where)


@pytest.fixture(scope="module")
def expected(folder):
    scan = Scan(find_text(folder).files)
    return {query: scan.search(query, 5) for query in QUERIES}


def test_the_answers_are_those_of_a_plain_scan_and_the_text_is_shared(folder, expected):
    told = Told()
    with al.Node(workers=2, preload=PRELOAD) as node:
        assert run(node, {"folder": folder, "queries": QUERIES, "k": 5}, told) == 0
        assert node.whereis("coordinator") is None and node.whereis("searcher-1") is None
        left = node.pool("corpus").datasets()
    assert told.answers == expected and len(expected["JSONDecoder"]) == 5
    assert left == ["index-documents", "index-postings", "index-terms"]
    (index,), (memory,) = told.events["index"], told.events["memory"]
    assert 0 < memory["shared_bytes"] < memory["copied_bytes"]
    assert memory["copied_bytes"] >= index["size_bytes"] > 500_000


def test_the_answers_are_the_same_while_workers_are_killed(folder, expected):
    told = Told()
    with al.Node(workers=2, preload=PRELOAD) as node:
        options = {
            "folder": folder, "queries": QUERIES, "k": 5, "chaos": True, "seconds": 10, "kill_every_s": 1.0,
            "max_restarts": 100,
        }  # fmt: skip
        assert run(node, options, told) == 0
    assert told.answers == expected
    (compared,), (restarts,) = told.events["compared"], told.events["restarts"]
    assert compared["different"] == 0 and compared["rounds"] > 3
    assert restarts["identical"] is True
    assert restarts["kills"] >= 4 and restarts["restarts"] == restarts["kills"] == len(told.events["kill"])


def test_one_searcher_more_costs_no_second_copy(folder):
    def memory(searchers):
        told = Told()
        with al.Node(workers=2, preload=PRELOAD) as node:
            run(node, {"folder": folder, "queries": QUERIES, "searchers": searchers}, told)
        return told.events["memory"][0]["shared_bytes"] * searchers, told.events["index"][0]["size_bytes"]

    (few, index), (many, _) = memory(2), memory(40)
    assert (many - few) / 38 < index / 10


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0)
    if os.geteuid() == 0:  # nothing is closed to root
        scan = os.scandir

        def refuse(path="."):
            if str(path) == str(closed):
                raise PermissionError(13, "Permission denied", path)
            return scan(path)

        monkeypatch.setattr(os, "scandir", refuse)
    refused_before_anything_starts(str(closed))
    closed.chmod(0o700)


def test_a_folder_without_text_is_refused(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\0" * 100)
    refused_before_anything_starts(str(tmp_path))


def refused_before_anything_starts(folder):
    told = Told()
    with al.Node(workers=1) as node:
        with pytest.raises(CorpusError, match=r"no text file is in it|cannot be read"):
            run(node, {"folder": folder}, told)
        assert told.events == {} and not (node.directory / "corpus").exists()


def test_an_index_that_does_not_fit_leaves_nobody_running(folder):
    with al.Node(workers=1, preload=PRELOAD) as node:
        with pytest.raises(PoolFull):
            run(node, {"folder": folder, "pool_bytes": 1 << 20}, Told())
        assert node.whereis("ingest-1") is None
        node.wait_idle()
