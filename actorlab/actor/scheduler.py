"""Scheduler: one run queue and one event loop for all actors of a kernel; handlers that wait park in a greenlet.

Edge (a thread, an event loop); the heart of a worker. A ready actor runs up to BURST messages, straight through, in
whatever *runner* greenlet has the thread. A handler that must wait switches to the hub, and the hub goes on with
another runner: nobody pays for a greenlet who does not wait. A call to an idle actor of the same kernel hands the
thread over directly.

Guarantees: one message at a time an actor (P1); an activation ends after BURST messages or BURST_NS, a slice after
SLICE_NS, then lanes, timers and I/O have their turn; a sender that finds BRAKE messages waiting yields. Not
guaranteed: that a handler gives the thread back (see the watchdog). Sources: BEAM's reductions, gevent's hub.
"""

from __future__ import annotations

import time
from _thread import get_ident
from collections import deque
from collections.abc import Callable
from threading import Event
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent, greenlet

from ..ids import home_of, show
from . import current
from .admission import Admission
from .cell import IDLE, READY, RUNNING, Cell
from .chain import LocalCall
from .endings import Endings
from .envelope import CALL, CAST, JOB, LAST_KIND, TELL
from .handling import TASK_OF, Handling
from .hub import Hub
from .lifecycle import Lifecycle
from .pykka_messages import PYKKA_MESSAGES, answer_pykka
from .signals import Signals
from .timers import Deadlines, Timers

if TYPE_CHECKING:
    from .runtime import Inlet, Runtime

BURST = 64
BURST_NS = 500_000
SLICE_NS = 300_000
BRAKE = 64
HANDOVERS = 256
WARM = 4096

class Kernel:
    """The scheduler of one home: all its actors, one thread."""

    def __init__(
        self, runtime: Runtime, home: int, inlet: Inlet | None = None, *, lanes: Inlet | None = None
    ) -> None:
        """Host actors of `home`: drain `inlet` in this thread, or leave that to another's and only use its `lanes`."""
        self.runtime = runtime
        self.home = home
        self.ident = 0
        self.cells: dict[int, Cell] = {}
        self.runq: deque[Cell] = deque()
        self.resumable: deque[Any] = deque()
        self.yielded: deque[Any] = deque()
        self.inbox: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.current: Cell | None = None
        self.pool: list[Any] = []
        self.killed: set[Any] = set()  # greenlets thrown out of their handler, until they have left it
        self.calls: list[LocalCall] = []
        self.warm: deque[Cell] = deque()
        self.handovers = 0
        self.slice_end = 0
        self.parked = 0
        self.asked = False  # a handler has just asked another process, and waits
        self.timers = Timers(time.monotonic)
        self.deadlines = Deadlines(time.monotonic)
        self.inlet = inlet
        self.lanes = inlet if inlet is not None else lanes
        self.hub_greenlet: Any = None
        self.hub: Hub = Hub(self)
        self.admission: Admission = Admission(self)
        self.lifecycle: Lifecycle = Lifecycle(self)
        self.endings: Endings = Endings(self)
        self.signals: Signals = Signals(self)
        self.table = runtime.table(home)
        self.words = self.table.words
        self.depths = self.table.u32
        self.depth_offset = self.table.depth_offset
        self.handling: Handling = Handling(self, self.lanes)
        self.handle = self.handling.handle
        self.from_lane = self.handling.from_lane
        self.release_hand = self.handling.release_hand
        self.stopping = False
        self.snapshots: Any = None  # where they are kept, if this is all of its node
        self.running = False
        self._started = Event()

    # -- the thread -------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run in the calling thread until `stop`."""
        self.ident = get_ident()
        self.hub_greenlet = getcurrent()
        current.kernels[self.ident] = self
        self.running = True
        self._started.set()
        try:
            self.hub.run()
        finally:
            self.running = False
            current.kernels.pop(self.ident, None)
            self._drop_runners()

    def _drop_runners(self) -> None:
        for runner in self.pool:
            runner.throw()
        self.pool.clear()

    def wait_running(self) -> None:
        """Wait until the kernel's thread has begun."""
        self._started.wait()

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Have `function(*args)` called in this kernel's hub, soon. From any thread. It must not wait."""
        self.inbox.append((function, args))
        self.hub.wake()

    def do(self, function: Callable[..., object], *args: Any) -> None:
        """Have `function(*args)` called in this kernel's thread: now if this is it, else soon."""
        if get_ident() == self.ident:
            function(*args)
        else:
            self.post(function, *args)

    def stop(self) -> None:
        """Leave `run` after this turn. From any thread; whatever actors are left are not told."""
        self.stopping = True
        self.hub.stop()

    def running_cell(self) -> Cell | None:
        """Return the actor on whose behalf this thread runs now: of the handler, or of the async handler's task."""
        return self.current if self.current is not None else TASK_OF.get()[0]

    def handling_cell(self) -> Cell | None:
        """Return the actor that handles a message in the calling code: none if this is a task that outlived it."""
        if self.current is not None:
            return self.current
        cell, coroutine = TASK_OF.get()
        task = cell.extra.task if cell is not None and cell.extra is not None else None
        return cell if task is not None and task.get_coro() is coroutine else None

    # -- running actors ---------------------------------------------------------------------------------------

    def ready(self, cell: Cell) -> None:
        """Put an idle cell that has mail into the run queue."""
        if cell.phase == IDLE:
            cell.phase = READY
            self.runq.append(cell)

    def resume(self, runner: Any) -> None:
        """Let a parked greenlet go on when the hub comes round. From this kernel's thread only."""
        self.resumable.append(runner)

    def run_slice(self, now: int) -> None:
        """Run ready actors and resumed handlers (there are some) until none is left or the slice is over. In the hub.

        `now` (ns, the performance counter's) is when the slice begins.
        """
        self.slice_end = now + SLICE_NS
        self.handovers = HANDOVERS
        resumable, runq, yielded, pool = self.resumable, self.runq, self.yielded, self.pool
        while True:
            if resumable:
                resumable.popleft().switch()
            elif runq:
                (pool.pop() if pool else greenlet(self.runner, self.hub_greenlet)).switch(None)
                # one round of the queue, then those who gave way to it have their turn
                for _ in range(len(yielded)):
                    yielded.popleft().switch()
            else:
                yielded.popleft().switch()
            if not (runq or resumable or yielded) or time.perf_counter_ns() > self.slice_end:
                return

    def runner(self, job: tuple[Cell, Any, Any, Any, Any] | None) -> None:
        """Body of a runner: with no job, work through the run queue; with one, do it and hand the thread back."""
        hub, pool, runq, resumable, words = self.hub_greenlet, self.pool, self.runq, self.resumable, self.words
        killed = self.killed
        me = getcurrent()
        clock = time.perf_counter_ns
        while True:
            back = hub
            if job is None:
                for _ in range(len(runq)):
                    self._activate(runq.popleft(), me)
                    if me.gr_context is not None:
                        me.gr_context = None
                    if killed:
                        killed.discard(me)
                    # empty: had it parked, another runner has worked through the queue meanwhile
                    if not runq or resumable or clock() > self.slice_end:
                        break
            else:
                cell, function, args, kwargs, sink = job
                self.current = cell
                if function is None:
                    self._lent(cell, args, me)
                else:
                    # `handle` for the one case that must be fast: a plain method of an idle actor
                    cell.sink = sink
                    try:
                        result = function(cell.object, *args, **kwargs)
                    except BaseException as error:
                        cell.sink = None
                        if self.lifecycle.failed(cell, (CALL, sink.what, args, kwargs, sink), sink, error):
                            self.settle_phase(cell)
                    else:
                        if result.__class__ is CoroutineType:
                            self.handling.start_task(cell, result, sink, (CALL, sink.what, args, kwargs, sink))
                        else:
                            cell.handled = handled = cell.handled + 1
                            cell.sink = None
                            if cell.mailbox or cell.extra is not None:
                                self.settle_phase(cell)
                            else:
                                # Killed before this: its caller is, too, and nobody has it in his books.
                                # crash: call.word
                                words[cell.word] = handled << 24
                                # crash: call.counted
                                cell.phase = IDLE
                            if sink.direct:
                                sink.outcome = result
                                sink.state = 1
                            else:
                                sink.reply(result)
                if me.gr_context is not None:
                    me.gr_context = None
                if killed:
                    killed.discard(me)
                if sink.direct:
                    back = sink.greenlet
            self.current = None
            pool.append(me)
            job = back.switch()

    def _activate(self, cell: Cell, me: Any) -> None:
        """Let one ready actor handle up to BURST messages."""
        if cell.phase != READY:
            return
        behaviour = cell.behaviour
        if behaviour.indirect:
            self.lifecycle.activate_indirect(cell, me)
            return
        cell.phase = RUNNING
        self.current = cell
        mailbox = cell.mailbox
        handle, from_lane = self.handle, self.from_lane
        if len(mailbox) == 1 and mailbox[0][0] > LAST_KIND:
            # one message from another process: most often a question that somebody waits for
            if from_lane(cell, mailbox.popleft(), me):
                if cell.extra is None and not mailbox:
                    cell.phase = IDLE  # the books have it already
                else:
                    self.settle_phase(cell)
            return
        public = behaviour.public
        obj = cell.object
        handled = 0
        clock_at = 7
        for n in range(BURST):
            if not mailbox:
                break
            envelope = mailbox.popleft()
            kind = envelope[0]
            try:
                if kind == TELL:
                    message = envelope[1]
                    if message.__class__ in PYKKA_MESSAGES:
                        result = answer_pykka(obj, message)
                    else:
                        result = obj.on_receive(message)
                elif kind == CAST:
                    result = public[envelope[1]](obj, *envelope[2], **envelope[3])
                else:
                    # answered, ending, or still in its lane: these keep their own books
                    cell.handled += handled
                    handled = 0
                    if not (from_lane if kind > LAST_KIND else handle)(cell, envelope, me):
                        return
                    if n >= clock_at:
                        clock_at = n + 8
                        if time.perf_counter_ns() > self.slice_end:
                            break
                    continue
                if result.__class__ is CoroutineType:
                    cell.handled += handled
                    self.handling.start_task(cell, result, None, envelope)
                    return
            except BaseException as error:
                if not self.lifecycle.failed(cell, envelope, None, error):
                    cell.handled += handled
                    return
                handled -= 1
            handled += 1
            if me.gr_context is not None:
                me.gr_context = None  # what a handler set in its context must not reach the next message
            if n >= clock_at:
                clock_at = n + 8
                if time.perf_counter_ns() > self.slice_end:
                    break
        cell.handled += handled
        self.settle_phase(cell)

    def settle_phase(self, cell: Cell) -> None:
        """After an activation: ready again, or idle; and the books into the node table."""
        mailbox = cell.mailbox
        extra = cell.extra
        depth = len(mailbox)
        if extra is not None:
            if cell.phase != RUNNING:
                return  # killed meanwhile: dead, held for its next incarnation, or that one's already
            if extra.waiting:
                self.admission.refill(cell)
                depth = len(mailbox)
            elif depth < cell.bounds.capacity:
                self.lifecycle.say_full(cell, False)
            depth -= extra.unbounded
            if extra.special is not None:
                depth += extra.special.settled()
                # crash: settle.aside
                self.words[cell.word] = cell.handled << 24
                # crash: settle.counted
                self.table.set_depth(cell.word, depth)  # what is aside waits, though the mailbox be empty
        word = cell.word
        # Killed before the word: what came by reference and was handled since seems to wait still, and is written off.
        # Between word and depth: as many have gone since the depth was written, so nobody is counted twice.
        # crash: settle.word
        self.words[word] = cell.handled << 24
        # crash: settle.depth
        self.depths[word * 2 + self.depth_offset] = depth
        # crash: settle.noted
        if mailbox:
            self.table.note_gone(word)
            cell.phase = READY
            self.runq.append(cell)
        elif cell.phase == RUNNING:
            cell.phase = IDLE

    def _lent(self, cell: Cell, envelope: Any, me: Any) -> None:
        """Handle the one message a caller lent the thread for."""
        if self.handle(cell, envelope, me):
            if cell.mailbox or cell.extra is not None:
                self.settle_phase(cell)
            else:
                # Killed before this: it has begun, and its starter is told by the controller that its worker died.
                # crash: lent.word
                self.words[cell.word] = cell.handled << 24
                # crash: lent.over
                cell.phase = IDLE

    # -- work of the kernel's own -----------------------------------------------------------------------------

    def submit(self, function: Callable[[], Any], sink: Any) -> None:
        """Run `function` as a job that may park, and give `sink` its result or error. In the kernel's thread."""
        cell = Cell(self, self.home << 56, 0, self.lifecycle.own, self.lifecycle.own_bounds)
        cell.phase = READY
        cell.mailbox = deque([(JOB, function, sink)])
        self.runq.append(cell)

    # -- waiting ----------------------------------------------------------------------------------------------

    def in_handler(self) -> bool:
        """Whether the calling code may park: it runs in a runner greenlet of this kernel."""
        return self.current is not None and getcurrent() is not self.hub_greenlet

    def name_of(self, address: int) -> str:
        """Return how the actor at `address` is called in messages to people."""
        cell = self.cells.get(address) if home_of(address) == self.home else None
        return cell.name if cell is not None else show(address)
