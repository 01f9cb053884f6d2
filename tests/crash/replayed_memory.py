"""The replay of a log of stores: the files as they were after each of them, in a folder that is alive and in copies.

An edge (files, memory); used by the replay tests, with a log from logged_memory.
"""

from __future__ import annotations

import mmap
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

MANY = 6
"""Of more stores of one instruction, a copy of so many bytes, about so many are prefixes."""


@dataclass(frozen=True, slots=True)
class Store:
    """At most 8 bytes, aligned or within such: stored at `at` of a file, by the `run`-th instruction that stored.

    `called`: by what it called, and with others; `where`: the line of the source.
    """

    file: int
    at: int
    data: bytes
    run: int
    called: bool
    where: str


@dataclass(frozen=True, slots=True)
class Folder:
    """What the folder holds after a system call: the number of a file, a link's target, or None for a directory."""

    names: dict[str, int | str | None]
    modes: dict[int, int]
    contents: dict[int, bytes] = field(repr=False)
    """Of files that are new, or have another length."""
    where: str


@dataclass(frozen=True, slots=True)
class Note:
    """What the writer says of itself: before a change, and when it is done."""

    words: tuple[Any, ...]
    where: str = "a note"


Step = Store | Folder | Note


@dataclass(frozen=True, slots=True)
class Log:
    """What was stored, in order."""

    steps: tuple[Step, ...]

    @property
    def stores(self) -> list[int]:
        """Where among the steps the stores are."""
        return [at for at, step in enumerate(self.steps) if isinstance(step, Store)]

    def store_by(self, line: str, n: int = 0) -> int:
        """Return where among the steps the n-th store is whose line in the source has `line` in it."""
        return [at for at in self.stores if line in self.steps[at].where][n]

    def swapped(self, one: int, other: int) -> Log:
        """Return the log of a writer that made these two stores in the other order."""
        steps = list(self.steps)
        steps[one], steps[other] = steps[other], steps[one]
        return Log(tuple(steps))

    def prefixes(
        self, folder: os.PathLike[str], *, backwards: bool = False, many: int = MANY
    ) -> Iterator[Prefix]:
        """Replay in a new `folder`, yielding after every step; of what one instruction stored, after about `many`.

        `prefix.live` is one folder in which the stores are made one after the other: who has it mapped sees them come.
        `prefix.copy()` is the same in a folder of its own, where a successor may do what he likes.
        """
        base = Path(folder)
        base.mkdir(mode=0o700)
        with _Stage(base) as stage:
            said: dict[str, list[Any]] = {}
            for number, (step, look) in enumerate(_torn(self.steps, backwards, many)):
                if isinstance(step, Note):
                    word, *rest = step.words
                    said.setdefault(word, []).append(rest[0] if len(rest) == 1 else tuple(rest))
                else:
                    stage.make(step)
                if look:
                    yield Prefix(number, step.where, said, stage)


@dataclass(frozen=True, slots=True)
class Prefix:
    """The files as they were after so many steps, of which `where` was the last."""

    number: int
    where: str
    notes: dict[str, list[Any]] = field(repr=False)
    stage: _Stage = field(repr=False)

    @property
    def live(self) -> Path:
        return self.stage.live

    def copy(self, to: Path | None = None) -> Path:
        """Return a fresh folder with the files, `to` if told; the one before is gone then."""
        return self.stage.copy(to)

    def said(self, word: str) -> list[Any]:
        """Return what came with each note so far that begins with `word`."""
        return list(self.notes.get(word, ()))


def _torn(steps: Sequence[Step], backwards: bool, many: int) -> Iterator[tuple[Step, bool]]:
    """Yield the steps, those of one instruction in either order, and whether to look at what there is after it."""
    at = 0
    while at < len(steps):
        step, end = steps[at], at + 1
        if isinstance(step, Store):
            while end < len(steps) and isinstance(steps[end], Store) and steps[end].run == step.run:
                end += 1
            if end > at + 1 and step.called:
                zeros = bytes(steps[end - 1].at + len(steps[end - 1].data) - step.at)
                yield replace(step, data=zeros, where=f"{step.where}, cleared"), True
        run = steps[at:end][:: -1 if backwards else 1]
        every = -(-len(run) // many)
        for number, one in enumerate(run, 1):
            yield one, number % every == 0 or number == len(run)
        at = end


class _Stage:
    """The files of a replay: in memory, in the live folder, and in the latest copy."""

    def __init__(self, base: Path) -> None:
        self.base, self.live = base, base / "live"
        self._files = base / "files"
        for folder in (self.live, self._files):
            folder.mkdir(mode=0o700)
        self.names: dict[str, int | str | None] = {}
        self.modes: dict[int, int] = {}
        self.images: dict[int, bytearray] = {}
        self.mapped: dict[int, mmap.mmap] = {}
        self._copies = 0

    def __enter__(self) -> _Stage:
        return self

    def __exit__(self, *_: object) -> None:
        for mapped in self.mapped.values():
            mapped.close()
        shutil.rmtree(self.base, ignore_errors=True)

    def make(self, step: Store | Folder) -> None:
        if isinstance(step, Folder):
            self._rename(step)
            return
        end = step.at + len(step.data)
        image = self.images.get(step.file)
        if image is None or end > len(image):
            return  # a file that was removed or cut meanwhile
        image[step.at : end] = step.data
        self.mapped[step.file][step.at : end] = step.data

    def _rename(self, step: Folder) -> None:
        for number, content in step.contents.items():
            self.images[number] = bytearray(content)
            path = self._files / str(number)
            if number in self.mapped:
                self.mapped.pop(number).close()
                os.truncate(path, 0)
            _write(path, self.images[number], 0o600)
            if content:
                with open(path, "r+b") as file:
                    self.mapped[number] = mmap.mmap(file.fileno(), len(content))
        for name in sorted(self.names.keys() - step.names.keys(), reverse=True):
            path = self.live / name
            path.rmdir() if self.names[name] is None else path.unlink()
        for name in sorted(step.names):
            thing = step.names[name]
            if name in self.names and self.names[name] == thing:
                continue
            if name in self.names:
                (self.live / name).unlink()
            _put(self.live / name, thing, self._files)
        self.names, self.modes = step.names, step.modes

    def copy(self, to: Path | None) -> Path:
        self._copies += 1
        shutil.rmtree(to or self.base / f"copy{self._copies - 1}", ignore_errors=True)
        folder = to or self.base / f"copy{self._copies}"
        folder.mkdir(mode=0o700)
        first: dict[int, Path] = {}
        for name in sorted(self.names):
            thing, path = self.names[name], folder / name
            if not isinstance(thing, int):
                _put(path, thing, self._files)
            elif thing in first:
                os.link(first[thing], path)
            else:
                first[thing] = path
                _write(path, self.images[thing], self.modes[thing])
        return folder


def _put(path: Path, thing: int | str | None, files: Path) -> None:
    if thing is None:
        path.mkdir(mode=0o700)
    elif isinstance(thing, str):
        path.symlink_to(thing)
    else:
        os.link(files / str(thing), path)


def _write(path: Path, image: bytearray, mode: int) -> None:
    """Write a file with pages where it says something only."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(fd, len(image))
        size = 1 << 16
        for at in range(0, len(image), size):
            part = image[at : at + size]
            if part.count(0) != len(part):
                os.pwrite(fd, part, at)
        if mode != 0o600:
            os.fchmod(fd, mode)
    finally:
        os.close(fd)
