"""Team: a number of actors of one class, supervised, under one group's name, more or fewer at run time.

Edge (starts and stops actors through a supervisor); used by threads and plain handlers. (A *pool* is memory here.) Its
members are children of a `DynamicSupervisor` of the team's name: a member that crashes, or whose worker does, is
restarted in its place and stays a member. One that is let go leaves the group first, does what it was sent, and ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pykka

from ..actor import DEFAULT_MAILBOX, ActorRef, Mailbox, Placement
from ..errors import SpecError
from ..supervision import DynamicSupervisor, child
from .choice import Rule
from .router import Router

A = TypeVar("A", bound=pykka.Actor)

START_TIMEOUT_S = 30.0


class Team(Generic[A]):
    """`size` actors of one class, as a group."""

    def __init__(
        self,
        node: Any,
        actor: type[A],
        *args: Any,
        name: str,
        size: int,
        mailbox: Mailbox = DEFAULT_MAILBOX,
        place: Callable[[int], Placement] | None = None,
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        **kwargs: Any,
    ) -> None:
        """Start a team; blocks. `place` says where the n-th ever started member goes (in turn over the workers unless).

        Raises SpecError for a size below 0, NameTaken for a name that a live actor has, StartError if a member does not
        start: then nothing is left of it.
        """
        _check(size)
        self.name = name
        self.group = node.group(name)
        self._node = node
        self._actor, self._args, self._kwargs, self._mailbox = actor, args, kwargs, mailbox
        self._place = place
        self._started = 0
        self.supervisor: ActorRef[Any] = node.start(
            DynamicSupervisor(name, max_restarts=max_restarts, max_seconds=max_seconds)
        )
        try:
            self.resize(size)
        except BaseException:
            self.stop()
            raise

    def __len__(self) -> int:
        return len(self.group)

    @property
    def members(self) -> list[ActorRef[A]]:
        """The members as of now."""
        return self.group.members()  # type: ignore[no-any-return]

    def router(self, by: Rule = "round_robin") -> Router[A]:
        """Return a router to the members. Other processes have theirs by `al.Router(node.group(name))`."""
        return Router(self.group, by)

    def resize(self, size: int) -> None:
        """Have `size` members: start some, or let the last ones go when they have done what they were sent. Blocks."""
        _check(size)
        members = self.members
        if size < len(members):
            leaving = members[size:]
            self.group.leave(*leaving)
            for ref in leaving:
                ref.stop(block=False)
        elif size > len(members):
            specs = []
            for _ in range(size - len(members)):
                number = self._started
                self._started += 1
                place: Any = self._place(number) if self._place is not None else "any"
                specs.append(
                    child(self._actor, *self._args, name=f"{self.name}-{number}", restart="transient",
                          mailbox=self._mailbox, placement=place, **self._kwargs)
                )  # fmt: skip
            refs = self.supervisor.within(START_TIMEOUT_S).call.start_children(specs)
            self.group.join(*[ref for ref in refs if ref is not None])

    def stop(self) -> None:
        """End all members and the team. Blocks."""
        self.supervisor.stop()


def _check(size: int) -> None:
    if type(size) is not int or size < 0:
        raise SpecError("team.size", f"must be a whole number of members, not {size!r}")
