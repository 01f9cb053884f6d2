"""The registry's owner, killed at every marked store: readers see the old state or the new, and a successor goes on.

The marks are comments (`# crash: label`) in the source. Here a copy of the two modules that store is made in which each
mark is a call, and a forked owner kills itself at the n-th pass of one label, for every label and every n.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

import actorlab.registry.backends
from actorlab.errors import SegmentCorrupt
from actorlab.ids import pack
from actorlab.registry import Entry, LocalBackend, RegistryBackend, SharedBackend, SharedReader
from actorlab.transport import die_at

SOURCES = Path(actorlab.registry.backends.__path__[0])
PACKAGE = "actorlab.registry.backends"
MARK = re.compile(r"^(\s*)# crash: (\w+)$", re.MULTILINE)

SOURCE_TEXT = "".join((SOURCES / f"{name}.py").read_text() for name in ("shared", "shared_partition"))
LABELS = sorted({mark[2] for mark in MARK.finditer(SOURCE_TEXT)})
OWNING = {"owner_next", "owner_started", "owner_written", "recover_count", "recover_counted"}
FOUNDING = {"control_linked", *OWNING}
ADOPTING = {"leftover_found", "leftover_removed", *OWNING}
FAILING = {"owner_undo", "owner_undone"}
LEAVING = {"owner_leaves", "owner_left", "file_next", "file_removed"}
CHANGING = sorted(set(LABELS) - FOUNDING - ADOPTING - FAILING - LEAVING)

A, B, C = pack(1, 1, 1), pack(1, 2, 1), pack(2, 1, 1)
Change = Callable[[RegistryBackend], object]


@dataclass
class Trap:
    """Where the instrumented owner kills itself: at the `passes`-th pass of `label`, once `armed`."""

    label: str = ""
    passes: int = 0
    armed: bool = False
    hits: list[str] = field(default_factory=list)

    def reach(self, label: str) -> None:
        if self.armed and label == self.label:
            self.passes -= 1
            if self.passes == 0:
                die_at(label)


TRAP = Trap()


@pytest.fixture(scope="module")
def instrumented() -> Iterator[type[SharedBackend]]:
    """The shared backend's class from an instrumented copy of its modules."""
    partition = instrument("shared_partition", "shared_partition_marked")
    module = instrument("shared", "shared_marked", "shared_partition", "shared_partition_marked")
    yield module.SharedBackend
    for made in (partition, module):
        del sys.modules[made.__name__]


def instrument(name: str, new_name: str, old_import: str = "", new_import: str = "") -> ModuleType:
    source = MARK.sub(r'\1_reach("\2")', (SOURCES / f"{name}.py").read_text())
    if old_import:
        source = source.replace(f"from .{old_import} import", f"from .{new_import} import")
    spec = spec_from_loader(f"{PACKAGE}.{new_name}", loader=None)
    assert spec is not None
    module = module_from_spec(spec)
    module.__package__ = PACKAGE
    module.__dict__["_reach"] = TRAP.reach
    sys.modules[module.__name__] = module
    exec(compile(source, str(SOURCES / f"{name}.py"), "exec"), module.__dict__)
    return module


def prepare(owner: RegistryBackend) -> None:
    """Bring a table of 64 slots near its half, so that the changes below make it grow."""
    for n in range(27):
        owner.register(f"old-{n}", A if n < 2 else B, {"n": n})
    owner.register("dead", C)


CHANGES: list[Change] = [
    lambda owner: owner.register("new-0", A),
    lambda owner: owner.register("new-0", A, {"again": True}),
    lambda owner: owner.update_metadata("old-5", {"n": "five"}),
    lambda owner: owner.unregister("old-6"),
    lambda owner: owner.register("dead", B, {"taken": "over"}),
    lambda owner: owner.register("new-1", B),
    lambda owner: owner.register("new-2", B),
    lambda owner: owner.register("new-3", B),
    lambda owner: owner.register("new-4", B),
    lambda owner: owner.register("old-6", B, {"n": "six"}),
    lambda owner: owner.register("new-5", B),
    lambda owner: owner.register("new-6", A),
    lambda owner: owner.release_owner(A),
    lambda owner: owner.unregister("dead"),
]


def is_alive(address: int) -> bool:
    return address != C


def states() -> list[dict[str, tuple[int, dict[str, object]]]]:
    """Return what the names stand for before each of the changes and after the last, by the plainest backend."""
    model = LocalBackend(is_alive=is_alive)
    prepare(model)
    seen = [told(model.items())]
    for change in CHANGES:
        change(model)
        seen.append(told(model.items()))
    return seen


def told(entries: list[Entry]) -> dict[str, tuple[int, dict[str, object]]]:
    return {entry.name: (entry.address, entry.metadata) for entry in entries}


def forked(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(1)
    return pid


def was_killed(pid: int) -> bool:
    status = os.waitpid(pid, 0)[1]
    assert status in (0, signal.SIGKILL), f"the owner failed by itself: {status}"
    return status == signal.SIGKILL


def run_owner(backend: type[SharedBackend], directory: Path, label: str, passes: int) -> tuple[bool, int, SharedReader]:
    """Run the changes in a process that is killed at the pass; return whether it was, how many had begun, a reader.

    The reader was opened, and its cache filled, before the first change.
    """
    ready, go, progress = os.pipe(), os.pipe(), os.pipe()

    def work() -> None:
        owner = backend.create(directory, partitions=1, capacity=1, is_alive=is_alive)
        prepare(owner)
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        TRAP.label, TRAP.passes, TRAP.armed = label, passes, True
        for change in CHANGES:
            os.write(progress[1], b"x")
            change(owner)

    pid = forked(work)
    os.close(ready[1])  # so that reading ends if the owner does
    try:
        assert os.read(ready[0], 1), "the owner failed by itself"
        reader = SharedReader.open(directory)
        for name in reader.names():
            reader.whereis(name)
        os.write(go[1], b"x")
        killed = was_killed(pid)
        os.write(progress[1], b"x")  # so that there is something to read
        begun = len(os.read(progress[0], 4096)) - 1
    finally:
        for fd in (ready[0], *go, *progress):
            os.close(fd)
    return killed, begun, reader


@pytest.mark.parametrize("label", CHANGING)
def test_a_killed_owner_leaves_the_old_state_or_the_new(
    instrumented: type[SharedBackend], tmp_path: Path, label: str
) -> None:
    expected = states()
    passes = 0
    while True:
        passes += 1
        directory = tmp_path / str(passes)
        killed, begun, early = run_owner(instrumented, directory, label, passes)
        if not killed:
            break
        before, after = expected[begun - 1], expected[begun]
        for reader in (early, SharedReader.open(directory)):
            seen = told(reader.items())
            for name in before.keys() | after.keys() | seen.keys() | {"nobody"}:
                assert seen.get(name) in (before.get(name), after.get(name)), (label, passes, name)
                entry = reader.lookup(name)
                assert (None if entry is None else (entry.address, entry.metadata)) == seen.get(name)
                assert reader.whereis(name) == (seen[name][0] if name in seen else None)
        # The successor finds the same, and the rest of the work comes to the same end.
        successor = SharedBackend.adopt(directory, is_alive=is_alive)
        assert told(successor.items()) == seen
        assert successor.count() == len(seen)
        for number in range(begun - 1, len(CHANGES)):
            CHANGES[number](successor)
            assert told(early.items()) == expected[number + 1]
        assert sorted(successor.release_home(1)) == sorted(expected[-1])
        assert len(list(directory.iterdir())) == 2
        early.close()
        successor.remove()
    assert passes > 1, f"no change passes {label}"
    assert begun == len(CHANGES)


@pytest.mark.parametrize("label", ["table_begun", "table_next", "table_linked", "table_made", *sorted(FOUNDING)])
def test_an_owner_killed_while_founding_leaves_a_registry_or_none(
    instrumented: type[SharedBackend], tmp_path: Path, label: str
) -> None:
    def work() -> None:
        TRAP.label, TRAP.passes, TRAP.armed = label, 1, True
        instrumented.create(tmp_path, partitions=2)

    assert was_killed(forked(work))
    if label in FOUNDING:
        successor = SharedBackend.adopt(tmp_path)
    else:
        with pytest.raises(FileNotFoundError):
            SharedBackend.adopt(tmp_path)
        successor = SharedBackend.create(tmp_path, partitions=2)
    successor.register("till", A)
    assert SharedReader.open(tmp_path).names() == ["till"]
    successor.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("label", sorted(ADOPTING))
def test_a_successor_killed_while_adopting_leaves_all_to_the_next(
    instrumented: type[SharedBackend], tmp_path: Path, label: str
) -> None:
    killed, begun, early = run_owner(instrumented, tmp_path, "table_published", 1)
    assert killed
    assert len(list(tmp_path.iterdir())) == 3
    seen = told(early.items())

    def adopt() -> None:
        TRAP.label, TRAP.passes, TRAP.armed = label, 1, True
        instrumented.adopt(tmp_path)

    assert was_killed(forked(adopt))
    successor = SharedBackend.adopt(tmp_path, is_alive=is_alive)
    assert told(successor.items()) == told(early.items()) == seen
    for change in CHANGES[begun - 1 :]:
        change(successor)
    assert told(early.items()) == states()[-1]
    early.close()
    successor.remove()


@pytest.mark.parametrize("label", sorted(FAILING))
def test_a_successor_killed_over_a_broken_registry_does_not_keep_it(
    instrumented: type[SharedBackend], tmp_path: Path, label: str
) -> None:
    SharedBackend.create(tmp_path, partitions=2).close()
    (tmp_path / "table-1-0").unlink()

    def adopt() -> None:
        TRAP.label, TRAP.passes, TRAP.armed = label, 1, True
        instrumented.adopt(tmp_path)

    assert was_killed(forked(adopt))
    with pytest.raises(SegmentCorrupt):  # and not RegistryOwned
        SharedBackend.adopt(tmp_path)


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("label", sorted(LEAVING))
def test_an_owner_killed_while_it_removes_its_registry_leaves_it_whole_or_none(
    instrumented: type[SharedBackend], tmp_path: Path, label: str, passes: int
) -> None:
    def work() -> None:
        owner = instrumented.create(tmp_path, partitions=2)
        owner.register("till", A)
        TRAP.label, TRAP.passes, TRAP.armed = label, passes, True
        owner.remove()

    assert was_killed(forked(work)) == (passes == 1 or label.startswith("file"))
    if (label, passes) == ("file_next", 1) or (label.startswith("owner") and passes == 1):
        successor = SharedBackend.adopt(tmp_path)
        assert successor.names() == ["till"]
    else:
        with pytest.raises(FileNotFoundError):
            SharedBackend.adopt(tmp_path)
        successor = SharedBackend.create(tmp_path, partitions=2)
        assert successor.names() == []
    successor.remove()
    assert list(tmp_path.iterdir()) == []


def test_every_mark_is_tried() -> None:
    assert {*CHANGING, *FOUNDING, *ADOPTING, *FAILING, *LEAVING} == set(LABELS)
    assert len(CHANGING) >= 12
