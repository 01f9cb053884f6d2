"""Actors: what users subclass and hold, and the kernel that runs them in one thread.

Pure re-exports; the actor floor's root, imported by the floors above.
"""

from .actor import Actor, ProcessActor
from .behaviour import Behaviour, behaviour_at
from .cell import DEAD, ENDING, HELD, IDLE, READY, Cell
from .current import embedded, kernel_here, runtimes
from .dead_letters import DeadLetter, DeadLetters
from .endings import ChildExit
from .envelope import ASK, CALL, CAST, CONTROL, FAIL, INFO, LAST_KIND, REPLY, SIGNAL, STOP, TELL, Chain, Sink
from .future import ERROR, PENDING, VALUE, Future
from .lifecycle import StartRequest, behaviour_of, crashed
from .mailbox import DEFAULT_MAILBOX, OVERFLOWS, Mailbox, Overflow
from .placement import Beside, ByHash, Placement, beside, by_hash, pick_by_hash
from .placement import check as check_placement
from .ref import ActorRef
from .runtime import Inlet, Runtime
from .scheduler import BURST, Kernel
from .timers import Timer
from .waiting import Interrupted, Killed

__all__ = [
    "ASK",
    "BURST",
    "CALL",
    "CAST",
    "CONTROL",
    "DEAD",
    "DEFAULT_MAILBOX",
    "ENDING",
    "ERROR",
    "FAIL",
    "HELD",
    "IDLE",
    "INFO",
    "LAST_KIND",
    "OVERFLOWS",
    "PENDING",
    "READY",
    "REPLY",
    "SIGNAL",
    "STOP",
    "TELL",
    "VALUE",
    "Actor",
    "ActorRef",
    "Behaviour",
    "Beside",
    "ByHash",
    "Cell",
    "Chain",
    "ChildExit",
    "DeadLetter",
    "DeadLetters",
    "Future",
    "Inlet",
    "Interrupted",
    "Kernel",
    "Killed",
    "Mailbox",
    "Overflow",
    "Placement",
    "ProcessActor",
    "Runtime",
    "Sink",
    "StartRequest",
    "Timer",
    "behaviour_at",
    "behaviour_of",
    "beside",
    "by_hash",
    "check_placement",
    "crashed",
    "embedded",
    "kernel_here",
    "pick_by_hash",
    "runtimes",
]
