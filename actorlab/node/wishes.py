"""Wishes: what somebody outside asks of a running node, through files in its directory.

Edge (files, a thread a wish); both sides of it. The directory is its user's alone (0700, checked by who asks; a wish
that another user wrote is thrown away), so nobody else can wish for anything. A wish is a file that appears whole; the
controller looks for one each heartbeat, takes it away, does it in a thread of its own, and leaves the answer under the
wish's number. Any node with workers hears wishes, whoever started it; an embedded one has no directory.

    wish.<number>      written by who asks. Killed before it appears: nothing was asked; killed behind it: it is done
                       and its answer stays until the node ends
    (taken away)       by the node, before it begins. Killed before it: a dead node grants nothing; killed behind it:
                       who asks sees that the node has ended, or hears nothing, and that it was begun
    granted.<number>   written by the node, whole. Killed before it: done, unsaid; killed behind it: it is still read
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import (
    ActorlabError,
    CallTimeout,
    NotMovable,
    SharedMemoryFull,
    StartError,
    WorkerLost,
    WorkerStartError,
    WorkerStays,
)
from .directory import check_safe
from .identity import write_whole

log = logging.getLogger("actorlab")

PREFIX = "wish."
ANSWER = "granted."

_TRAVELLING = {
    kind.__name__: kind for kind in (NotMovable, SharedMemoryFull, WorkerLost, WorkerStartError, WorkerStays)
}
"""Errors that come out at the other side as what they are; their arguments are texts and numbers."""


def wish(directory: Path, kind: str, fields: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """Ask a node for something and return its answer; blocks.

    Raises what it failed with (NotMovable and its like), StartError if it is refused or was not even begun in time,
    CallTimeout if it was begun, UnsafeDirectory where others could answer.
    """
    number = os.urandom(4).hex()
    asked, answer = directory / f"{PREFIX}{number}", directory / f"{ANSWER}{number}"
    try:
        check_safe(directory)
        write_whole(asked, {"kind": kind, **fields})
    except FileNotFoundError:
        raise StartError(kind, "the node has ended") from None
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            found: dict[str, Any] = json.loads(answer.read_text("utf-8"))
        except FileNotFoundError:
            if not directory.exists():
                raise StartError(kind, "the node has ended") from None
            time.sleep(0.01)
            continue
        answer.unlink(missing_ok=True)
        if found.get("error"):
            raise _error(kind, found)
        return found
    try:
        asked.unlink()
    except FileNotFoundError:
        raise CallTimeout(f"the node, which has begun to {kind},", timeout_s) from None
    raise StartError(kind, f"the node gave no answer within {timeout_s:g} s; nothing was done")


def _error(kind: str, found: dict[str, Any]) -> ActorlabError:
    known = _TRAVELLING.get(found.get("type", ""))
    try:
        return StartError(kind, str(found["error"])) if known is None else known(*found["args"])
    except (KeyError, TypeError):  # a node of another version
        return StartError(kind, str(found["error"]))


class Wishes:
    """The node's side. `grant` does by kind what is wished for, in a thread of its own, and returns the answer."""

    def __init__(self, directory: Path, grant: dict[str, Callable[..., dict[str, Any]]]) -> None:
        self._directory = directory
        self._grant = grant

    def look(self) -> None:
        """See whether somebody wishes for something: one look into the directory. In the controller's thread."""
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:  # removed under us: nobody can wish for anything, and the node goes on
            return
        for name in names:
            if name.startswith(PREFIX) and not name.endswith(".new"):
                path = self._directory / name
                try:
                    ours = path.lstat().st_uid == os.geteuid()
                    asked = json.loads(path.read_text("utf-8")) if ours else None
                    path.unlink()  # whoever unlinks it, decides: we do it, or who asked takes it back
                except FileNotFoundError:
                    continue
                except OSError:  # no descriptor left to read it with: at the next look, then
                    continue
                except ValueError:
                    path.unlink(missing_ok=True)
                    continue
                if not isinstance(asked, dict):
                    log.warning("a wish that is none of ours was thrown away: %s", path)
                    continue
                number = name.removeprefix(PREFIX)
                threading.Thread(target=self._do, args=(number, asked), name="actorlab wish", daemon=True).start()

    def _do(self, number: str, asked: dict[str, Any]) -> None:
        kind = asked.pop("kind", None)
        do = self._grant.get(kind)
        try:
            if do is None:
                raise StartError(str(kind), "this node does not know how")
            answer = do(**asked)
        except Exception as error:
            answer = {"error": str(error) or repr(error), "type": type(error).__name__, "args": list(error.args)}
            if answer["type"] not in _TRAVELLING:
                answer = {"error": answer["error"]}
        try:
            write_whole(self._directory / f"{ANSWER}{number}", answer)
        except OSError:
            pass  # the node has ended meanwhile
