"""Files of a corpus: which files of a folder are text to search, and how they are shared out.

An edge (reads the file system); used by job.py, actors.py and scan.py. The same folder gives the same files in the
same order in every process: sorted by path, which is also what breaks ties between answers. Links are not followed,
so a walk ends; nothing but regular files is opened, so it never waits on a pipe.
"""

from __future__ import annotations

import os
import stat
import sysconfig
from collections.abc import Sequence

from ..errors import CorpusError
from ..lean_dataclass import dataclass

SKIPPED_FOLDERS = frozenset({"site-packages", "dist-packages", "__pycache__", "node_modules"})
"""Other people's code and generated files. Hidden folders are skipped too."""

MAX_FILE_BYTES = 2 << 20
"""Larger files are data, not text that somebody wrote."""

_SNIFFED_BYTES = 4096


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file to index: its path relative to the corpus (`/` between folders), where it is, its size in bytes."""

    path: str
    location: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Corpus:
    """The files of a folder, sorted by path. `skipped` counts binary, oversized, empty and unreadable files."""

    folder: str
    files: tuple[TextFile, ...]
    skipped: int = 0

    @property
    def size_bytes(self) -> int:
        """What all files add up to."""
        return sum(file.size_bytes for file in self.files)


def default_folder() -> str:
    """Return the folder of the running interpreter's standard library: about 30 MB of real text on any machine."""
    return sysconfig.get_path("stdlib")


def find_text(folder: str | None = None, max_file_bytes: int = MAX_FILE_BYTES) -> Corpus:
    """Walk `folder` (default: the standard library) and return its text files; blocks for some 0.1 s a thousand.

    A file or a subfolder that cannot be read is skipped and counted. Raises CorpusError where `folder` does not
    exist, is no folder or cannot be read, and where no text is in it.
    """
    root = os.path.abspath(os.path.expanduser(folder or default_folder()))
    _check(root)
    found: list[TextFile] = []
    skipped = 0

    def count_unreadable(_: OSError) -> None:
        nonlocal skipped
        skipped += 1

    for parent, folders, names in os.walk(root, onerror=count_unreadable):
        folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS and not name.startswith(".")]
        for name in names:
            file = _text_file(root, os.path.join(parent, name), max_file_bytes)
            if file is None:
                skipped += 1
            else:
                found.append(file)
    if not found:
        raise CorpusError(
            root,
            f"no text file is in it ({skipped} binary, oversized, empty or unreadable ones were skipped)",
            "name a folder with source code or other text",
        )
    return Corpus(root, tuple(sorted(found, key=lambda file: file.path)), skipped)


def read_text(file: TextFile) -> str | None:
    """Return a file's text, bytes that are no UTF-8 replaced; None if it vanished or became unreadable meanwhile."""
    try:
        with open(file.location, "rb") as stream:
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return None


def shards(files: Sequence[TextFile], parts: int) -> list[tuple[TextFile, ...]]:
    """Cut the sorted files into at most `parts` runs of about equal size in bytes; none is empty, none lost."""
    total = sum(file.size_bytes for file in files)
    cut: list[list[TextFile]] = [[] for _ in range(max(parts, 1))]
    before = 0
    for file in files:
        # where the file's middle falls decides, so a large file lands with the part that it overlaps most
        cut[min((before + file.size_bytes // 2) * len(cut) // max(total, 1), len(cut) - 1)].append(file)
        before += file.size_bytes
    return [tuple(part) for part in cut if part]


def _check(root: str) -> None:
    try:
        kind = os.stat(root).st_mode
    except FileNotFoundError:
        raise CorpusError(root, "there is no such folder", "check its spelling, or name none for Python's library")
    except OSError as error:
        raise CorpusError(root, f"it cannot be reached ({error.strerror})", "check the permissions of its parents")
    if not stat.S_ISDIR(kind):
        raise CorpusError(root, "it is not a folder", f"name the folder, for example {os.path.dirname(root)}")
    try:
        os.scandir(root).close()
    except OSError as error:
        raise CorpusError(root, f"it cannot be read ({error.strerror})", f"run: chmod u+rx {root}")


def _text_file(root: str, location: str, max_file_bytes: int) -> TextFile | None:
    try:
        status = os.lstat(location)
        if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size <= max_file_bytes:
            return None
        with open(location, "rb") as stream:
            if b"\0" in stream.read(_SNIFFED_BYTES):
                return None
    except OSError:
        return None
    path = os.path.relpath(location, root).replace(os.sep, "/")
    return TextFile(os.fsencode(path).decode("utf-8", "replace"), location, status.st_size)
