"""Following: append streams as actors have them: as messages, and in handlers that wait for more.

Edge (one kernel's thread; hears from other threads); used by the memory floor's streams, by way of the node. An actor
that subscribed has at most one message of each stream in its mailbox: an `Appended`, which gives the batches that are
there when it is handled. So a writer, however fast, fills no mailbox, and a slow actor finds more in each message.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import ActorDied, BlockingCall, CallTimeout, SegmentGone
from ..message import NOPROC
from . import current
from .cell import DEAD, Cell
from .future import Future

if TYPE_CHECKING:
    from ..memory import AppendStream, Follower
    from .ref import ActorRef
    from .scheduler import Kernel

MOST_AT_ONCE = 64
"""How many batches one message gives: the rest come in another, behind what waits in the mailbox meanwhile."""


class Appended:
    """A stream has grown. Iterate to have the batches; when you are done, or stop, the next message may come.

    `stream` is its name. An actor that never iterates gets no further message of it.
    """

    __slots__ = ("_subscription", "stream")

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self.stream = subscription.name

    def __repr__(self) -> str:
        return f"<actorlab.Appended to {self.stream!r}, next batch {self.position}>"

    @property
    def position(self) -> int:
        """The number of the next batch: where another incarnation would go on (`subscribe(…, from_=position)`)."""
        return self._subscription.follower.position

    @property
    def missed(self) -> int:
        """How many batches were dropped before they could be read."""
        return self._subscription.follower.missed

    @property
    def ended(self) -> bool:
        """Whether the stream was finished and all of it has been read: this is its last message."""
        return self._subscription.follower.ended

    def __iter__(self) -> Iterator[Any]:
        """Yield the record batches that are there, zero-copy. Never waits. Raises StreamGap as a follower does."""
        follower = self._subscription.follower
        try:
            for _ in range(MOST_AT_ONCE):
                batch = follower.take()
                if batch is None:
                    return
                yield batch
        finally:
            self._subscription.arm()

    def unsubscribe(self) -> None:
        """No more messages of this stream."""
        self._subscription.cancel()


class Subscription:
    """That one incarnation of an actor is told when a stream grows."""

    def __init__(self, kernel: Kernel, cell: Cell, name: str, follower: Follower) -> None:
        self.name, self.follower = name, follower
        self._kernel, self._cell, self._incarnation = kernel, cell, cell.incarnation
        self._forget: Any = None
        self._over = False
        self._armed = False  # since it was armed, no message has been sent

    def arm(self) -> None:
        """Have the next message sent when there is more than has been read. From whatever thread.

        Again before that message, it changes nothing: who iterates twice must not be told twice ever after.
        """
        if self._over:
            return
        if self.follower.ended:
            self.cancel()
            return
        if self._armed:
            return
        self._armed = True
        if self.follower.has_news():
            self._kernel.post(self._deliver)
        else:
            self._listen()

    def _listen(self) -> None:
        self._forget = self.follower.on_news(lambda: self._kernel.post(self._deliver))
        if self._over:  # cancelled meanwhile by another thread, which had nothing to forget
            self.cancel()

    def owes(self, kernel: Kernel) -> bool:
        """Whether there is more than the actor, one of `kernel`, has read or been told of. In the kernel's thread."""
        return kernel is self._kernel and self._armed and not self._over and self.follower.has_news()

    def _deliver(self) -> None:
        cell = self._cell
        self._armed = False
        if cell.phase == DEAD or cell.object is None or cell.incarnation != self._incarnation:
            self.cancel()
        elif not self._over:
            if not self.follower.has_news() and self.follower.is_gone():
                self.cancel()  # the whole stream was removed: nothing will come
                return
            self._kernel.lifecycle.inform(cell, Appended(self))

    def cancel(self) -> None:
        """Send nothing any more. Idempotent."""
        self._over = True
        forget, self._forget = self._forget, None
        if forget is not None:
            forget()
        of_actor = _subscriptions.get(self._cell.address)
        if of_actor is not None:
            with suppress(ValueError):  # two threads may cancel at once
                of_actor.remove(self)


_subscriptions: dict[int, list[Subscription]] = {}
"""By the address of the actor. Each kernel of this process has its own there, so it may change while one looks."""


def begin_following(kernel: Kernel, address: int, stream: AppendStream, from_: Any, gaps: Any) -> None:
    """Subscribe an actor of this kernel. Raises ActorDied, SegmentGone, SpecError."""
    cell = kernel.cells.get(address)
    if cell is None or cell.phase == DEAD:
        raise ActorDied(kernel.name_of(address), NOPROC, "never")
    subscription = Subscription(kernel, cell, stream.name, stream.follow(from_, gaps=gaps))
    _subscriptions.setdefault(address, []).append(subscription)
    subscription.arm()


def owes_news(kernel: Kernel) -> bool:
    """Whether a stream has grown and an actor of this kernel is still to be told. While none of them is at work."""
    return any(each.owes(kernel) for of_actor in list(_subscriptions.values()) for each in list(of_actor))


def end_following(address: int) -> None:
    """An actor of this process ended: nobody is to be told any more."""
    if _subscriptions:
        for subscription in _subscriptions.pop(address, ()):
            subscription.cancel()


def subscribe(stream: AppendStream, ref: ActorRef[Any], from_: Any, gaps: Any) -> None:
    """Subscribe an actor, wherever it lives; blocks or parks until its kernel has answered."""
    kernel = ref.runtime.kernels.get(ref.home)
    if kernel is not None and current.kernel_here() is kernel:
        begin_following(kernel, ref.address, stream, from_, gaps)
    else:
        ref.runtime.control(ref.home, "follow", ref.address, stream, from_, gaps).get(timeout=10)


def park_for_news(follower: Follower, timeout_s: float | None) -> bool | None:
    """Wait for a follower's stream to grow, where the calling thread is a kernel's; None: it is not, and may block."""
    kernel = current.kernel_here()
    if kernel is None:
        return None
    if not kernel.in_handler():
        raise BlockingCall("for batch in stream.follow()", "async for batch in stream.follow()")
    news: Future[bool] = Future(f"news of {follower.what}")
    forget = follower.on_news(lambda: news.reply(True))
    try:
        news.get(timeout=timeout_s)
    except CallTimeout:
        return False
    finally:
        forget()
    if follower.is_gone() and not follower.has_news():
        raise SegmentGone(follower.what, follower.folder)
    return True
