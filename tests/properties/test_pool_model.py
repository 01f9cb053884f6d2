"""A pool against a small model: whatever is put, published, read, let go, dropped, evicted, compressed, and by whom.

The model (pool_model.py) is pure and knows nothing of files. What it leaves open (which of several may be evicted, what
is compressed where room is short) is held to the bounds it sets, and then taken from what was seen.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from pool_model import KEEP_LAST, MAX_BYTES, SORTS, Key, Model, Segment, same

from actorlab.errors import PoolFull, SegmentGone
from actorlab.memory import ContextPool, Handle, Janitor, PoolSettings, remove_pools
from tests.memory.pool_drill import Helper, charged, temporaries

DATASETS = st.sampled_from(("v", "w"))
CONTENTS = st.integers(0, len(SORTS) - 1)
COLD_AFTER_S = {"shm": 1e-9, "file": 1e-9, "memfd": None}
WORTH = 0.9


class PoolMachine(RuleBasedStateMachine):
    """A pool with two openers here, a reader in another process, and a janitor whose time the test moves."""

    backend = "shm"
    reader: Helper

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.folder = tempfile.TemporaryDirectory()
        self.top = Path(self.folder.name)
        (self.top / "disk").mkdir(mode=0o700)
        self.nodes = 0
        self.at = 0.0
        self.handles: dict[Key, Handle] = {}
        self.kept: dict[Key, Any] = {}
        self.begin()

    def begin(self) -> None:
        """Open the pool, as a new node does."""
        self.nodes += 1
        self.node = self.top / f"node {self.nodes}"
        (self.node / "pools").mkdir(parents=True, mode=0o700)
        on_disk: dict[str, Any] = {}
        if self.backend == "file":
            on_disk = {"directory": str(self.top / "disk"), "persist": True}
        options = PoolSettings(MAX_BYTES, KEEP_LAST, True, COLD_AFTER_S[self.backend], self.backend, **on_disk)
        self.pool = ContextPool(self.node / "pools", "p", settings=options)
        self.other = ContextPool(self.node / "pools", "p")
        self.janitor = Janitor(self.pool.path, now=lambda: self.at)

    def end(self) -> None:
        """Everybody lets go, and the pool is closed, as by a node's end."""
        self.kept.clear()
        self.reader.do("kept.clear()")
        self.model.held.clear()
        self.model.kept_for.clear()
        for one in (self.janitor, self.other, self.pool):
            one.close()
        remove_pools(self.node)

    def teardown(self) -> None:
        self.end()
        self.folder.cleanup()

    # -- what is done ------------------------------------------------------------------------------------------------

    def with_room(self, needed: int, do: Callable[[], Any]) -> Any:
        """Do what needs so much room; return what came of it, None for PoolFull: just when the model says so."""
        short, free = self.model.short(needed), self.model.evictable()
        if short > sum(map(self.model.bytes_of, free)):
            with pytest.raises(PoolFull) as full:
                do()
            assert full.value.needed_bytes == needed
            return None
        taken = self.taken()
        value = do()
        if short > 0:
            left = {Key(one.dataset, one.version) for name in self.pool.datasets() for one in self.pool.versions(name)}
            named = self.model.named()
            gone = {one for one in free if not left.intersection(named[one])}
            self.see_that_no_more_went_than_had_to(gone, free - gone, short, taken)
            self.model.stored -= gone
            self.model.versions = {key: one for key, one in self.model.versions.items() if one not in gone}
        return value

    def see_that_no_more_went_than_had_to(
        self, gone: set[Segment], left: set[Segment], short: int, taken: dict[Segment, int]
    ) -> None:
        in_turn = [self.model.bytes_of(one) for one in sorted(gone, key=taken.__getitem__)]
        assert sum(in_turn) >= short > sum(in_turn[:-1])
        assert max(taken[one] for one in gone) <= min((taken[one] for one in left), default=sys.maxsize)

    def taken(self) -> dict[Segment, int]:
        """When each segment was last taken (ns)."""
        by_file = self.pool.catalogue.by_segment()
        found = {}
        for stored in self.pool.catalogue.stored():
            for handle in by_file.get(stored.file, ()):
                found[self.model.versions[Key(handle.dataset, handle.version)]] = stored.taken_ns
        return found

    @rule(dataset=DATASETS, contents=st.lists(CONTENTS, min_size=1, max_size=3), publish=st.booleans())
    def put_some(self, dataset: str, contents: list[int], publish: bool) -> None:
        for number, content in enumerate(contents):
            self.put(dataset, content, publish, by_other=bool(number % 2))

    def put(self, dataset: str, content: int, publish: bool, by_other: bool) -> None:
        pool = self.other if by_other else self.pool
        data = SORTS[content].data
        do = (lambda: pool.publish(dataset, data)) if publish else (lambda: pool.put(dataset, data))
        plain = Segment(content, False)
        handle = do() if plain in self.model.stored else self.with_room(SORTS[content].bytes, do)
        if handle is not None:
            self.note(handle, plain, publish)

    def note(self, handle: Handle, segment: Segment, publish: bool) -> None:
        key = self.model.add(handle.dataset, segment)
        assert key.number == handle.version
        self.handles[key] = handle
        if publish:
            self.model.current[key.dataset] = key.number

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), dataset=DATASETS)
    def publish(self, data: Any, dataset: str) -> None:
        """A version there is, or was, becomes current; as another dataset's it is that one's next."""
        key = data.draw(st.sampled_from(sorted(self.handles)))
        handle, segment = self.handles[key], self.model.versions.get(key)
        if segment is None:
            with pytest.raises(SegmentGone):
                self.pool.publish(dataset, handle)
            if dataset != key.dataset:
                self.model.number(dataset)  # used up, and never given out again
        elif dataset == key.dataset:
            assert self.pool.publish(dataset, handle) == handle
            self.model.current[dataset] = key.number
        else:
            self.note(self.pool.publish(dataset, handle), segment, publish=True)

    def get_here(self, key: Key, get: Callable[[], Any], keep: bool) -> None:
        """Read a version in this process, and keep it or not."""
        segment = self.model.versions.get(key)
        if key in self.kept:
            got = get()
            segment = self.model.kept_for["here", key]
        elif segment is None:
            with pytest.raises(SegmentGone):
                get()
            return
        else:
            got = self.thawed(segment, get)
            if got is None:
                return
            segment = Segment(segment.content, False)
        assert same(got, SORTS[segment.content].data)
        if keep:
            self.kept[key] = got
            self.model.held["here", key], self.model.kept_for["here", key] = key, segment

    def thawed(self, segment: Segment, get: Callable[[], Any]) -> Any:
        """What `get` returns of a segment: one that is compressed needs room, and is then plain for everybody."""
        if not segment.cold:
            return get()
        self.model.kept_for["thaw"] = segment
        got = self.with_room(SORTS[segment.content].bytes, get)
        del self.model.kept_for["thaw"]
        if got is not None:
            self.model.turn_over(segment, Segment(segment.content, False))
        return got

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), keep=st.booleans())
    def get_by_handle(self, data: Any, keep: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.handles)))
        handle = pickle.loads(pickle.dumps(self.handles[key]))
        self.get_here(key, handle.get, keep)

    @precondition(lambda self: any(segment.cold for segment in self.model.versions.values()))
    @rule(data=st.data(), keep=st.booleans())
    def get_what_was_compressed(self, data: Any, keep: bool) -> None:
        cold = sorted(key for key, segment in self.model.versions.items() if segment.cold)
        key = data.draw(st.sampled_from(cold))
        self.get_here(key, self.handles[key].get, keep)

    @rule(dataset=DATASETS, keep=st.booleans())
    def get_by_name(self, dataset: str, keep: bool) -> None:
        current = self.model.current.get(dataset)
        if current is None:
            with pytest.raises(SegmentGone):
                self.other.get(dataset)
        else:
            self.get_here(Key(dataset, current), lambda: self.other.get(dataset), keep)

    @rule(dataset=DATASETS, number=st.integers(1, 12))
    def get_by_number(self, dataset: str, number: int) -> None:
        key = Key(dataset, number)
        if key in self.model.versions:
            self.get_here(key, lambda: self.pool.get(dataset, version=number), keep=False)
        else:
            with pytest.raises(SegmentGone):
                self.pool.version(dataset, number)

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def another_process_takes_one(self, data: Any) -> None:
        key = data.draw(st.sampled_from(sorted(self.handles)))
        segment = self.model.versions.get(key)
        if ("there", key) in self.model.held:
            assert self.ask_reader(key) == "taken"
        elif segment is None:
            assert self.ask_reader(key) == "SegmentGone"
        else:

            def get() -> str:
                said = self.ask_reader(key)
                if said == "PoolFull":
                    raise PoolFull("there", SORTS[segment.content].bytes, 0, "there", ())
                return said

            if self.thawed(segment, get) == "taken":
                self.model.held["there", key] = key
                self.model.kept_for["there", key] = Segment(segment.content, False)

    def ask_reader(self, key: Key) -> str:
        said = self.top / "said"
        self.reader.do(
            f"handle = pickle.loads(bytes.fromhex('{pickle.dumps(self.handles[key]).hex()}'))\n"
            "try:\n"
            f"    kept[{tuple(key)!r}] = handle.get()\n"
            "    said = 'taken'\n"
            "except Exception as error:\n"
            "    said = type(error).__name__\n"
            f"with open({str(said)!r}, 'w') as file:\n"
            "    file.write(said)\n"
        )
        return said.read_text()

    @precondition(lambda self: self.model.held)
    @rule(data=st.data())
    def let_go(self, data: Any) -> None:
        who, key = data.draw(st.sampled_from(sorted(self.model.held)))
        del self.model.held[who, key], self.model.kept_for[who, key]
        if who == "here":
            del self.kept[key]
        else:
            self.reader.do(f"del kept[{tuple(key)!r}]")

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), by_other=st.booleans())
    def drop(self, data: Any, by_other: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.handles)))
        pool = self.other if by_other else self.pool
        assert pool.drop(self.handles[key]) == (key in self.model.versions)
        if self.model.versions.pop(key, None) is not None and self.model.current.get(key.dataset) == key.number:
            del self.model.current[key.dataset]
        self.model.free()

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def verify(self, data: Any) -> None:
        key = data.draw(st.sampled_from(sorted(self.handles)))
        if key in self.model.versions:
            self.pool.verify(self.handles[key])
        else:
            with pytest.raises(SegmentGone):
                self.pool.verify(self.handles[key])

    @rule()
    def tidy(self) -> None:
        self.other.tidy()
        self.model.trim(self.model.beyond())

    @rule(passes_s=st.sampled_from((0.0, 2.0)))
    def janitor_looks(self, passes_s: float) -> None:
        """What was superseded for a second goes, and what nobody needs is compressed where there is room for it."""
        self.at += passes_s
        model = self.model
        model.superseded = {key: model.superseded.get(key, self.at) for key in model.beyond()}
        model.trim([key for key, since in model.superseded.items() if self.at - since >= 1.0])
        current = {Key(*one) for one in model.current.items()}
        may = {
            segment
            for segment, keys in model.named().items()
            if COLD_AFTER_S[self.backend] is not None
            and not segment.cold
            and SORTS[segment.content].shrinks
            and not model.is_held(segment)
            and not current.intersection(keys)
        }
        room = MAX_BYTES - model.used()
        self.janitor.look()
        for segment in sorted(may):
            keys = model.named()[segment]
            lies = {os.stat(self.handles[key].path).st_size for key in keys}
            assert len(lies) == 1, "the versions of one content are turned over together"
            if lies == {self.handles[keys[0]].size_bytes}:
                assert charged(int(self.handles[keys[0]].size_bytes * WORTH)) > room, "there was room to compress it"
                continue
            size = os.stat(self.handles[keys[0]].path).st_blocks * 512
            assert size == model.cold_bytes.setdefault(segment.content, size) < SORTS[segment.content].bytes
            model.turn_over(segment, Segment(segment.content, True))

    @rule()
    def reopen(self) -> None:
        """The pool is opened again here; on disk, by another node after this one's end, which checks it all."""
        if self.backend != "file":
            self.other.close()
            self.other = pickle.loads(pickle.dumps(self.pool))
            return
        self.end()
        self.begin()
        self.model.superseded.clear()
        self.model.free()
        self.handles = {key: self.pool.version(*key) for key in self.model.versions}

    # -- what must be so ---------------------------------------------------------------------------------------------

    @invariant()
    def everybody_sees_the_model(self) -> None:
        model = self.model
        for pool in (self.pool, self.other):
            assert pool.datasets() == sorted({key.dataset for key in model.versions})
            for dataset in ("v", "w"):
                assert [handle.version for handle in pool.versions(dataset)] == model.numbers(dataset)
                current = pool.current(dataset)
                assert (current.version if current is not None else None) == model.current.get(dataset)
            assert pool.bytes_shared() == model.used()
            assert pool.bytes_free() == MAX_BYTES - model.used()

    @invariant()
    def what_is_held_is_what_was_put(self) -> None:
        for key, got in self.kept.items():
            assert same(got, SORTS[self.model.kept_for["here", key].content].data)
        for key, segment in self.model.versions.items():
            assert self.pool.is_held(self.handles[key]) == self.model.is_held(segment)

    @invariant()
    def nothing_is_left_behind(self) -> None:
        assert temporaries(self.pool) == []
        assert len(self.pool.catalogue.stored()) == len(self.model.stored)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A process beside this one, for all examples."""
    one = Helper(ContextPool(tmp_path_factory.mktemp("reader"), "p", 1 << 20))
    yield one
    one.close()


@pytest.mark.parametrize("backend", ["shm", "file", "memfd"])
def test_a_pool_does_what_its_model_does(backend, reader):
    machine = type(f"Pool_{backend}", (PoolMachine,), {"backend": backend, "reader": reader})
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        machine, settings=settings(max_examples=20, stateful_step_count=40, deadline=None, suppress_health_check=checks)
    )
