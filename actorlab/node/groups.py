"""Groups and topics as code inside a node uses them: joined and left by message, read from shared memory.

Edge (it sends through its process's runtime). After Erlang's `pg` and Phoenix's PubSub. A membership belongs to the
actor's place, as its names do: it is kept when the actor or its worker crashes and is restarted, and goes when the
actor ends for good. Reading sends no message and sees every change that was answered before.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..actor import ActorRef
from ..errors import ActorDied, CallError, StartError
from ..message import Joined, Left, Published, Registered, Unregistered
from ..registry import Kind, NameChange, listeners_key, membership_key, pack_metadata

if TYPE_CHECKING:
    from .runtime import ProcessRuntime

PATIENCE_S = 30.0


class Roster:
    """The members of one key; what groups and topics share."""

    kind: Kind = "l"

    def __init__(self, runtime: ProcessRuntime, name: Any) -> None:
        """Look at the roster `name`; it needs no making, and is gone with its last member. Raises InvalidName."""
        self.name = runtime.names.check(name)
        self._runtime = runtime
        self._key = membership_key(self.kind, self.name)
        self._refs: list[ActorRef[Any]] = []
        self._version = 0

    def add(self, refs: tuple[ActorRef[Any], ...], metadata: Mapping[str, Any] | None) -> int:
        """Make actors members and return how many were none before; blocks or parks.

        Raises ActorDied if one of them has ended, InvalidMetadata, SharedMemoryFull; then none has joined. One that
        ends meanwhile is no member.
        """
        runtime = self._runtime
        for ref in refs:
            if not ref.is_alive():
                raise ActorDied(str(ref), "noproc", "never")
        packed = pack_metadata(metadata)
        addresses = [ref.address for ref in refs]
        new: int = runtime.names.join(self._key, [(address, packed) for address in addresses])
        gone = have_freed(runtime, addresses)
        if gone:  # they ended before their kernels knew that there was something to free
            runtime.names.leave(self._key, gone)
        return new

    def remove(self, refs: tuple[ActorRef[Any], ...]) -> int:
        """Take actors off and return how many of them were members; blocks or parks."""
        left: int = self._runtime.names.leave(self._key, [ref.address for ref in refs])
        return left

    @property
    def version(self) -> int:
        """A number that is another one after every change; 0 while there are no members. No message is sent."""
        version: int = self._runtime.names.memberships().version(self._key)
        return version

    def members(self, *, local: bool = False) -> list[ActorRef[Any]]:
        """Return the members in the order in which they joined (`local`: those in this process). No message is sent."""
        memberships = self._runtime.names.memberships()
        version = memberships.version(self._key)
        if version != self._version:
            self._refs = [self._runtime.ref(address) for address in memberships.addresses(self._key)]
            self._version = version
        elif not version:
            return []
        return [ref for ref in self._refs if ref.home in self._runtime.kernels] if local else list(self._refs)

    def __len__(self) -> int:
        return len(self._runtime.names.memberships().members(self._key))

    def __contains__(self, ref: ActorRef[Any]) -> bool:
        return ref.address in self._runtime.names.memberships().members(self._key)

    def __iter__(self) -> Iterator[ActorRef[Any]]:
        return iter(self.members())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {len(self)} members>"

    def send_each(self, send: Callable[[ActorRef[Any]], object], skip: ActorRef[Any] | None = None) -> int:
        """Do `send` for each member; return for how many it succeeded. One that has ended or refuses is passed over."""
        reached = 0
        for ref in self.members():
            if ref == skip:
                continue
            try:
                send(ref)
                reached += 1
            except CallError as error:
                if error.delivery != "never":
                    raise
        return reached


class Group(Roster):
    """A process group: many actors under one key, each with metadata of its own."""

    kind: Kind = "g"

    def join(self, *refs: ActorRef[Any], metadata: Mapping[str, Any] | None = None) -> int:
        """Make actors members, all of them or none; return how many were none before. Again, it replaces metadata.

        Blocks or parks. Raises ActorDied if one of them has ended, InvalidMetadata, SharedMemoryFull.
        """
        return self.add(refs, metadata)

    def leave(self, *refs: ActorRef[Any]) -> int:
        """Take actors off; return how many of them were members."""
        return self.remove(refs)

    def entries(self) -> list[tuple[ActorRef[Any], dict[str, Any]]]:
        """Return each member with its metadata. No message is sent."""
        members = self._runtime.names.memberships().members(self._key)
        return [
            (self._runtime.ref(address), pickle.loads(packed) if packed else {})
            for address, packed in list(members.items())
        ]

    @property
    def cast(self) -> Dispatch:
        """`group.cast.method(…)` sends to every member and returns how many took it."""
        return Dispatch(self)

    def tell(self, message: Any) -> int:
        """Send a message to every member's `on_receive`; return how many took it."""
        return self.send_each(lambda ref: ref.tell(message))


class Listeners(Roster):
    """Those who hear of the changes of a group, or of all names."""

    def __init__(self, runtime: ProcessRuntime, group: Any) -> None:
        """Look at the listeners to `group`, or to the names if it is None. Raises InvalidName."""
        super().__init__(runtime, group or "names")
        self._key = listeners_key(None if group is None else self.name)


class Dispatch:
    """`cast` to a whole group."""

    __slots__ = ("_group",)

    def __init__(self, group: Group) -> None:
        self._group = group

    def __getattr__(self, method: str) -> Callable[..., int]:
        if method.startswith("_"):
            raise AttributeError(method)
        group = self._group

        def send(*args: Any, **kwargs: Any) -> int:
            return group.send_each(lambda ref: getattr(ref.cast, method)(*args, **kwargs))

        return send


class Topic(Roster):
    """Publish and subscribe: subscribers get `al.Published(topic, message)` in `on_receive`."""

    kind: Kind = "t"

    def subscribe(self, *refs: ActorRef[Any]) -> int:
        """Make actors subscribers, all of them or none; return how many were none before. Blocks or parks."""
        return self.add(refs, None)

    def unsubscribe(self, *refs: ActorRef[Any]) -> int:
        """Take actors off; return how many of them were subscribers."""
        return self.remove(refs)

    def publish(self, message: Any, *, skip: ActorRef[Any] | None = None) -> int:
        """Send to every subscriber (but `skip`); return how many took it.

        At most once each, in the order of this sender's publications. A full mailbox does what its policy says: one
        that blocks holds up the publisher, one that rejects does not get the message.
        """
        published = Published(self.name, message)
        return self.send_each(lambda ref: ref.tell(published), skip)


def have_freed(runtime: ProcessRuntime, addresses: list[int]) -> list[int]:
    """Have the actors' kernels know that there is something to free when they end; return those who have ended.

    Blocks or parks; one question to each kernel, however many, and none for those whose kernel knows already.
    """
    by_home: dict[int, list[int]] = {}
    for address in addresses:
        if runtime.table(address >> 56).will_free(address):
            continue
        by_home.setdefault(address >> 56, []).append(address)
    asked = [(runtime.control(home, "held", those), those) for home, those in by_home.items()]
    gone: list[int] = []
    for answer, those in asked:
        try:
            gone += answer.get(timeout=10)
        except StartError:  # its worker has just died: supervised actors keep what they have
            gone += [address for address in those if not runtime.is_alive(address)]
    return gone


def announce(runtime: ProcessRuntime, listeners: list[int], change: NameChange) -> None:
    """Send each listener what it is to hear of a change of the registry. In the controller's kernel."""
    what, name, address, packed = change
    ref = runtime.ref(address)
    metadata: dict[str, Any] = pickle.loads(packed) if packed else {}
    heard: Registered | Unregistered | Joined | Left
    if what == "registered":
        heard = Registered(name, ref, metadata)
    elif what == "unregistered":
        heard = Unregistered(name, ref)
    elif what == "joined":
        heard = Joined(name, ref, metadata)
    else:
        heard = Left(name, ref)
    for listener in listeners:
        try:
            runtime.ref(listener).tell(heard)
        except CallError:
            pass  # it has ended, or takes no more: its mailbox's policy says which it wants to miss
