"""Packing: an actor between two messages as plain data, and that data as the same actor in another process.

Edge (runs an actor's own `restore`, and pickles what users made); used by a worker that hands over its actors. What
moves: the state, the queue in order (what lies in a lane stays there, and goes by its record), the door's,
links, monitors, timers, the name, the books. What cannot move is what belongs to a process: threads, tasks, locks,
files, futures, and questions from this very process that wait for their answer.

A class with `snapshot` and `restore` moves by them, built anew with the arguments it was started with; any other by its
attributes, without `__init__`. `on_start` is not run again: the actor is not started, it goes on.
"""

from __future__ import annotations

import io
import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterable
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import NotMovable
from ..transport import MAIN
from . import pykka_actor, snapshot
from .behaviour import Behaviour, Unknown, behaviour_at
from .cell import HELD, IDLE, READY, Cell
from .envelope import CAST, INFO, LAST_KIND, STOP, TELL, is_unbounded
from .idle import set_receive_timeout
from .keeping import Snapshots, given_rule, keep_on
from .lifecycle import behaviour_of
from .mailbox import Mailbox
from .threads import BlockingThread
from .timers import Chore, Timer

if TYPE_CHECKING:
    from .scheduler import Kernel

_CELL = "_actorlab_cell"
_MOVES = (TELL, CAST, INFO)
"""Kinds of messages from this process that can be handled in another just as well."""

BUILD_S = 10.0
PLAIN, NAMED = b"\0", b"\1"
"""The first byte of what is packed: whether it speaks of its actor, timers, node or pools by name."""

Item = Any
"""One that waits: a lane's record as it is, or the pickle (bytes) of one that came by reference."""


class PackedTimer(NamedTuple):
    """`at` is a time of the machine's monotonic clock, so it means the same in the next process."""

    at: float
    message: bytes
    interval_s: float | None


class PackedActor(NamedTuple):
    """All there is of one actor. `state` None: it has none, and waits for its supervisor's verdict (a husk)."""

    address: int
    cls: bytes
    path: str
    bounds: Mailbox
    parent: int
    incarnation: int
    handled: int
    state: bytes | None
    by_snapshot: bool
    mailbox: list[Item]
    door: list[Item]
    timers: list[PackedTimer]
    idle_s: float | None
    name: str | None
    links: dict[int, int] | None
    monitors: dict[int, int] | None
    watching: dict[int, int] | None
    trap_exit: bool
    snapshots: Snapshots | None


class _Packer:
    """Pickles what belongs to one actor: itself, its timers and its node go by name."""

    def __init__(self, cell: Cell) -> None:
        self._me = cell.object
        self._runtime = cell.kernel.runtime
        self._node = self._runtime.node
        self._pools = {id(pool): name for name, pool in getattr(self._runtime, "pools", {}).items()}
        timers = cell.extra.timers if cell.extra is not None else None
        moving = [timer for timer in timers or () if timer.live and not isinstance(timer.message, Chore)]
        self.timers: list[Timer] = sorted(moving, key=lambda timer: timer.at)

    def name(self, obj: Any) -> Any:
        """Return what stands for an object in the pickle, None if it does so itself."""
        if obj is self._me and obj is not None:
            return ("me",)
        kind = obj.__class__
        if kind is Timer:
            return ("timer", self.timers.index(obj) if obj in self.timers else -1)
        if obj is self._node:
            return ("node",)
        if obj is self._runtime:
            return ("runtime",)
        if id(obj) in self._pools:
            return ("pool", self._pools[id(obj)])
        return None

    def dumps(self, obj: Any) -> bytes:
        """Pickle `obj`: plainly if that does, then with names for what belongs to it, at last by value."""
        try:
            data = pickle.dumps(obj, 5)
            if MAIN not in data:
                return PLAIN + data
        except (RecursionError, MemoryError):
            raise
        except Exception:
            pass  # a timer or itself, perhaps: these have names
        file = io.BytesIO()
        try:
            _Pickler(file, self.name).dump(obj)
            if MAIN not in file.getvalue():
                return NAMED + file.getvalue()
        except Exception as error:
            first: Exception | None = error
        else:
            first = None
        try:
            return NAMED + _by_value(obj, self.name)
        except Exception as error:
            raise (first or error) from None


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, name: Callable[[Any], Any]) -> None:
        super().__init__(file, 5)
        self._name = name

    def persistent_id(self, obj: Any) -> Any:
        return self._name(obj)


def _by_value(obj: Any, name: Callable[[Any], Any]) -> bytes:
    import cloudpickle  # 20 ms, and most programs never need it

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def persistent_id(self, obj: Any) -> Any:
            return name(obj)

    file = io.BytesIO()
    Pickler(file, protocol=5).dump(obj)
    return file.getvalue()


def pack(cell: Cell, classes: dict[str, bytes], state: snapshot.State | None = None) -> PackedActor:
    """Return an actor as data; `state` is what its `snapshot` returned, if its class has one.

    `classes` are those that were packed already, by path; it is added to.

    In the kernel's thread, between two of its messages, so that nothing of it changes meanwhile. Raises NotMovable,
    which says what of it cannot move; nothing has happened then.
    """
    extra = cell.extra
    if state is not None and iscoroutinefunction(cell.behaviour.cls.restore):
        raise NotMovable(cell.name, "its restore() is async, and nobody waits while a worker is handed over")
    special = extra.special if extra is not None else None
    if special is not None and (why := special.stays()):
        raise NotMovable(cell.name, why)
    packer = _Packer(cell)
    try:
        what = "its class"
        cls = classes.get(cell.behaviour.path)
        if cls is None:
            cls = classes[cell.behaviour.path] = packer.dumps(cell.behaviour.cls)
        what = "its state"
        data: bytes | None = None
        if cell.object is not None:
            data = packer.dumps((_born(cell), state.value) if state is not None else _attributes(cell.object))
        what = "a message that waits"
        mailbox = _items(packer, cell.mailbox)
        door = _items(packer, (envelope for envelope, _ in (extra.waiting if extra is not None else None) or ()))
        what = "a timer's message"
        timers = [
            PackedTimer(timer.at, packer.dumps(timer.message), timer.interval_s)
            for timer in packer.timers
        ]
    except NotMovable:
        raise
    except Exception as error:
        raise NotMovable(cell.name, f"{what} cannot be pickled: {type(error).__name__}: {error}") from error
    return PackedActor(
        cell.address, cls, cell.behaviour.path, cell.bounds, cell.parent, cell.incarnation, cell.handled, data,
        state is not None, mailbox, door, timers,
        special.idle.after_s if special is not None and special.idle is not None else None,
        extra.name if extra is not None else None,
        extra.links if extra is not None else None,
        extra.monitors if extra is not None else None,
        extra.watching if extra is not None else None,
        extra.trap_exit if extra is not None else False,
        given_rule(cell),
    )  # fmt: skip


def _attributes(actor: Any) -> Any:
    """Return what pickle would keep of an object: its attributes, or what its own `__getstate__` returns."""
    state = actor.__reduce_ex__(2)[2]
    if isinstance(state, dict):
        state = {name: value for name, value in state.items() if name != _CELL}
    elif isinstance(state, tuple) and len(state) == 2 and isinstance(state[0], dict):
        state = ({name: value for name, value in state[0].items() if name != _CELL}, state[1])
    return state


def _born(cell: Cell) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments an actor was started with."""
    extra = cell.extra
    return extra.born if extra is not None and extra.born is not None else ((), {})


def _items(packer: _Packer, envelopes: Iterable[Any]) -> list[Item]:
    return [envelope if envelope[0] > LAST_KIND else packer.dumps(_movable(envelope)) for envelope in envelopes]


def _movable(envelope: Any) -> Any:
    kind = envelope[0]
    if kind not in _MOVES and not (kind == STOP and envelope[2] is None):
        raise NotMovable("an actor", "somebody in its own worker waits for what it was asked")
    return envelope


def is_movable(envelope: Any) -> bool:
    """Whether a message that waits can be handled in another process as well: nobody here waits for it."""
    kind = envelope[0]
    return kind > LAST_KIND or kind in _MOVES or (kind == STOP and envelope[2] is None)


def _loads(data: bytes, cell: Cell, timers: list[Timer]) -> Any:
    """Return what was packed; most of it speaks of nothing that has to be found here."""
    body = memoryview(data)[1:]
    return pickle.loads(body) if data[:1] == PLAIN else _Unpickler(body, cell, timers).load()


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: memoryview, cell: Cell, timers: list[Timer]) -> None:
        super().__init__(io.BytesIO(data))
        self._cell = cell
        self._timers = timers

    def persistent_load(self, pid: Any) -> Any:
        runtime = self._cell.kernel.runtime
        match pid:
            case ("me",):
                return self._cell.object
            case ("timer", -1):
                timer = Timer(0.0, self._cell, None, None)
                timer.live = False
                return timer
            case ("timer", number):
                return self._timers[number]
            case ("node",):
                return runtime.node
            case ("runtime",):
                return runtime
            case ("pool", name):
                return runtime.node.pool(name)
        raise pickle.UnpicklingError(f"unknown {pid!r}")


def unpack(kernel: Kernel, word: int, packed: PackedActor, classes: dict[bytes, Behaviour]) -> Cell:
    """Make the actor that `packed` says, in its place; it is READY with its queue, and in no run queue yet.

    In the kernel's thread; `classes` are those known already, and is added to. Raises NotMovable when the state cannot
    be had here; then its cell is without an object, HELD, and has queue and ties all the same.
    """
    behaviour = classes.get(packed.cls) or _behaviour(packed, classes)
    cell = Cell(kernel, packed.address, word, behaviour, packed.bounds)
    cell.parent, cell.incarnation, cell.handled = packed.parent, packed.incarnation, packed.handled
    kernel.cells[packed.address] = cell
    if packed.name or packed.links or packed.monitors or packed.watching or packed.trap_exit:
        extra = cell.more()
        extra.name, extra.trap_exit = packed.name, packed.trap_exit
        extra.links, extra.monitors, extra.watching = packed.links, packed.monitors, packed.watching
        if packed.links or packed.watching:
            kernel.signals.social.add(cell)
    now = kernel.timers.now()
    set_timer = kernel.lifecycle.set_timer
    timers = [set_timer(cell, max(0.0, timer.at - now), None, timer.interval_s) for timer in packed.timers]
    try:
        if packed.state is not None:
            _build(cell, packed, timers)
        for timer, kept in zip(timers, packed.timers, strict=True):
            timer.message = _loads(kept.message, cell, timers)
    except Exception as error:
        cell.object = None
        _queue(cell, packed, timers)
        raise NotMovable(cell.name, f"it cannot be built here: {type(error).__name__}: {error}") from error
    _queue(cell, packed, timers)
    if packed.idle_s is not None:
        set_receive_timeout(cell, packed.idle_s)
    keep_on(cell, packed.snapshots)
    cell.phase = READY if cell.object is not None else HELD
    return cell


def _behaviour(packed: PackedActor, classes: dict[bytes, Behaviour]) -> Behaviour:
    cls = pickle.loads(memoryview(packed.cls)[1:])
    if cls is Unknown:
        return behaviour_at(packed.path)
    behaviour = classes[packed.cls] = behaviour_of(cls)
    return behaviour


def _build(cell: Cell, packed: PackedActor, timers: list[Timer]) -> None:
    assert packed.state is not None
    if packed.by_snapshot:
        (args, kwargs), value = _loads(packed.state, cell, timers)
        if cell.behaviour.blocking:
            _in_its_thread(cell, lambda: _build_anew(cell, args, kwargs, value))
        else:
            _build_anew(cell, args, kwargs, value)
        return
    obj = pykka_actor.make(cell, cell.behaviour.cls, (), {})  # before its state, which may speak of it
    state = _loads(packed.state, cell, timers)
    if hasattr(obj, "__setstate__"):
        obj.__setstate__(state)
        return
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    if attributes:
        obj.__dict__.update(attributes)
    for name, value in (slots or {}).items():
        if name != _CELL:
            setattr(obj, name, value)


def _build_anew(cell: Cell, args: Any, kwargs: Any, state: Any) -> None:
    obj = pykka_actor.make(cell, cell.behaviour.cls, args, kwargs)
    obj.__init__(*args, **kwargs)
    obj.restore(state)


def _in_its_thread(cell: Cell, build: Callable[[], None]) -> None:
    """Have a blocking actor built in the thread that is its own, and wait for it."""
    done = threading.Event()
    errors: list[BaseException] = []

    def turn() -> None:
        try:
            build()
        except BaseException as error:
            errors.append(error)
        done.set()

    thread = cell.more().thread = BlockingThread(cell)
    thread.have_done(turn)
    if not done.wait(BUILD_S):
        raise TimeoutError(f"__init__ and restore() did not return within {BUILD_S:g} s")
    if errors:
        raise errors[0]


def _queue(cell: Cell, packed: PackedActor, timers: list[Timer]) -> None:
    """Let what waited wait again, in order."""

    def opened(items: list[Item]) -> Iterable[Any]:
        return (item if isinstance(item, tuple) else _loads(item, cell, timers) for item in items)

    if packed.mailbox:
        mailbox = cell.kernel.admission.open_mailbox(cell)
        for envelope in opened(packed.mailbox):
            mailbox.append(envelope)
            if is_unbounded(envelope):
                cell.more().unbounded += 1
    if packed.door:
        extra = cell.more()
        extra.waiting = deque((envelope, None) for envelope in opened(packed.door))
        cell.brake = 0


def put_back(cell: Cell) -> None:
    """An actor that stood still may go on: it is in the run queue if something waits, else idle."""
    if cell.mailbox or (cell.extra is not None and cell.extra.waiting):
        cell.phase = READY
        cell.kernel.runq.append(cell)
    else:
        cell.phase = IDLE
