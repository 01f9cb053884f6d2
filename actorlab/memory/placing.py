"""Placing: where a pool's data lie, and how they go when their node does.

Edge (files); used by the pool, and by the node for what it leaves. Data lie in the pool's own directory, or, where
that was asked for, in one on another disk that the pool's `data` is a link to: so whoever finds a dead node's
directory finds what it has elsewhere.
"""

from __future__ import annotations

import os
import shutil
import stat

from ..errors import UnsafeDirectory
from .catalogue import Catalogue, check_private
from .handle import DATA
from .settings import PoolSettings

POOLS = "pools"
"""Where a node's directory has its pools."""


def place(catalogue: Catalogue, settings: PoolSettings) -> None:
    """Make what is missing of a pool's directories. Raises UnsafeDirectory where others could write. Idempotent."""
    if settings.directory is not None and not os.path.lexists(catalogue.data):
        target = _target(catalogue.path, settings)
        _check_parent(settings.directory)
        # crash: place.folder
        try:
            os.mkdir(target, 0o700)
        except FileExistsError:
            pass
        check_private(target)
        # The link first: killed behind the mkdir, an empty directory is left; behind the link, nothing.
        # crash: place.link
        try:
            os.symlink(target, catalogue.data)
            # crash: place.linked
        except FileExistsError:
            pass
    if settings.directory is not None:
        check_private(os.path.realpath(catalogue.data))
    catalogue.create()


def remove_pool(path: str) -> None:
    """Remove a pool and what it has elsewhere, unless that is to be kept. Mappings stay good."""
    data = os.path.join(path, DATA)
    try:
        target = os.readlink(data)
    except OSError:
        target = ""
    if target and not _is_kept(path):
        try:
            check_private(target)
            shutil.rmtree(target, ignore_errors=True)
        except (OSError, UnsafeDirectory):
            pass  # it is not there, or not ours
    shutil.rmtree(path, ignore_errors=True)


def remove_pools(node_directory: str | os.PathLike[str]) -> None:
    """Remove all pools of a node that is at its end, or dead."""
    pools = os.path.join(node_directory, POOLS)
    try:
        names = os.listdir(pools)
    except OSError:
        return
    for name in names:
        remove_pool(os.path.join(pools, name))


def _target(path: str, settings: PoolSettings) -> str:
    assert settings.directory is not None
    name = os.path.basename(path)
    if settings.persist:
        return os.path.join(settings.directory, name)
    import xxhash

    whose = xxhash.xxh3_64_hexdigest(path.encode())[:12]
    return os.path.join(settings.directory, f"actorlab-{os.geteuid()}-{whose}-{name}")


def _is_kept(path: str) -> bool:
    try:
        with open(os.path.join(path, "pool.json"), "rb") as file:
            return PoolSettings.from_json(file.read()).persist
    except (OSError, ValueError):
        return True  # whose it is cannot be told: rather a file too many than one too few


def _check_parent(directory: str) -> None:
    try:
        status = os.stat(directory)
    except OSError as error:
        raise UnsafeDirectory(directory, f"cannot be used: {error.strerror}") from None
    if not stat.S_ISDIR(status.st_mode):
        raise UnsafeDirectory(directory, "is not a directory")
    if status.st_mode & 0o002 and not status.st_mode & stat.S_ISVTX:
        raise UnsafeDirectory(directory, "may be written by others and is not sticky")
