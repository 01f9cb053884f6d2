"""Selectors of the hub's loop: what asyncio waits for and what the kernel waits for, in one system call.

Edge (epoll, or poll); used by the hub, which is asked when asyncio asks "what is ready?". With epoll our own
descriptors go round selector keys, 5 µs less from a ring to the first message; with poll they are registered like any
other. Both call `clear` of ours that is ready, and give asyncio the rest. Not kqueue, though macOS has it: there it
misses named pipes that are full, and doorbells are named pipes.
"""

from __future__ import annotations

import logging
import os
import select
import selectors
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..memory import has

log = logging.getLogger("actorlab")

MOST_EVENTS = 256
_ALL = 65_536  # no pipe takes more unasked

Clear = Callable[[], object]
Events = list[tuple[selectors.SelectorKey, int]]


class HubSelector(selectors.BaseSelector):
    """A selector that asks `turn` instead of the system, and `poll` for whoever turns. `inner` is the system's."""

    def __init__(self, inner: selectors.BaseSelector, turn: Callable[[float | None], Events]) -> None:
        self._inner = inner
        self._turn = turn
        self._ours: dict[int, Clear] = {}  # descriptor → how to make it unreadable

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()

    def watch(self, descriptor: int, clear: Clear) -> None:
        """Have `clear` called when `descriptor` is readable, or has hung up."""
        self._ours[descriptor] = clear
        self._inner.register(descriptor, selectors.EVENT_READ)

    def unwatch(self, descriptor: int) -> None:
        """Take back `watch`. Idempotent."""
        if self._ours.pop(descriptor, None) is not None:
            self._inner.unregister(descriptor)

    def select(self, timeout: float | None = None) -> Events:
        return self._turn(timeout)

    def poll(self, timeout: float | None) -> Events:
        """Wait in the system's call; return asyncio's events, having consumed our own."""
        events: Events = []
        for key, ready in self._inner.select(timeout):
            clear = self._ours.get(key.fd)
            if clear is not None:
                try:
                    clear()
                except Exception:
                    log.exception("a descriptor's callback fails")
            elif self._inner.get_map().get(key.fd) is key:  # else somebody before it in this list has closed it
                events.append((key, ready))
        return events


class EpollSelector(HubSelector):
    """The same on epoll itself."""

    def __init__(self, turn: Callable[[float | None], Events]) -> None:
        inner = selectors.EpollSelector()
        super().__init__(inner, turn)
        self._epoll = select.epoll.fromfd(os.dup(inner.fileno()))

    def close(self) -> None:
        self._epoll.close()
        self._inner.close()

    def watch(self, descriptor: int, clear: Clear) -> None:
        """Have `clear` called when `descriptor` is readable, or has hung up."""
        self._ours[descriptor] = clear
        self._epoll.register(descriptor, select.EPOLLIN)

    def unwatch(self, descriptor: int) -> None:
        """Take back `watch`. Idempotent."""
        if self._ours.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def poll(self, timeout: float | None) -> Events:
        """Wait in epoll; return asyncio's events, having consumed our own."""
        events: Events = []
        for descriptor, mask in self._epoll.poll(timeout, MOST_EVENTS):
            clear = self._ours.get(descriptor)
            if clear is not None:
                try:
                    clear()
                except Exception:
                    log.exception("a descriptor's callback fails")
            elif descriptor in self._inner.get_map():  # else somebody before it in this list has closed it
                ready = selectors.EVENT_READ if mask & ~select.EPOLLOUT else 0
                if mask & ~select.EPOLLIN:
                    ready |= selectors.EVENT_WRITE
                key = self._inner.get_key(descriptor)
                if ready & key.events:
                    events.append((key, ready & key.events))
        return events


def make_selector(turn: Callable[[float | None], Events]) -> HubSelector:
    """Return the best selector that this system has."""
    return EpollSelector(turn) if has("epoll") else HubSelector(selectors.PollSelector(), turn)


class Waker:
    """A descriptor that any thread makes readable: an eventfd, or a pipe.

    `ring` raises OSError once it is closed.
    """

    def __init__(self) -> None:
        self.ring: Callable[[], object]
        self._fds: tuple[int, ...]
        if has("eventfd"):
            self._fds = (os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC),)
            self.ring = partial(os.eventfd_write, self._fds[0], 1)
            self._take: Callable[[], object] = partial(os.eventfd_read, self._fds[0])
        else:
            self._fds = os.pipe()
            for fd in self._fds:
                os.set_blocking(fd, False)
            self.ring = partial(os.write, self._fds[1], b"\1")
            self._take = partial(os.read, self._fds[0], _ALL)

    def fileno(self) -> int:
        """Return the descriptor to wait for; -1 once it is closed."""
        return self._fds[0]

    def clear(self) -> None:
        """Make it unreadable again."""
        try:
            self._take()
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Close it. Idempotent."""
        fds, self._fds = self._fds, (-1,)
        self.ring = partial(os.write, -1, b"\1")
        for fd in fds:
            if fd >= 0:
                os.close(fd)
