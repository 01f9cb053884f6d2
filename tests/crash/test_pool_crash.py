"""Writers, readers and the janitor of a pool, killed at every marked store: what exists is whole, and all goes on.

A forked process does all that can be done to a pool and kills itself at the n-th pass of one label, for every label
and every n. Then everything that can be had must be what was put, the current version must be one of those, what
nobody refers to must come free, and the next writer must get a number that nobody had.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actorlab.errors import SegmentGone
from actorlab.memory import (
    ContextPool,
    Handle,
    Janitor,
    PoolSettings,
    adoption,
    catalogue,
    cold,
    lease,
    placing,
    pool,
    room,
    subscribers,
    writing,
)
from actorlab.transport import arm_crashpoints, crashpoint_labels, kill_at

MODULES = (catalogue, writing, room, cold, subscribers, adoption, placing, pool, lease)
LABELS = sorted(label for module in MODULES for label in crashpoint_labels(module))
MIB = 1 << 20


class Nobody:
    """A subscriber that hears nothing, but could."""

    def is_alive(self) -> bool:
        return True

    def tell(self, message: Any) -> None: ...


class Gone(Nobody):
    """A subscriber that has ended."""

    def is_alive(self) -> bool:
        return False


def content(dataset: str, number: int) -> np.ndarray:
    """What is put as the `number`-th of a dataset: larger ones do not compress away to nothing."""
    return np.full(20_000, hash_of(dataset) * 1000 + number, dtype=np.int64)


def hash_of(dataset: str) -> int:
    return sum(dataset.encode())


def batches(dataset: str, number: int) -> Any:
    import pyarrow as pa

    for _ in range(3):
        yield pa.record_batch({"n": content(dataset, number)[:1000]})


def with_files(base: Path) -> None:
    """Put, publish, link, drop, evict, trim, compress, unpack and free, in a pool of files."""
    settings = PoolSettings(MIB, keep_last=3, cold_after_s=1e-9)
    pool = ContextPool(base, "p", settings=settings)
    janitor = Janitor(pool.path, now=iter(range(0, 1000, 10)).__next__)
    pool.subscribe("v", Nobody())
    pool.subscribe("v", Gone())
    pool.subscribe("w", Nobody())
    pool.unsubscribe("w", Nobody())
    first = pool.publish("v", content("v", 1))
    pool.put("w", content("v", 1))
    pool.publish("linked", first)
    pool.put("stream", batches("stream", 1))
    for number in range(2, 6):
        pool.publish("v", content("v", number))
    janitor.look()
    for handle in pool.versions("v"):
        handle.get()
    janitor.look()
    dropped = pool.put("x", content("x", 1))
    pool.drop(dropped)
    pool.drop(pool.publish("y", content("y", 1)))
    of_the_dead = pool.catalogue.segment(catalogue.temporary_name(os.getpid(), 999, 0, "v"))
    os.close(os.open(of_the_dead, os.O_WRONLY | os.O_CREAT, 0o600))
    for number in range(2, 9):
        pool.put("x", content("x", number))
    pool.tidy()


def in_memory(base: Path) -> None:
    """Put and publish in a pool without files, whose keeper is the parent."""
    pool = ContextPool(base, "m")
    for number in range(1, 4):
        pool.publish("v", content("v", number))


def on_disk(base: Path) -> None:
    """Adopt a pool of which one segment is damaged."""
    opened_on_disk(base, "next").close()


def opened_on_disk(base: Path, node: str) -> ContextPool:
    settings = PoolSettings(MIB, backend="file", directory=str(base), persist=True)
    (base / node).mkdir(mode=0o700, exist_ok=True)
    return ContextPool(base / node, "d", settings=settings)


SCENARIOS: dict[str, Callable[[Path], None]] = {"files": with_files, "memory": in_memory, "disk": on_disk}


class Stage:
    """Where a scenario plays: what was there before, and what must hold after it, wherever it stopped."""

    def __init__(self, name: str, base: Path, *, found: bool = False) -> None:
        self.name, self.base = name, base
        self.keeper: Janitor | None = None
        if found:
            return
        base.mkdir(mode=0o700)
        if name == "memory":
            ContextPool(base, "m", settings=PoolSettings(MIB, backend="memfd"))
            self.keeper = Janitor(str(base / "m"))
        if name == "disk":
            before = opened_on_disk(base, "before")
            for number in range(1, 4):
                before.publish("v", content("v", number))
            damaged = before.current("v")
            assert damaged is not None
            with open(damaged.path, "r+b") as file:
                file.seek(-1, os.SEEK_END)
                file.write(b"\xff")
            lost = before.publish("lost", content("lost", 1))
            (stored,) = [one for one in before.catalogue.stored() if os.path.samefile(one.path, lost.path)]
            os.unlink(stored.path)
            before.close()

    def pool(self) -> ContextPool:
        if self.name == "disk":
            return opened_on_disk(self.base, "next")
        if self.name == "memory":
            return ContextPool(self.base, "m")
        return ContextPool(self.base, "p", settings=PoolSettings(MIB, keep_last=3, cold_after_s=1e-9))

    def check(self) -> None:
        pool = self.pool()
        try:
            pool.tidy()
            if self.keeper is not None:
                self.keeper.look()
            for dataset in pool.datasets():
                for handle in pool.versions(dataset):
                    try:
                        self.check_version(handle)
                    except SegmentGone:  # room was made for one that had to be unpacked
                        assert handle not in pool.versions(dataset)
            current = pool.current("v")
            if current is not None:
                assert current in pool.versions("v")
            pool.tidy()
            assert [name for name in os.listdir(pool.catalogue.segments) if name.startswith(".")] == []
            assert all(one.links > 1 for one in pool.catalogue.stored()), "what nobody can get has come free"
            highest = max((handle.version for handle in pool.versions("v")), default=0)
            new = pool.publish("v", content("v", 99))
            assert new.version > highest
            assert pool.get("v")[0] == content("v", 99)[0]
        finally:
            pool.close()

    def check_version(self, handle: Handle) -> None:
        value = handle.get()
        array = value if isinstance(value, np.ndarray) else value["n"].to_numpy()
        assert (array == array[0]).all()
        dataset = "v" if handle.dataset in ("w", "linked") else handle.dataset
        assert array[0] // 1000 == hash_of(dataset)

    def close(self) -> None:
        if self.keeper is not None:
            self.keeper.close()


def play(scenario: Callable[[Path], None], base: Path, hook: Callable[[str], object]) -> int:
    """Play a scenario in a forked process with `hook` at every label; return the exit status as os.waitpid does."""
    pid = os.fork()
    if pid == 0:
        try:
            for module in MODULES:
                arm_crashpoints(module, hook)
            scenario(base)
            os._exit(0)
        except BaseException:
            traceback.print_exc(file=sys.stderr)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1]


@pytest.fixture(scope="module")
def passes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, int]]:
    """How often each label is passed, and in which scenario."""
    found: dict[str, tuple[str, int]] = {}
    for name, scenario in SCENARIOS.items():
        stage = Stage(name, tmp_path_factory.mktemp("count") / name)
        log = stage.base.with_suffix(".log")
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        assert play(scenario, stage.base, lambda label, fd=fd: os.write(fd, f"{label}\n".encode())) == 0
        os.close(fd)
        for label, times in Counter(log.read_text().split()).items():
            found.setdefault(label, (name, times))
        stage.check()
        stage.close()
    return found


def test_every_label_is_passed(passes: dict[str, tuple[str, int]]) -> None:
    assert sorted(passes) == LABELS


@pytest.mark.parametrize("label", LABELS)
def test_killed_there_what_exists_is_whole_and_all_goes_on(
    label: str, passes: dict[str, tuple[str, int]], tmp_path: Path
) -> None:
    name, times = passes[label]
    for n in sorted({*range(1, min(times, 4) + 1), times // 2 + 1, times}):
        stage = Stage(name, tmp_path / str(n))
        try:
            assert play(SCENARIOS[name], stage.base, kill_at(label, n)) == signal.SIGKILL
            stage.check()
        finally:
            stage.close()


def test_a_reader_killed_with_a_lease_leaves_nothing(tmp_path: Path) -> None:
    pool = ContextPool(tmp_path, "p", settings=PoolSettings(MIB))
    handle = pool.put("v", content("v", 1))
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        held = handle.get()
        os.write(told, bytes((int(held[0] > 0),)))
        signal.pause()
    assert os.read(ready, 1) == b"\x01"
    pool.drop(handle)
    assert pool.bytes_shared() > 0
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(ready)
    os.close(told)
    pool.tidy()
    assert pool.bytes_shared() == 0
    with pytest.raises(SegmentGone):
        handle.get()
