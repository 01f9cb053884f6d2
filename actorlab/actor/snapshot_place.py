"""SnapshotPlace: whether a store of snapshots could be kept where its path says, and by us alone.

Edge (files; it looks and changes nothing); used by whoever reads a path from a file, and by keeping before it restores:
what is kept is unpickled, so whoever else could have written it runs code as us.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import SpecError
from ..memory import foreign_owner, other_writers

FOLDER_ENDING = ".arrows"


def check_place(store: str) -> None:
    """Raise SpecError unless the store at this path, or its folder where it is still to be made, is ours to write."""
    path = Path(os.path.abspath(store))
    is_folder = path.suffix == FOLDER_ENDING
    found = _look(path)
    if found is not None:
        if stat.S_ISDIR(found.st_mode) != is_folder or not (is_folder or stat.S_ISREG(found.st_mode)):
            raise _refused(path, f"is no {'folder' if is_folder else 'file'}: give the store another name")
        if why := _strangers(path, found):
            raise _refused(path, why)
        if not os.access(path, os.W_OK | (os.X_OK if is_folder else 0)):
            raise _refused(path, f"may not be written by uid {os.geteuid()}: chmod u+w {path}, or keep it elsewhere")
    # who can write to the folder it is in can put another in its place, or (a database) files beside it
    for folder in dict.fromkeys((path.parent, Path(os.path.realpath(path)).parent)):
        _check_folder(folder, writes=found is None or not is_folder, sticky_will_do=is_folder)


def _check_folder(folder: Path, *, writes: bool, sticky_will_do: bool) -> None:
    while (found := _look(folder)) is None:
        folder = folder.parent
    if not stat.S_ISDIR(found.st_mode):
        raise _refused(folder, "is no folder: keep it elsewhere")
    if (why := _strangers(folder, found)) and not (sticky_will_do and found.st_mode & stat.S_ISVTX):
        raise _refused(folder, why)
    if writes and not os.access(folder, os.W_OK | os.X_OK):
        raise _refused(folder, f"may not be written by uid {os.geteuid()}: chmod u+wx {folder}, or keep it elsewhere")


def strangers(path: Path) -> str:
    """Return who else could have written a file, and what to do; "" if nobody could."""
    found = _look(path)
    return "" if found is None else _strangers(path, found)


def _look(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _refused(path, f"cannot be looked at ({error.strerror}): keep it elsewhere") from None


def _strangers(path: Path, found: os.stat_result) -> str:
    owner = foreign_owner(found)
    if owner is not None:
        return f"belongs to uid {owner}, who could run code as you through what is kept: keep it in a folder of yours"
    who = other_writers(found)
    if who:
        could = "who could run code as you through what is kept"
        mode = f"{stat.S_IMODE(found.st_mode):o}"
        return f"may be written by {who} (mode {mode}), {could}: chmod go-w {path}, or keep it in a folder of yours"
    return ""


def _refused(path: Path, why: str) -> SpecError:
    return SpecError("snapshots.store", f"{path} {why}")
