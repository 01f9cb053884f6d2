"""Adoption: a pool on disk that outlived its node is checked, byte by byte, before anybody reads it.

Edge (files); used by the pool. One node at a time has such a pool: each of its processes holds a shared flock upon
`in-use` there, and `owner` says whose they are. Whoever comes from another node must get the lock alone, which shows
that no process of the one before is left; then everything is compared with the hash that is its name, and what differs
goes into `quarantine`, with the versions that referred to it. Killed meanwhile, the next one begins anew.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import time

from ..errors import AlreadyRunning, SegmentCorrupt, SegmentGone, SharedMemoryError
from .catalogue import Catalogue, Stored, look_at
from .cold import SUFFIX, decompress
from .handle import Handle
from .lease import open_sealed
from .segment import unlink

IN_USE, OWNER, QUARANTINE = "in-use", "owner", "quarantine"

_PATIENCE_S = 30.0
_CHUNK = 16 << 20
log = logging.getLogger("actorlab")


def take_over(catalogue: Catalogue) -> int:
    """Make the pool on disk this node's, checking it if it was another's; return the descriptor that keeps it so.

    Blocks for the checking, and while another process of this node does that. Raises AlreadyRunning when a process of
    another node still uses it.
    """
    path = os.path.join(catalogue.data, IN_USE)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    give_up_at = time.monotonic() + _PATIENCE_S
    try:
        while True:
            try:
                if _owner(catalogue) == catalogue.path:
                    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    if _owner(catalogue) == catalogue.path:
                        return fd
                    fcntl.flock(fd, fcntl.LOCK_UN)  # another node's since we looked
                    continue
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = _owner(catalogue)
                # Of a node that is gone nobody is left: it is one of ours that checks right now.
                is_another = owner not in ("", catalogue.path) and os.path.exists(owner)
                if is_another or time.monotonic() > give_up_at:
                    text = f"{owner or 'another process'} uses {os.path.realpath(catalogue.data)}"
                    raise AlreadyRunning(f"pool {catalogue.path}", text) from None
                time.sleep(0.002)
                continue
            check_all(catalogue)
            _own(catalogue)
            # To share the lock is two steps, and another node may take the pool between them: look whose it is then.
            fcntl.flock(fd, fcntl.LOCK_UN)
    except BaseException:
        os.close(fd)
        raise


def check_all(catalogue: Catalogue) -> list[str]:
    """Compare every segment with its name and put aside what differs; return what was wrong, for the log.

    Only where nobody else uses the pool. About 10 GB/s of what the machine has in memory, else the disk's speed.
    """
    with catalogue.locked():
        catalogue.sweep()
        versions = catalogue.by_segment()
        wrong = []
        good = set()
        for stored in catalogue.stored():
            why = _fault(stored)
            if why:
                _quarantine(catalogue, stored, versions.get(stored.file, []))
                wrong.append(f"{os.path.basename(stored.path)} {why}")
            else:
                good.add(stored.file)
        for file, handles in versions.items():
            for handle in handles if file not in good else ():
                # crash: adopt.dangling
                was_there = unlink(handle.path)
                # crash: adopt.undangled
                wrong += [f"{handle} refers to no segment"] * was_there
        for dataset in catalogue.datasets():
            current = catalogue.current(dataset)
            if current is not None and not os.path.lexists(current.path):
                _fall_back(catalogue, dataset)
        catalogue.free_unreferenced()
    for text in wrong:
        log.warning("pool %s: %s; it was put aside", catalogue.path, text, extra={"event": "segment_corrupt"})
    return wrong


def check(catalogue: Catalogue, handle: Handle) -> None:
    """Compare one version with its name. Raises SegmentGone, or SegmentCorrupt when it had to be put aside."""
    while (mine := look_at(handle.path)) is not None:
        stored = next((one for one in catalogue.stored() if one.file == mine.file), None)
        why = _fault(stored) if stored is not None else ""
        if stored is not None and not why:
            return
        with catalogue.locked():
            again = look_at(handle.path)
            if again is None or again.file != mine.file:
                continue  # dropped, compressed or unpacked since
            if stored is None:
                break
            handles = catalogue.by_segment().get(stored.file, [])
            _quarantine(catalogue, stored, handles)
            for dataset in {one.dataset for one in handles}:
                current = catalogue.current(dataset)
                if current is not None and not os.path.lexists(current.path):
                    _fall_back(catalogue, dataset)
        raise SegmentCorrupt(stored.path, f"{why}; it was put aside")
    raise SegmentGone(str(handle), handle.path)


def _fault(stored: Stored) -> str:
    """Return what is wrong with a segment, "" if nothing is."""
    name = os.path.basename(stored.path)
    try:
        fd = open_sealed(stored.path, name)
    except SharedMemoryError as error:
        return str(error.args[-1])
    try:
        if name.endswith(SUFFIX):
            found = decompress(fd, None)
        else:
            found = _hash(fd, stored.size_bytes)
    finally:
        os.close(fd)
    return "" if found == name.removesuffix(SUFFIX).partition("-")[0] else "does not hold what was sealed"


def _hash(fd: int, size: int) -> str:
    import xxhash

    hashed = xxhash.xxh3_128()
    if size:
        with mmap.mmap(fd, size, access=mmap.ACCESS_READ) as mapping, memoryview(mapping) as view:
            for at in range(0, size, _CHUNK):
                with view[at : at + _CHUNK] as chunk:
                    hashed.update(chunk)
    return str(hashed.hexdigest())


def _quarantine(catalogue: Catalogue, stored: Stored, handles: list[Handle]) -> None:
    folder = os.path.join(catalogue.data, QUARANTINE)
    # crash: adopt.folder
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    for handle in handles:
        # Killed among these: the segment is found damaged again, and put aside with the versions that are left.
        # crash: adopt.version
        unlink(handle.path)
    # crash: adopt.quarantine
    os.replace(stored.path, os.path.join(folder, os.path.basename(stored.path)))
    # crash: adopt.quarantined


def _fall_back(catalogue: Catalogue, dataset: str) -> None:
    """Publish the newest version that is left of a dataset whose current one is gone."""
    left = catalogue.versions(dataset)
    if left:
        catalogue.set_current(left[-1])
    else:
        catalogue.unset_current(dataset)


def _owner(catalogue: Catalogue) -> str:
    try:
        return os.readlink(os.path.join(catalogue.data, OWNER))
    except OSError:
        return ""


def _own(catalogue: Catalogue) -> None:
    aside = os.path.join(catalogue.data, f".{OWNER}")
    # crash: adopt.aside
    unlink(aside)
    # crash: adopt.link
    os.symlink(catalogue.path, aside)
    # crash: adopt.own
    os.replace(aside, os.path.join(catalogue.data, OWNER))
    # crash: adopt.owned
