"""Actors that share a lazy value, as the tests' workers run them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import actorlab as al


class Index:
    """Says when it is built and when it goes, in files that the test looks at."""

    def __init__(self, folder: str, words: dict[str, int]) -> None:
        self.folder, self.words = folder, words
        note(folder, "built")

    def __del__(self) -> None:
        note(self.folder, "dropped")


def note(folder: str, what: str) -> None:
    with open(Path(folder, f"{what}.{os.getpid()}"), "a", encoding="utf-8") as file:
        file.write("x")


def noted(folder: Path, what: str) -> list[int]:
    """Return, for each process that noted it, how often."""
    return sorted(path.stat().st_size for path in folder.glob(f"{what}.*"))


def build_index(folder: str, handle: al.Handle) -> Index:
    return Index(folder, {word: n for n, word in enumerate(handle.get()["word"].to_pylist())})


def build_nothing(folder: str) -> Any:
    note(folder, "tried")
    raise ValueError("there is nothing to build from")


class Searcher(al.Actor):
    """Finds words in an index that its worker's actors share."""

    reply_errors = (ValueError,)

    def __init__(self, index: Any) -> None:
        self.index = index

    def find(self, word: str) -> tuple[int, int]:
        """Return the word's number, and which object said so."""
        index = self.index.get()
        return index.words[word], id(index)

    async def find_async(self, word: str) -> tuple[int, int]:
        index = await self.index
        return index.words[word], id(index)

    def pid(self) -> int:
        return os.getpid()


class BlockingSearcher(Searcher):
    """The same in a thread of its own."""

    blocking = True


class Allocator(al.Actor):
    """Allocates a little with Arrow."""

    def huge_kb(self) -> int:
        """Return the kB of huge pages that this process has afterwards."""
        import pyarrow as pa

        self.kept = pa.array(["a", "b"])
        rollup = Path("/proc/self/smaps_rollup").read_text("ascii")
        return int(rollup.partition("AnonHugePages:")[2].split()[0])
