"""Lazy: a value that is expensive to build, built once in each process that asks for it and shared by its actors.

Edge (a thread a build; process-wide registers); what users call `al.lazy`. An index over the shared context, a compiled
model: whatever cannot lie in shared memory itself. Guarantees, in each process:

- Of all who ask for one key, one starts the build, and all wait as the place they ask from needs: a handler parks, an
  async handler awaits, a thread blocks. The build has a thread of its own: the kernel goes on with other actors.
- A build that raises, raises for all who waited for it. Nothing of it is kept: who asks next tries again.
- Keys do not wait for each other, and a build that needs itself, by whatever way, is refused (RecursionError).
- The value lives as long as somebody has it: a `Lazy` that got it, until it goes, is released, or the actor that got it
  ends; or, where Python can tell (it can be weakly referenced), whoever keeps the value itself.

Not guaranteed: that a build is interrupted when nobody waits for it any more.
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Generator, Hashable
from typing import Any, Generic, ParamSpec, TypeVar, cast

from ..errors import BlockingCall
from ..lean_dataclass import dataclass
from . import current
from .cell import DEAD
from .future import PENDING, VALUE, Future

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class LazyRow:
    """One value of this process, as whoever accounts for memory sees it."""

    what: str
    built: bool
    """False: the build is under way."""
    seconds: float
    """What the build took, or has taken so far."""
    holders: int
    """How many `Lazy` objects have got it; who keeps only the value is not seen."""
    actors: tuple[str, ...]
    """The names of the actors that got it with them."""


class _Slot:
    """A value of one key, being built or built. Whoever waits or holds a lease keeps it; it keeps the value."""

    __slots__ = ("__weakref__", "began", "future", "leases", "needs", "seconds", "what")

    def __init__(self, what: str) -> None:
        self.what = what
        self.future: Future[Any] = Future(what)
        self.leases: weakref.WeakSet[_Lease] = weakref.WeakSet()
        self.began = time.monotonic()
        self.seconds = 0.0
        self.needs: _Slot | None = None  # what its build waits for


class _Lease:
    """That a `Lazy` has got the value; without a slot it has let go."""

    __slots__ = ("__weakref__", "actor", "slot")

    def __init__(self, slot: _Slot, actor: str) -> None:
        self.slot: _Slot | None = slot
        self.actor = actor  # its name, "": no actor


class _Registers:
    """What this process has built. Values go by themselves, with the last who has them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # the last reference to a value may go while it is held
        self.building: dict[int, _Slot] = {}  # by thread
        self.slots: weakref.WeakValueDictionary[Hashable, _Slot] = weakref.WeakValueDictionary()
        self.values: weakref.WeakValueDictionary[Hashable, Any] = weakref.WeakValueDictionary()
        self.by_actor: dict[int, weakref.WeakSet[_Lease]] = {}
        self.watches_forks = False

    def forked(self) -> None:
        """In a forked child: the threads that build are the parent's, and so is whoever held the lock."""
        self.lock = threading.RLock()
        self.building.clear()
        for key, slot in list(self.slots.items()):
            if not slot.future.state:
                self.slots.pop(key, None)


_here = _Registers()


class Lazy(Generic[T]):
    """A recipe that any process of the node can carry out; small, picklable, hashable, equal by its key.

    It holds nothing until `get` or `await` got the value. Its key is the function's name and its arguments.
    """

    __slots__ = ("_args", "_build", "_key", "_kwargs", "_lease", "_name")

    def __init__(
        self,
        build: Callable[..., T],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        name: Hashable = None,
    ) -> None:
        self._build, self._args, self._kwargs, self._name = build, args, kwargs or {}, name
        self._lease: _Lease | None = None
        self._key: Hashable = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Lazy, (self._build, self._args, self._kwargs, self._name)

    def __repr__(self) -> str:
        return f"<actorlab.Lazy {self.what}: {'built' if self.is_built else 'not built here'}>"

    def __eq__(self, other: object) -> bool:
        return self.key == other.key if isinstance(other, Lazy) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key)

    def named(self, key: Hashable) -> Lazy[T]:
        """Return the same recipe under a key of your own: for functions without a name, and unhashable arguments."""
        return Lazy(self._build, self._args, self._kwargs, key)

    @property
    def key(self) -> Hashable:
        """What makes two recipes one. Raises TypeError when the function has no name or an argument has no hash."""
        if self._key is None:
            key = _key_of(self._build, self._args, self._kwargs) if self._name is None else ("named", self._name)
            hash(key)
            self._key = key
        return self._key

    @property
    def what(self) -> str:
        """How messages to people call it."""
        if self._name is not None:
            return f"lazy {self._name!r}"
        return f"lazy {getattr(self._build, '__qualname__', repr(self._build))}"

    @property
    def is_built(self) -> bool:
        """Whether this process has the value, whoever built it."""
        with _here.lock:
            slot = _here.slots.get(self.key)
            return (slot is not None and slot.future.state == VALUE) or self.key in _here.values

    def get(self, timeout_s: float | None = None) -> T:
        """Return the value of this process, building it if nobody has.

        Parks a handler, blocks a thread; in an async handler write `await lazy` (BlockingCall). Raises what the build
        raised, and CallTimeout after `timeout_s` (None: waits without end); then the build goes on for who asks next.
        """
        lease = self._lease
        if lease is not None:
            slot = lease.slot
            if slot is not None:
                return cast("T", slot.future.outcome()[1])
        kernel = current.kernel_here()
        if kernel is not None and not kernel.in_handler() and not self.is_built:
            raise BlockingCall("lazy.get()", "await lazy")
        slot = self._slot()
        if kernel is None and (builder := _here.building.get(threading.get_ident())) is not None:
            return self._hold(slot, _get_for_build(builder, slot, timeout_s))
        return self._hold(slot, slot.future.get(timeout=timeout_s))

    def __await__(self) -> Generator[Any, Any, T]:
        """Wait for the value without blocking the event loop; see `get`."""
        lease = self._lease
        slot = lease.slot if lease is not None else None
        if slot is None:
            slot = self._slot()
            yield from slot.future.__await__()
        return self._hold(slot, slot.future.get(timeout=0))

    def release(self) -> None:
        """Let go of the value: it goes, unless others have it. The next `get` gets it again."""
        self._lease = None

    def _slot(self) -> _Slot:
        key = self.key
        with _here.lock:
            slot = _here.slots.get(key)
            if slot is not None:
                return slot
            if not _here.watches_forks:
                _here.watches_forks = True
                os.register_at_fork(after_in_child=_here.forked)
            slot = _here.slots[key] = _Slot(self.what)
            value = _here.values.get(key)
            if value is not None:  # everybody let go of the recipe, somebody kept the value
                slot.future.reply(value)
                return slot
        work = [(slot, key, self._build, self._args, self._kwargs)]
        try:
            threading.Thread(target=_run, args=(work,), name="actorlab lazy", daemon=True).start()
        except BaseException as error:
            _fail(slot, key, error)
            raise
        return slot

    def _hold(self, slot: _Slot, value: T) -> T:
        if self._lease is not None and self._lease.slot is slot:
            return value
        cell = current.cell_here()
        if cell is not None and cell.phase == DEAD:
            cell = None  # killed meanwhile
        lease = _Lease(slot, cell.name if cell is not None else "")
        with _here.lock:
            slot.leases.add(lease)
            if cell is not None:
                _here.by_actor.setdefault(cell.address, weakref.WeakSet()).add(lease)
        self._lease = lease
        return value


def lazy(build: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Lazy[T]:
    """Return `build(*args, **kwargs)` as something to be had when needed: once a process, shared by its actors.

        self.index = al.lazy(build_index, handle)      # nothing is built yet
        self.index.get().find(word)                    # the first in this worker builds, all others share it

    Keep the Lazy, and not only what it gives: the value lives as long as somebody keeps a Lazy that got it.
    """
    return Lazy(build, args, kwargs)


def let_go(address: int) -> None:
    """An actor of this process ended: it holds nothing any more, even if its object is part of a cycle."""
    if _here.by_actor:
        leases = _here.by_actor.pop(address, None)
        if leases is not None:
            for lease in list(leases):
                lease.slot = None


def lazy_rows() -> list[LazyRow]:
    """Return what this process has built or is building, and who holds it."""
    rows = []
    with _here.lock:
        for slot in list(_here.slots.values()):
            leases = [lease for lease in slot.leases if lease.slot is slot]
            built = slot.future.state != PENDING
            seconds = slot.seconds if built else time.monotonic() - slot.began
            actors = tuple(sorted(lease.actor for lease in leases if lease.actor))
            rows.append(LazyRow(slot.what, built, seconds, len(leases), actors))
    return sorted(rows, key=lambda row: row.what)


def _get_for_build(builder: _Slot, slot: _Slot, timeout_s: float | None) -> Any:
    """Wait for one value to build another. Raises RecursionError when that one waits for ours."""
    with _here.lock:
        needed: _Slot | None = slot
        while needed is not None:
            if needed is builder:
                raise RecursionError(f"{builder.what} needs {slot.what}, which needs it: neither can be built first")
            needed = needed.needs
        builder.needs = slot
    try:
        return slot.future.get(timeout=timeout_s)
    finally:
        builder.needs = None


def _run(work: list[Any]) -> None:
    """Build, in a thread of its own, and tell all who wait. Takes its work out of `work`, so as to keep nothing."""
    had_arrow = "pyarrow" in sys.modules
    _carry_out(*work.pop())
    if not had_arrow and "pyarrow" in sys.modules:
        threading.Event().wait()  # Arrow's allocator breaks when the thread that first loaded it ends


def _carry_out(slot: _Slot, key: Hashable, build: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> None:
    _here.building[threading.get_ident()] = slot
    error: BaseException | None = None
    try:
        value = build(*args, **kwargs)
    except BaseException as raised:
        error = raised
    _here.building.pop(threading.get_ident(), None)
    slot.seconds = time.monotonic() - slot.began
    if error is not None:
        _fail(slot, key, error)
        del error  # or it and this frame keep each other, and all that the build had in hand
        return
    try:
        _here.values[key] = value
    except TypeError:
        pass  # cannot be weakly referenced: only leases keep it
    slot.future.reply(value)


def _fail(slot: _Slot, key: Hashable, error: BaseException) -> None:
    with _here.lock:
        if _here.slots.get(key) is slot:
            del _here.slots[key]  # before it is heard of: who asks from now on tries again
    slot.future.fail(error)


def _key_of(build: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
    name = getattr(build, "__qualname__", None)
    owner = getattr(build, "__self__", None)
    if name is None or "<" in name or not (owner is None or inspect.isclass(owner) or inspect.ismodule(owner)):
        raise TypeError(f"{build!r} has no name that all processes know: al.lazy(…).named(key) gives it one")
    named = tuple(sorted(kwargs.items()))
    key = (build.__module__, name, args, named, tuple(map(type, args)), tuple(type(value) for _, value in named))
    try:
        hash(key)
    except TypeError as error:
        raise TypeError(f"{name} has an argument without a hash ({error}): al.lazy(…).named(key)") from None
    return key
