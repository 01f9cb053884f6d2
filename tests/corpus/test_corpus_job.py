"""The job from folder to summary, with its actors as plain objects in this process."""

from __future__ import annotations

import io
import os
from types import SimpleNamespace

import pytest

from actorlab.corpus import Scan, find_text, run
from actorlab.corpus.actors import pause
from actorlab.errors import ActorDied, CorpusError, PoolFull, SpecError
from actorlab.memory import ContextPool

QUERIES = ["alpha beta", "gamma", "nothing here"]


class Settled:
    """A future that has its outcome."""

    def __init__(self, compute):
        try:
            self.value, self.error = compute(), None
        except Exception as error:
            self.value, self.error = None, error

    def get(self, *, timeout=None):
        if self.error is not None:
            raise self.error
        return self.value


class PlainRef:
    """A reference to an object that is called directly."""

    def __init__(self, node, actor, args):
        # the actor's own methods without its base class, which wants a kernel around it
        plain = type(actor.__name__, (), {name: value for name, value in vars(actor).items() if callable(value)})
        self.object, self.node = plain(*args), node
        self.object.node = node
        self.request = self

    def __getattr__(self, method):
        def request(*args):
            if self.node.dying and self.node.dying[0] == (type(self.object).__name__, method):
                self.node.dying.pop(0)
                return Settled(self.die)
            return Settled(lambda: getattr(self.object, method)(*args))

        return request

    def die(self):
        raise ActorDied(type(self.object).__name__, "killed", "unknown")


class PlainNode:
    """A node without processes: starting makes objects, stopping forgets them."""

    def __init__(self, directory, room_bytes=None):
        self.workers = [SimpleNamespace(number=1, pid=os.getpid(), restarts=0)]
        self.names, self.started, self.dying, self.pools = {}, [], [], {}
        self.directory, self.room_bytes = directory, room_bytes

    def pool(self, name, *, max_bytes):
        return self.pools.setdefault(name, ContextPool(self.directory, name, self.room_bytes or max_bytes))

    def start(self, tree):
        self.started.append(tree.name)
        for spec in tree.children:
            self.names[spec.name] = PlainRef(self, spec.actor, spec.args)

        def stop():
            for spec in tree.children:
                del self.names[spec.name]

        return SimpleNamespace(stop=stop)

    def whereis(self, name):
        return self.names.get(name)


class Told:
    """A report that remembers."""

    json = True

    def __init__(self):
        self.events, self.answers = {}, {}

    def line(self, text):
        pass

    def event(self, kind, text, **fields):
        assert text and text == text.strip()
        self.events.setdefault(kind, []).append((text, fields))

    def answer(self, query, hits):
        self.answers[query] = hits


@pytest.fixture
def folder(tmp_path):
    for n in range(30):
        (tmp_path / f"{n:02}.txt").write_text("alpha beta\n\n" * n + "gamma " * (n % 3) + "\n")
    return str(tmp_path)


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def node(tmp_path_factory):
    return PlainNode(tmp_path_factory.mktemp("shm"))


def test_the_answers_are_those_of_a_plain_scan(folder, told, node):
    assert run(node, {"folder": folder, "queries": QUERIES, "k": 7, "searchers": 5}, told) == 0
    scan = Scan(find_text(folder).files)
    assert told.answers == {query: scan.search(query, 7) for query in QUERIES}
    assert told.answers["nothing here"] == []


def test_it_ends_with_what_it_took_and_leaves_only_the_index(folder, told, node):
    run(node, {"folder": folder}, told)
    assert list(told.events) == ["corpus", "ingest", "index", "team", "answers", "restarts", "memory"]
    assert node.started == ["ingest", "team"]
    assert node.names == {}
    assert node.pools["corpus"].datasets() == ["index-documents", "index-postings", "index-terms"]
    (text, fields) = told.events["memory"][0]
    assert fields["copied_bytes"] >= told.events["index"][0][1]["size_bytes"] > 0
    assert "with a copy of its own" in text


def test_whoever_dies_is_asked_again_and_the_answer_is_the_same(folder, told, node):
    node.dying = [("Ingest", "ingest"), ("Ingest", "join"), ("Coordinator", "search"), ("Searcher", "search")]
    run(node, {"folder": folder, "queries": QUERIES, "k": 4}, told)
    assert node.dying == []
    assert told.answers["gamma"] == Scan(find_text(folder).files).search("gamma", 4)
    assert told.events["restarts"][0][1]["asked_again"] == 2


def test_under_chaos_every_answer_is_compared(folder, told, node):
    node.workers = []  # nobody to kill: the rounds are what is looked at
    options = {"folder": folder, "queries": QUERIES, "chaos": True, "seconds": 0.05}
    assert run(node, options, told) == 0
    assert told.events["compared"][0][1]["rounds"] >= 1
    assert told.events["restarts"][0][1]["identical"] is True


def test_an_answer_that_changes_under_chaos_is_reported_and_fails_the_run(folder, told, node):
    class Forgetful(PlainNode):
        def whereis(self, name):
            if name == "coordinator" and "gamma" in told.answers:
                self.names["searcher-1"].object._share = range(0)
            return super().whereis(name)

    node = Forgetful(node.directory)
    node.workers = []
    options = {"folder": folder, "queries": ["gamma"], "chaos": True, "seconds": 0.01, "searchers": 1}
    assert run(node, options, told) == 1
    assert told.events["differs"][0][1] == {"query": "gamma"}
    assert told.events["restarts"][0][1]["identical"] is False


def test_queries_can_be_typed(folder, told, node, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("gamma\n\n  alpha \n"))
    assert run(node, {"folder": folder, "interactive": True}, told) == 0
    assert list(told.answers) == ["gamma", "alpha"]


@pytest.mark.parametrize(
    ("options", "error"),
    [({"folder": "/nonexistent"}, CorpusError), ({"sechers": 1}, SpecError)],
    ids=["no folder", "no such option"],
)
def test_what_is_refused_is_refused_before_anything_is_started(options, error, told, node):
    with pytest.raises(error):
        run(node, options, told)
    assert (node.started, node.pools) == ([], {})


def test_where_the_index_does_not_fit_nothing_is_left_running(folder, told, node):
    small = PlainNode(node.directory, room_bytes=1000)
    with pytest.raises(PoolFull):
        run(small, {"folder": folder}, told)
    assert (small.names, small.pools["corpus"].bytes_shared()) == ({}, 0)


def test_a_pause_ends():
    pause(0.001)
