"""Router: one name for the members of a group; each message goes to one of them, to all, or to whoever is first.

Edge (sends); used by handlers and by threads, in any process: the choice is made where the message is sent, from the
group's roster in shared memory, so no message goes a longer way and no router can die. Members that join or leave are
seen by the next message. A member that has ended, or refuses at the door, is passed over as long as it is certain that
nothing was handled (`delivery == "never"`); whoever is the last to refuse is heard.
"""

from __future__ import annotations

from collections.abc import Callable
from random import random
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pykka

from ..actor import ActorRef, Future, gather
from ..errors import CallError, NothingFound, SpecError
from .choice import RULES, Ring, Rule, least_loaded

if TYPE_CHECKING:
    from ..node import Group

A = TypeVar("A", bound=pykka.Actor)


KEPT_KEYS = 10_000
"""How many keys' places a router remembers: finding one anew takes a microsecond."""


def _random(number: int) -> int:
    return int(random() * number)


class Router(Generic[A]):
    """Sends to the members of `group` by a rule: round_robin, least_loaded, consistent_hash (of a key) or random."""

    if TYPE_CHECKING:
        cast: A
        """`router.cast.method(…)`: one member gets it; no answer."""
        call: A
        """`router.call.method(…)`: one member gets it; wait for its answer."""

    def __init__(self, group: Group, by: Rule = "round_robin") -> None:
        """Route to a group (`node.group("searchers")`). Raises SpecError for a rule that is none."""
        if by not in RULES:
            raise SpecError("router.by", f"must be one of {', '.join(RULES)}, not {by!r}")
        self.group = group
        self.by = by
        self._roster: _Roster[A] = _Roster(-1, [], by)
        self._turn = -1

    @property
    def members(self) -> list[ActorRef[A]]:
        """The members as of now, in the order in which they joined."""
        return list(self._look().refs)

    def __len__(self) -> int:
        return len(self._look().refs)

    def _look(self) -> _Roster[A]:
        """Return the members, after a look whether some have come or gone. No message is sent."""
        roster = self._roster
        version = self.group.version
        if version != roster.version:
            roster = self._roster = _Roster(version, self.group.members(), self.by)
        return roster

    def _index(self, roster: _Roster[A], key: Any) -> int:
        number = len(roster.refs)
        if not number:
            raise NothingFound(f"a router to the group {self.group.name!r}", "its members: it has none; have some join")
        if roster.ring is not None:
            if key is None:
                raise ValueError("a router by consistent_hash needs a key: write router.at(key).cast.method(…)")
            place = roster.places.get(key)
            if place is None:
                place = roster.ring.at(key)
                if len(roster.places) >= KEPT_KEYS:
                    roster.places.clear()
                roster.places[key] = place
            return place
        if self.by == "random":
            return _random(number)
        self._turn = turn = self._turn + 1
        if self.by == "least_loaded":
            return least_loaded(roster.loads, number, turn, _random)
        return turn % number

    def at(self, key: Any = None) -> ActorRef[A]:
        """Return the member that the next message goes to (or that `key` belongs to): then send to it as you like.

        Raises NothingFound for a group without members, ValueError where a key is needed, TypeError for what is none.
        """
        roster = self._look()
        return roster.refs[self._index(roster, key)]

    def __getattr__(self, name: str) -> Any:
        # built when first used and then found by ordinary look-up
        if name == "cast":
            facade: Any = _Casts(self)
        elif name == "call":
            facade = _Calls(self)
        else:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self.__dict__[name] = facade
        return facade

    def request(self, method: str, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send a call to one member; the answer is a future."""
        return getattr(self.at().request, method)(*args, **kwargs)  # type: ignore[no-any-return]

    def tell(self, message: Any) -> None:
        """Send a plain message to one member."""
        self.sending("tell")(message)

    # -- to more than one --------------------------------------------------------------------------------------

    def broadcast(self, method: str, *args: Any, **kwargs: Any) -> int:
        """Cast to every member; return how many took it. One that has ended or refuses is passed over."""
        reached: int = self.group.send_each(lambda ref: getattr(ref.cast, method)(*args, **kwargs))
        return reached

    def ask_all(self, method: str, *args: Any, keep_errors: bool = False, **kwargs: Any) -> Future[list[Any]]:
        """Call every member; return a future of all answers, in the order of `members` (see `al.gather`)."""
        refs = self._look().refs
        return gather(*(getattr(ref.request, method)(*args, **kwargs) for ref in refs), keep_errors=keep_errors)

    def first(self, method: str, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call every member; return a future of the first answer. The others are taken back, if they have not begun.

        An error counts only when all have failed: then the last one's. The deadline is yours: `.get(timeout=…)`.
        """
        roster = self._look()
        self._index(roster, "" if roster.ring is not None else None)
        return First(method, [getattr(ref.request, method)(*args, **kwargs) for ref in roster.refs])

    # -- passing over who is not there ----------------------------------------------------------------------------

    def sending(self, how: str, name: str | None = None) -> Callable[..., Any]:
        """Return what sends to one member after another until one takes it: the way when the first one does not."""

        def send(*args: Any, **kwargs: Any) -> Any:
            roster = self._look()
            start = self._index(roster, None)
            number = len(roster.refs)
            for step in range(number):
                ref = roster.refs[(start + step) % number]
                try:
                    way = getattr(ref, how)
                    return (way if name is None else getattr(way, name))(*args, **kwargs)
                except CallError as error:
                    if error.delivery != "never" or step == number - 1:
                        raise
            raise AssertionError("a router without members")

        return send


class _Roster(Generic[A]):
    """The members as of one version of the group, and what is made of them.

    Replaced as a whole: threads share a router, and one that has chosen keeps to the members that it chose among.
    """

    __slots__ = ("_sends", "loads", "places", "refs", "ring", "version")

    def __init__(self, version: int, refs: list[ActorRef[A]], by: Rule) -> None:
        self.version = version
        self.refs = refs
        self.loads = [ref.runtime.table(ref.home).load_reader(ref.address) for ref in refs]
        self.ring = Ring([ref.address for ref in refs]) if by == "consistent_hash" else None
        self.places: dict[Any, int] = {}  # of keys that were asked for
        self._sends: dict[str, list[Callable[..., Any]]] = {}

    def senders(self, name: str) -> list[Callable[..., Any]]:
        """Return the members' `cast` methods of that name; kept until a member comes or goes."""
        sends = self._sends.get(name)
        if sends is None:
            sends = self._sends[name] = [getattr(ref.cast, name) for ref in self.refs]
        return sends


class _Casts:
    """`router.cast`: methods that send to one member and do not wait."""

    _router: Router[Any]

    def __init__(self, router: Router[Any]) -> None:
        self.__dict__["_router"] = router

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("_"):
            raise AttributeError(f"{name!r} is private: public methods can be called")
        router = self._router
        again = router.sending("cast", name)
        look, index = router._look, router._index
        if router.by == "round_robin":
            group, turn = router.group, -1
            known: tuple[int, list[Callable[..., Any]]] = (-1, [])

            def send(*args: Any, **kwargs: Any) -> None:
                nonlocal turn, known
                version, sends = known
                if group.version != version:
                    roster = look()
                    version, sends = known = roster.version, roster.senders(name)
                turn += 1
                try:
                    sends[turn % len(sends)](*args, **kwargs)
                except (CallError, ZeroDivisionError) as error:
                    if isinstance(error, CallError) and error.delivery != "never":
                        raise
                    again(*args, **kwargs)

        else:

            def send(*args: Any, **kwargs: Any) -> None:
                roster = look()
                try:
                    roster.senders(name)[index(roster, None)](*args, **kwargs)
                except CallError as error:
                    if error.delivery != "never":
                        raise
                    again(*args, **kwargs)

        self.__dict__[name] = send
        return send


class _Calls:
    """`router.call`: methods that send to one member and wait for its answer."""

    _router: Router[Any]

    def __init__(self, router: Router[Any]) -> None:
        self.__dict__["_router"] = router

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(f"{name!r} is private: public methods can be called")
        send = self._router.sending("call", name)
        self.__dict__[name] = send
        return send


class First(Future[Any]):
    """The first answer among several; an error when all have failed."""

    def __init__(self, method: str, futures: list[Future[Any]]) -> None:
        super().__init__(f"the first answer of {len(futures)} to {method}()")
        self._futures = futures
        self._left = len(futures)
        for future in futures:
            future.on_settled(lambda future=future: self._one(future))  # type: ignore[misc]

    def _one(self, future: Future[Any]) -> None:
        state, outcome = future.outcome()
        self._left -= 1
        if self.state or (state == 2 and self._left > 0):
            return
        if state == 2:
            self.fail(outcome)
        else:
            self.reply(outcome)
        self._take_back()

    def _take_back(self) -> None:
        for future in self._futures:
            if not future.state:
                future.cancel()

    def cancel(self) -> bool:
        """Give up: whatever has not begun is taken back."""
        given_up = not self.state and super().cancel()
        self._take_back()
        return given_up

    def let_go(self) -> None:
        """The task that awaited it was cancelled: all are taken back."""
        self.cancel()
