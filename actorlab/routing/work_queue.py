"""WorkQueue: tasks for the members of a group, each given out until one member has answered for it.

Actor (reentrant); spawned or supervised by whoever has tasks. At least once, by acknowledgement: the answer, or the
exception, of the method *is* the acknowledgement. A task whose member died, or whose worker did, is given to another,
up to `attempts` times, so its method may run more than once: it should not mind. What the queue was given and has not
begun waits in its mailbox and in it; if the queue itself dies, whoever gave it tasks is told (`ActorDied`).
"""

from __future__ import annotations

from collections import deque
from typing import Any

from ..actor import Actor, ActorRef, Future
from ..errors import ActorDied, MailboxFull, SpecError
from ..message import Joined, Left


class WorkQueue(Actor):
    """`queue.request.do("method", *args)`: some member does it; the future is its answer."""

    reentrant = True
    reply_errors = (Exception,)

    def __init__(self, group: str, *, per_member: int = 1, attempts: int = 5) -> None:
        """Give tasks to the members of `group`, at most `per_member` at a time to each."""
        for name, value in (("per_member", per_member), ("attempts", attempts)):
            if type(value) is not int or value < 1:
                raise SpecError(f"work_queue.{name}", f"must be a whole number from 1, not {value!r}")
        self._name = group
        self._per_member = per_member
        self._attempts = attempts
        self._busy: dict[ActorRef[Any], int] = {}
        self._waiting: deque[Future[ActorRef[Any]]] = deque()
        self._done = self._given_again = 0

    def on_start(self) -> None:
        self._group = self.node.group(self._name)
        self.node.listen(self.ref, self._name)

    def on_receive(self, message: Any) -> None:
        if isinstance(message, (Joined, Left)):
            self._hand_out()  # a new member has its hands free

    async def do(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Have some member do it; return its answer or raise its exception.

        Raises ActorDied when `attempts` members died of it. What the method raises is its answer, an ActorDied of a
        third actor too: it is not run again for that.
        """
        for attempt in range(1, self._attempts + 1):
            member = await self._free_member()
            try:
                answer = await getattr(member.request, method)(*args, **kwargs)
            except (ActorDied, MailboxFull) as error:
                if error.delivery == "handled" or attempt == self._attempts:
                    raise  # "handled": the method met with it, at a third actor's; the member answered
                self._given_again += 1
            else:
                self._done += 1
                return answer
            finally:
                self._free(member)
        raise AssertionError("no attempt was made")

    def statistics(self) -> dict[str, int]:
        """Return how many tasks are done, under way, waiting for a member, and were given out again."""
        return {
            "done": self._done,
            "under_way": sum(self._busy.values()),
            "waiting": len(self._waiting),
            "given_again": self._given_again,
        }

    async def _free_member(self) -> ActorRef[Any]:
        """Wait until a member has its hands free, and take one of them."""
        member = self._take()
        if member is not None:
            return member
        gate: Future[ActorRef[Any]] = Future("a member with its hands free")
        self._waiting.append(gate)
        try:
            return await gate
        except BaseException:
            # given up: a hand that has been given to it meanwhile is the next one's
            if gate.state:
                self._free(gate.get(timeout=0))
            else:
                self._waiting.remove(gate)
            raise

    def _take(self) -> ActorRef[Any] | None:
        """Take a hand of the member that has most of them free; None if nobody has any."""
        least = self._per_member
        chosen: ActorRef[Any] | None = None
        for ref in self._group.members():
            busy = self._busy.get(ref, 0)
            if busy < least and ref.is_alive():
                least, chosen = busy, ref
        if chosen is not None:
            self._busy[chosen] = least + 1
        return chosen

    def _free(self, member: ActorRef[Any]) -> None:
        left = self._busy[member] - 1
        if left:
            self._busy[member] = left
        else:
            del self._busy[member]
        self._hand_out()

    def _hand_out(self) -> None:
        """Give whoever waits, the first first, what hands are free: a member that joins may have several."""
        while self._waiting:
            member = self._take()
            if member is None:
                return
            self._waiting.popleft().reply(member)
