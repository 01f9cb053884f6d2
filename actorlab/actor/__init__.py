"""Actors: what users subclass and hold, and the kernel that runs them in one thread.

Pure re-exports; the actor floor's root, imported by the floors above.
"""

from .actor import Actor, ProcessActor
from .behaviour import Behaviour, behaviour_at
from .cancelling import Loose, loosen, take_back
from .cell import DEAD, ENDING, HELD, IDLE, READY, Cell
from .closing import Closing
from .current import cell_here, embedded, kernel_here, kernels, running_actor, runtimes
from .dead_letters import DeadLetter, DeadLetters
from .endings import ChildExit
from .envelope import ASK, CALL, CAST, CONTROL, FAIL, INFO, LAST_KIND, REPLY, SIGNAL, STOP, TELL, Chain, Sink
from .following import Appended, begin_following, owes_news, park_for_news, subscribe
from .future import ERROR, PENDING, VALUE, Future
from .gathering import gather, select
from .hosting import hosted
from .inspection import inspect, is_suspended
from .keeping import Snapshots, effective
from .lazy_value import Lazy, LazyRow, lazy, lazy_rows
from .lifecycle import behaviour_of, crashed
from .mailbox import DEFAULT_MAILBOX, OVERFLOWS, Mailbox, Overflow
from .outbound import request_with
from .packing import PackedActor, pack, put_back, unpack
from .placement import Beside, ByHash, Placement, beside, by_hash, pick_by_hash
from .placement import check as check_placement
from .reentry import numbers_on_strands
from .ref import ActorRef
from .runtime import Inlet, Runtime
from .scheduler import BURST, Kernel
from .snapshot import State, keeps_state
from .snapshot_place import check_place
from .start_request import StartRequest
from .stream import Stream
from .tie import tie_to
from .timers import TICK_S, Timer
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
    "TICK_S",
    "VALUE",
    "Actor",
    "ActorRef",
    "Appended",
    "Behaviour",
    "Beside",
    "ByHash",
    "Cell",
    "Chain",
    "ChildExit",
    "Closing",
    "DeadLetter",
    "DeadLetters",
    "Future",
    "Inlet",
    "Interrupted",
    "Kernel",
    "Killed",
    "Lazy",
    "LazyRow",
    "Loose",
    "Mailbox",
    "Overflow",
    "PackedActor",
    "Placement",
    "ProcessActor",
    "Runtime",
    "Sink",
    "Snapshots",
    "StartRequest",
    "State",
    "Stream",
    "Timer",
    "begin_following",
    "behaviour_at",
    "behaviour_of",
    "beside",
    "by_hash",
    "cell_here",
    "check_place",
    "check_placement",
    "crashed",
    "effective",
    "embedded",
    "gather",
    "hosted",
    "inspect",
    "is_suspended",
    "keeps_state",
    "kernel_here",
    "kernels",
    "lazy",
    "lazy_rows",
    "loosen",
    "numbers_on_strands",
    "owes_news",
    "pack",
    "park_for_news",
    "pick_by_hash",
    "put_back",
    "request_with",
    "running_actor",
    "runtimes",
    "select",
    "subscribe",
    "take_back",
    "tie_to",
    "unpack",
]
