"""Logged memory: every store that a piece of code makes to mapped files, and the files as they were after each of them.

An edge (files, memory); used by the replay tests, which do with a log what is in replayed_memory. While a log is on,
Python stops before every instruction of the code under test, and the files are compared with what they were: what
differs, the instruction before stored. So the code runs as it is, on its own mappings, and no store gets past the log,
through whatever view it goes: `pack_into` and ctypes take no object that only looks like memory. What changes no byte
is no store, for nobody can tell. System calls (link, rename, ftruncate, …) are steps as well: what is in the folder
after each.

A single instruction may store more than 8 bytes: a slice, a record. Then each 8 bytes are a step of their own, in
either order (`backwards`), because nobody promises one; and what a call stores (`pack_into`) is cleared first.
Not seen: what another thread stores meanwhile is taken for the next instruction's.
"""

from __future__ import annotations

import dis
import linecache
import mmap
import os
import stat
import sys
from types import CodeType, FrameType, TracebackType
from typing import Any

import numpy as np
from replayed_memory import Folder, Log, Note, Step, Store

import actorlab

SOURCES = (os.path.dirname(actorlab.__file__) + os.sep, os.path.dirname(__file__) + os.sep)
_STORING = frozenset(
    number for number, name in enumerate(dis.opname) if name.startswith(("STORE_SUBSCR", "STORE_SLICE", "CALL"))
)
_CALLS = frozenset(number for number, name in enumerate(dis.opname) if name.startswith("CALL"))
_CHANGING = frozenset(
    (
        "link", "unlink", "remove", "rename", "replace", "symlink", "mkdir", "rmdir", "open", "write", "pwrite",
        "writev", "flush", "ftruncate", "truncate", "chmod", "fchmod", "copy_file_range", "sendfile",
    )
)  # fmt: skip


class _Watched:
    """A file as it was when it was last looked at."""

    def __init__(self, number: int, path: str, status: os.stat_result) -> None:
        self.number, self.size = number, status.st_size
        self.mapped: mmap.mmap | None = None
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if self.size:
                self.mapped = mmap.mmap(fd, self.size, mmap.MAP_SHARED, mmap.PROT_READ)
        finally:
            os.close(fd)
        self.seen = self.now()

    def now(self) -> bytes:
        return b"" if self.mapped is None else self.mapped[:]

    def close(self) -> None:
        if self.mapped is not None:
            self.mapped.close()


class Logged:
    """Use it with `with`: what happens in `folder` meanwhile, in this thread, is in `log`. `note` says what it is.

    `only_calls`: nothing is mapped for writing there, so system calls alone are looked at.
    """

    def __init__(self, folder: os.PathLike[str], *, only_calls: bool = False) -> None:
        self.folder, self._only_calls = os.fspath(folder), only_calls
        self.steps: list[Step] = []
        self._files: dict[tuple[int, int], _Watched] = {}
        self._names: dict[str, int | str | None] = {}
        self._modes: dict[int, int] = {}
        self._made = self._runs = 0
        self._codes: dict[CodeType, bytes] = {}
        self._pending, self._called, self._at = False, False, ("", 0)
        self._before: tuple[Any, Any] = (None, None)
        self._caller: FrameType | None = None

    def __enter__(self) -> Logged:
        self._look_at_folder()
        self._before = sys.gettrace(), sys.getprofile()
        sys.setprofile(self._profile)
        if not self._only_calls:
            self._caller = sys._getframe(1)  # whose stores are stores as well
            self._stop_everywhere_in(self._caller)
            sys.settrace(self._trace)
        return self

    def _stop_everywhere_in(self, frame: FrameType) -> None:
        # In this order: from Python 3.12 on the first is needed for the second to have an effect, before `settrace`.
        frame.f_trace, frame.f_trace_opcodes, frame.f_trace_lines = self._trace, True, False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        trace, profile = self._before
        sys.settrace(trace)
        sys.setprofile(profile if callable(profile) else None)  # cProfile is none that could be put back
        if self._caller is not None:
            self._caller.f_trace, self._caller.f_trace_opcodes, self._caller.f_trace_lines = trace, False, True
        self._caller = None
        self._look()
        self._look_at_folder()
        for file in self._files.values():
            file.close()

    def note(self, *words: Any) -> None:
        """Say what is about to be done, or was."""
        self._look()
        self.steps.append(Note(words))

    @property
    def log(self) -> Log:
        return Log(tuple(self.steps))

    # -- what the interpreter calls -----------------------------------------------------------------------------------

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if self._pending:
            self._pending = False
            self._look()
        code = frame.f_code
        if event == "opcode":
            codes = self._codes.get(code)
            if codes is None:
                codes = self._codes[code] = code.co_code
            opcode = codes[frame.f_lasti]
            if opcode in _STORING:
                self._pending, self._called = True, opcode in _CALLS
                self._at = code.co_filename, frame.f_lineno
            return self._trace
        if event == "call":
            if not code.co_filename.startswith(SOURCES) or code.co_filename == __file__:
                return None
            self._stop_everywhere_in(frame)
        return self._trace

    def _profile(self, frame: FrameType, event: str, called: Any) -> None:
        if (
            event == "c_return"
            and called.__name__ in _CHANGING
            and (called.__module__ == "posix" or type(called.__self__).__module__ == "_io")
            and frame.f_code.co_filename != __file__
        ):
            self._at = frame.f_code.co_filename, frame.f_lineno
            self._look_at_folder()

    def _where(self) -> str:
        file, line = self._at
        return f"{os.path.basename(file)}:{line} {linecache.getline(file, line).strip()}"

    def _look(self) -> None:
        for file in self._files.values():
            if file.mapped is not None and (now := file.now()) != file.seen:
                self._store(file, now)

    def _store(self, file: _Watched, now: bytes) -> None:
        changed = np.flatnonzero(np.frombuffer(now, np.uint8) != np.frombuffer(file.seen, np.uint8))
        if self._called and changed[0] >> 3 != changed[-1] >> 3:
            changed = np.arange(changed[0], changed[-1] + 1)  # it is cleared first, so all between is stored anew
        words, first = np.unique(changed >> 3, return_index=True)
        last = np.append(first[1:], len(changed)) - 1
        self._runs += 1
        called, where = self._called and len(words) > 1, self._where()
        for begin, end in zip(changed[first].tolist(), changed[last].tolist(), strict=True):
            self.steps.append(Store(file.number, begin, now[begin : end + 1], self._runs, called, where))
        file.seen = now

    def _look_at_folder(self) -> None:
        names: dict[str, int | str | None] = {}
        modes: dict[int, int] = {}
        contents: dict[int, bytes] = {}
        files: dict[tuple[int, int], _Watched] = {}
        for where, folders, found in os.walk(self.folder):
            for name in (*folders, *found):
                path = os.path.join(where, name)
                own = os.path.relpath(path, self.folder)
                status = os.lstat(path)
                if stat.S_ISDIR(status.st_mode):
                    names[own] = None
                elif stat.S_ISLNK(status.st_mode):
                    names[own] = os.readlink(path)
                elif stat.S_ISREG(status.st_mode):  # and no doorbell: what it says is said to the living
                    key = status.st_dev, status.st_ino
                    file = files.get(key) or self._files.get(key)
                    if file is None or file.size != status.st_size:
                        if file is None:
                            self._made += 1
                        else:
                            file.close()
                        file = _Watched(file.number if file else self._made, path, status)
                        contents[file.number] = file.seen
                    files[key] = file
                    names[own], modes[file.number] = file.number, stat.S_IMODE(status.st_mode)
        for key in self._files.keys() - files.keys():
            self._files[key].close()
        self._files = files
        self._look()
        if contents or names != self._names or modes != self._modes:
            self._names, self._modes = names, modes
            self.steps.append(Folder(names, modes, contents, self._where()))
