"""Reload: a running `actorlab run` reads its files again, and makes its tree what they now say.

Edge (files, a signal, a thread); both sides of it. `actorlab reload` writes its wish into the node's own directory
(0700) and sends SIGHUP; the node's process does it in a thread of its own, whatever its job is busy with, and writes
the answer there. A wish is a file of its own that appears whole, and whoever unlinks it decides whether it is done; a
SIGHUP without one is a terminal that hangs up.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ActorlabError, ConfigError, StartError
from .lean_dataclass import dataclass

if TYPE_CHECKING:
    from .config import Config

WISH = "reload"
ANSWER = "reloaded"
HEARS = "reloads"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reload did, or (`dry_run`) would do: a line a change; `later` needs a new start; `error` if it failed."""

    files: tuple[str, ...]
    dry_run: bool
    done: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    error: str | None = None


def ask_reload(
    directory: str | os.PathLike[str], pid: int, files: Sequence[str], *, dry_run: bool, timeout_s: float
) -> Answer:
    """Have the node's process reload `files` (none: those it was started with), and return its answer; blocks.

    Raises StartError when no answer comes: the process does not know how (no `actorlab run`), hangs, or has ended.
    """
    from .node import write_whole

    if not _hears_hangup(pid, Path(directory)):
        raise StartError("a reload", f"process {pid} has ended, or was not started by actorlab run: nothing was asked")
    where, number = Path(directory), os.urandom(4).hex()
    answer, wish = where / f"{ANSWER}.{number}", where / f"{WISH}.{number}"
    write_whole(wish, {"files": [os.path.abspath(file) for file in files], "dry_run": dry_run})
    try:
        os.kill(pid, signal.SIGHUP)
    except ProcessLookupError:
        wish.unlink(missing_ok=True)
        raise StartError("a reload", f"process {pid} has ended") from None
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            found = json.loads(answer.read_text("utf-8"))
        except FileNotFoundError:
            if not where.exists():
                raise StartError("a reload", "the node has ended") from None
            time.sleep(0.01)
            continue
        answer.unlink(missing_ok=True)
        return Answer(
            tuple(found["files"]), found["dry_run"], tuple(found["done"]), tuple(found["later"]), found["error"]
        )
    wish.unlink(missing_ok=True)
    raise StartError("a reload", f"process {pid} gave no answer within {timeout_s:g} s")


def _hears_hangup(pid: int, where: Path) -> bool:
    """Whether a process has a handler for SIGHUP; one that has none would be ended by it."""
    from .memory import has

    if not has("proc"):  # then the process itself has said so
        try:
            return (where / HEARS).read_text("ascii") == str(pid)
        except OSError:
            return False
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as lines:
            caught = next(line for line in lines if line.startswith("SigCgt:"))
    except (OSError, StopIteration):
        return False
    return bool(int(caught.split()[1], 16) >> (signal.SIGHUP - 1) & 1)


def _wishes(directory: Path | None) -> list[Path]:
    """Return the wishes that lie in a node's directory, the oldest first."""
    found = [] if directory is None else directory.glob(f"{WISH}.{'[0-9a-f]' * 8}")
    return sorted(found, key=_written_ns)


def _written_ns(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0  # taken back meanwhile


class Reloader:
    """The node's side: a thread that waits for wishes."""

    def __init__(
        self, node: Any, config: Config, load: Callable[..., Config] | None, report: Callable[[Answer | None], None]
    ) -> None:
        """Serve `node`, which runs `config`; `load` reads files as at the start. SIGHUP is heard already.

        `report` is told each answer; None when a wish was taken back before it was begun.
        """
        from .memory import has

        if not has("proc") and node.directory is not None:
            # Killed before the rename, nobody will ask; after it, who asks finds that we have ended.
            new = Path(node.directory) / f"{HEARS}.new"
            new.write_text(str(os.getpid()), "ascii")
            new.replace(Path(node.directory) / HEARS)
        self._node, self._config, self._load, self._report = node, config, load, report
        self._wanted = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._serve, name="actorlab reload", daemon=True)
        self._thread.start()

    def is_wanted(self) -> bool:
        """Whether a wish lies there that can be done."""
        return self._load is not None and bool(_wishes(self._node.directory))

    def begin(self) -> bool:
        """See to the wishes that lie there, in the thread that does; return True. For the signal's handler."""
        self._wanted.set()
        return True

    def close(self) -> None:
        """Serve no more."""
        self._over = True
        self._wanted.set()
        self._thread.join(timeout=5.0)

    def _serve(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._over:
                return
            # the handler has announced a reload, so one has to be reported
            if not sum([self._answer(wish) for wish in _wishes(self._node.directory)]):
                self._report(None)

    def _answer(self, file: Path) -> bool:
        from .node import write_whole

        try:
            wish = json.loads(file.read_text("utf-8"))
            file.unlink()
        except (OSError, ValueError):
            return False
        answer = self.reload(wish["files"] or self._config.files, dry_run=wish["dry_run"])
        self._report(answer)
        try:
            write_whole(file.with_name(ANSWER + file.suffix), asdict(answer))
        except OSError:
            pass  # the node ends; who asked sees that
        return True

    def reload(self, files: Sequence[str], *, dry_run: bool) -> Answer:
        """Do it. A file with a problem, or a child that does not start, leaves everything as it was."""
        assert self._load is not None
        try:
            new = self._load(*files)
            if (new.tree is None) != (self._config.tree is None):
                raise ConfigError(new.file, (("supervisor", "came or went: stop the node and start it again"),))
            done: tuple[Any, ...] = ()
            if new.tree is not None:
                done = self._node.amend(new.tree, dry_run=dry_run)
        except ActorlabError as error:
            return Answer(tuple(files), dry_run, error=str(error))
        except Exception as error:  # of a module that the files name: it must not end the thread, or nobody is answered
            return Answer(tuple(files), dry_run, error=f"{type(error).__name__}: {error}")
        later = tuple(_options_that_differ(self._config, new))
        if not dry_run:
            self._config = replace(new, node=self._config.node, job=self._config.job)
        return Answer(tuple(files), dry_run, tuple(map(str, done)), later)


def _options_that_differ(old: Config, new: Config) -> list[str]:
    found = []
    for option in fields(old.node):
        before, after = getattr(old.node, option.name), getattr(new.node, option.name)
        if before != after:
            found.append(f"node.{option.name}: {before!r} → {after!r}")
    if (old.job and (old.job.target, old.job.options)) != (new.job and (new.job.target, new.job.options)):
        found.append("job: another one")
    return found
