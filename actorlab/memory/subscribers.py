"""Subscribers: who is told of a dataset's new versions.

Edge (files); used by the pool, and by the janitor for a publisher that was killed before it had told everybody. A
subscriber is a file in the pool's directory, so any process that publishes can tell it. Told is: each subscriber at
least once, of the newest version at least; twice only after such a kill. Messages of publishers in different processes
may come in any order: a handle's version says which is newer.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import Any, Protocol

from ..lean_dataclass import dataclass
from .catalogue import SUBSCRIBERS, Catalogue
from .handle import Handle
from .segment import unlink


class Subscriber(Protocol):
    """Whoever can be told: in a node, a reference to an actor. It travels as a pickle."""

    def is_alive(self) -> bool: ...
    def tell(self, message: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A dataset has a new current version: what a subscriber is told."""

    dataset: str
    handle: Handle


_tell: list[Callable[[Any, NewVersion], None]] = []
_known: dict[str, Any] = {}


def tell_by(tell: Callable[[Any, NewVersion], None]) -> None:
    """Say how this process tells a subscriber; it must neither wait nor fail. Else it is `subscriber.tell`."""
    _tell[:] = [tell]


class Subscribers:
    """The subscribers of one pool."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def _folder(self, dataset: str) -> str:
        return os.path.join(self._catalogue.path, SUBSCRIBERS, dataset)

    def add(self, dataset: str, subscriber: Subscriber) -> None:
        """Have it told from now on. Again, it changes nothing."""
        data = pickle.dumps(subscriber, 5)
        folder = self._folder(dataset)
        # crash: subscribe.folder
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass
        path = os.path.join(folder, _name(data))
        aside = os.path.join(folder, f".{os.getpid()}.{os.urandom(4).hex()}")
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # crash: subscribe.write
            os.write(fd, data)
            # crash: subscribe.rename
            os.replace(aside, path)
            # crash: subscribe.renamed
        except BaseException:
            unlink(aside)  # if we are killed before it, nobody looks at it
            raise
        finally:
            os.close(fd)

    def remove(self, dataset: str, subscriber: Subscriber) -> bool:
        """Have it told no more; return whether it was."""
        # crash: unsubscribe.one
        was_there = unlink(os.path.join(self._folder(dataset), _name(pickle.dumps(subscriber, 5))))
        # crash: unsubscribe.done
        return was_there

    def tell(self, handle: Handle) -> bool:
        """Tell everybody; return whether that could be done here. Who is gone is told no more."""
        try:
            names = os.listdir(self._folder(handle.dataset))
        except FileNotFoundError:
            return True
        message = NewVersion(handle.dataset, handle)
        for name in names:
            if name.startswith("."):
                continue
            path = os.path.join(self._folder(handle.dataset), name)
            try:
                subscriber = _known.get(path) or _load(path)
            except FileNotFoundError:
                continue
            except Exception:
                return False  # nobody can be told from outside the node: the janitor will
            if not subscriber.is_alive():
                # crash: tell.gone
                unlink(path)
                # crash: tell.forgotten
                _known.pop(path, None)
                continue
            # crash: tell.one
            _tell[0](subscriber, message) if _tell else subscriber.tell(message)
        return True


def _load(path: str) -> Any:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            raise PermissionError(path)  # unpickling it would run another user's code
        with open(fd, "rb", closefd=False) as file:
            found = _known[path] = pickle.load(file)
    finally:
        os.close(fd)
    return found


def _name(data: bytes) -> str:
    import xxhash

    return xxhash.xxh3_128_hexdigest(data)
