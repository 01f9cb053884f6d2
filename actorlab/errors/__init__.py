"""Every error actorlab raises, in one tree.

Pure; floor 0, imported by everything; a room for each branch. Each error says what was refused,
the numbers, the state we are left in and what to do next; and each survives pickling (`args` equal
the constructor's parameters; a test round-trips them all).

    ActorlabError
    ├── CallError                 a send or a call that did not succeed; `.delivery`: may the handler have run?
    │   ├── ActorDied             (also pykka.ActorDeadError) no incarnation will answer
    │   ├── CallTimeout           (also pykka.Timeout) the deadline passed
    │   ├── CallCancelled         whoever asked gave up before the answer
    │   ├── MailboxFull           refused at the door, or no room within the deadline
    │   ├── DeadlockDetected      the callee already waits for the caller
    │   ├── BadCall               no such public method, or arguments that do not fit it
    │   ├── NotSendable           (also TypeError) the message cannot be pickled
    │   ├── MessageTooLarge       above the node's limit
    │   ├── BlockingCall          a blocking wait where it would block an event loop
    │   └── NodeGone              the reference's node is not (or no longer) this process's node
    ├── SnapshotUnreadable        what was kept of an actor cannot be read
    ├── StashFull                 an actor may put no more messages aside
    ├── RemoteError               stands in for a handler's exception that cannot travel
    ├── StartError                an actor, supervisor, worker or node that did not start
    │   ├── InitTimeout
    │   ├── WorkerStartError
    │   ├── WorkerLost            the worker died while it was asked to do something
    │   ├── NotMovable            an actor that cannot go to another process
    │   │   └── WorkerStays       a worker that cannot be recycled or drained, whoever lives there
    │   ├── WorkerShedding        the worker is above its soft limit of memory
    │   └── AlreadyRunning        a live node of that name exists
    ├── SpecError                 (also ValueError) a child or supervisor specification that makes no sense
    │   └── MissingCapability     something this system cannot give
    ├── ConfigError               (also ValueError) a configuration file, with every problem found
    ├── NameTaken                 a live actor owns the name
    ├── InvalidName               (also ValueError) a string that cannot be a name
    ├── InvalidMetadata           (also ValueError) metadata that are no small, picklable mapping
    ├── NothingFound          (also LookupError) no live actor fits: what was searched, and what came near
    ├── RegistryOwned             another live process writes this registry
    ├── NoSuchChild               a supervisor knows no child of that name
    ├── CorpusError               (also ValueError) a folder that cannot be searched, or holds nothing to search
    ├── MissingExtra              a command needs a library that only an extra of the installation brings
    ├── UnsafeDoor                (also ValueError) an address others could reach, without what keeps strangers out
    └── SharedMemoryError
        ├── SharedMemoryFull      (also OSError) not enough room: needed, free, where
        │   └── PoolFull          a context pool's quota is used up
        ├── SegmentGone           what a handle or message points to was dropped
        ├── SegmentCorrupt        bytes that are not what their header claims
        ├── UnsafeDirectory       a directory somebody else may write to
        ├── StreamBusy            somebody else writes the append stream
        ├── StreamEnded           the append stream was finished
        ├── StreamGap             what the reader would read next is no longer kept
        └── TableFull             the node table has no slot left for another actor
"""

from __future__ import annotations

from .calls import (
    ActorDied,
    BadCall,
    BlockingCall,
    CallCancelled,
    CallError,
    CallTimeout,
    DeadlockDetected,
    MailboxFull,
    MessageTooLarge,
    NodeGone,
    NotSendable,
    RemoteError,
    StashFull,
)
from .configuration import ConfigError, CorpusError
from .naming import InvalidMetadata, InvalidName, NameTaken, NothingFound, RegistryOwned
from .observing import MissingExtra, UnsafeDoor
from .root import ActorlabError, Delivery
from .shared_memory import (
    PoolFull,
    SegmentCorrupt,
    SegmentGone,
    SharedMemoryError,
    SharedMemoryFull,
    TableFull,
    UnsafeDirectory,
)
from .snapshots import SnapshotUnreadable
from .starts import (
    AlreadyRunning,
    InitTimeout,
    MissingCapability,
    NoSuchChild,
    NotMovable,
    SpecError,
    StartError,
    WorkerLost,
    WorkerShedding,
    WorkerStartError,
    WorkerStays,
)
from .streams import StreamBusy, StreamEnded, StreamGap

__all__ = [
    "ActorDied",
    "ActorlabError",
    "AlreadyRunning",
    "BadCall",
    "BlockingCall",
    "CallCancelled",
    "CallError",
    "CallTimeout",
    "ConfigError",
    "CorpusError",
    "DeadlockDetected",
    "Delivery",
    "InitTimeout",
    "InvalidMetadata",
    "InvalidName",
    "MailboxFull",
    "MessageTooLarge",
    "MissingCapability",
    "MissingExtra",
    "NameTaken",
    "NoSuchChild",
    "NodeGone",
    "NotMovable",
    "NotSendable",
    "NothingFound",
    "PoolFull",
    "RegistryOwned",
    "RemoteError",
    "SegmentCorrupt",
    "SegmentGone",
    "SharedMemoryError",
    "SharedMemoryFull",
    "SnapshotUnreadable",
    "SpecError",
    "StartError",
    "StashFull",
    "StreamBusy",
    "StreamEnded",
    "StreamGap",
    "TableFull",
    "UnsafeDirectory",
    "UnsafeDoor",
    "WorkerLost",
    "WorkerShedding",
    "WorkerStartError",
    "WorkerStays",
]
