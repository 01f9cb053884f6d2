"""Every error actorlab raises, in one tree.

Pure; floor 0, imported by everything. Each error says what was refused, the numbers, the state we
are left in and what to do next; and each survives pickling (`args` equal the constructor's
parameters; a test round-trips them all).

    ActorlabError
    ├── CallError                 a send or a call that did not succeed; `.delivery`: may the handler have run?
    │   ├── ActorDied             (also pykka.ActorDeadError) no incarnation will answer
    │   ├── CallTimeout           (also pykka.Timeout) the deadline passed
    │   ├── MailboxFull           refused at the door, or no room within the deadline
    │   ├── DeadlockDetected      the callee already waits for the caller
    │   ├── BadCall               no such public method, or arguments that do not fit it
    │   ├── NotSendable           (also TypeError) the message cannot be pickled
    │   ├── MessageTooLarge       above the node's limit
    │   ├── BlockingCall          a blocking wait where it would block an event loop
    │   └── NodeGone              the reference's node is not (or no longer) this process's node
    ├── RemoteError               stands in for a handler's exception that cannot travel
    ├── StartError                an actor, supervisor, worker or node that did not start
    │   ├── InitTimeout
    │   ├── WorkerStartError
    │   ├── WorkerLost            the worker died while it was asked to do something
    │   └── AlreadyRunning        a live node of that name exists
    ├── SpecError                 (also ValueError) a child or supervisor specification that makes no sense
    ├── ConfigError               (also ValueError) a configuration file, with every problem found
    ├── NameTaken                 a live actor owns the name
    ├── InvalidName               (also ValueError) a string that cannot be a name
    ├── InvalidMetadata           (also ValueError) metadata that are no small, picklable mapping
    ├── RegistryOwned             another live process writes this registry
    ├── NoSuchChild               a supervisor knows no child of that name
    ├── CorpusError               (also ValueError) a folder that cannot be searched, or holds nothing to search
    └── SharedMemoryError
        ├── SharedMemoryFull      (also OSError) not enough room: needed, free, where
        │   └── PoolFull          a context pool's quota is used up
        ├── SegmentGone           what a handle or message points to was dropped
        ├── SegmentCorrupt        bytes that are not what their header claims
        ├── UnsafeDirectory       a directory somebody else may write to
        └── TableFull             the node table has no slot left for another actor
"""

from __future__ import annotations

from typing import Literal

import pykka

Delivery = Literal["never", "unknown", "handled"]
"""Whether a call's handler may have run: `never` (a retry is safe), `unknown`, or `handled` (it ran)."""


class ActorlabError(Exception):
    """Root of all errors of actorlab."""


class CallError(ActorlabError):
    """A send or call that did not succeed; `delivery` says whether the handler may have run."""

    delivery: Delivery = "unknown"


class ActorDied(CallError, pykka.ActorDeadError):
    """The actor is gone and no incarnation of it will answer."""

    def __init__(self, actor: str, reason: str = "noproc", delivery: Delivery = "never") -> None:
        super().__init__(actor, reason, delivery)
        self.actor, self.reason, self.delivery = actor, reason, delivery

    def __str__(self) -> str:
        if self.args[1] == "noproc":
            return f"{self.actor} not found"  # Pykka's words
        ran = {
            "never": "the message was not handled",
            "unknown": "its handler may have run",
            "handled": "its handler had finished",
        }
        return f"{self.actor} is dead ({self.reason}): {ran[self.args[2]]}"


class CallTimeout(CallError, pykka.Timeout):
    """No answer within the deadline. The message may still be handled; a late reply is counted and dropped."""

    def __init__(self, what: str, timeout_s: float) -> None:
        super().__init__(what, timeout_s)

    def __str__(self) -> str:
        what, timeout_s = self.args
        return f"no answer from {what} within {timeout_s:g} s: its handler may still run; a late reply is dropped"


class MailboxFull(CallError):
    """The receiver refused at the door, or made no room within the deadline: a retry cannot run the handler twice."""

    delivery = "never"

    def __init__(self, to: str, capacity: int, overflow: str = "reject", reason: str = "mailbox") -> None:
        super().__init__(to, capacity, overflow, reason)
        self.reason = reason

    def __str__(self) -> str:
        to, capacity, overflow, reason = self.args
        if reason == "lane":
            return f"the lane to {to} is full ({capacity} blocks): its worker takes nothing; nothing was queued"
        return (
            f"mailbox of {to} is full ({capacity} messages, overflow={overflow!r}): "
            "nothing was queued; slow the sender or raise the capacity"
        )


class DeadlockDetected(CallError):
    """The call would close a cycle of actors that wait for each other; refused before it was sent."""

    delivery = "never"

    def __init__(self, caller: str, callee: str, chain: tuple[str, ...]) -> None:
        super().__init__(caller, callee, chain)

    def __str__(self) -> str:
        caller, callee, chain = self.args
        path = " → ".join((*chain, callee))
        return f"{caller} may not call {callee}, which already waits for it ({path}): use cast"


class BadCall(CallError):
    """No such public method, or arguments that do not fit. The actor is unharmed."""

    delivery = "never"

    def __init__(self, actor: str, what: str) -> None:
        super().__init__(actor, what)

    def __str__(self) -> str:
        actor, what = self.args
        return f"{actor}: {what}; public methods defined below al.Actor can be called"


class NotSendable(CallError, TypeError):
    """The message, reply or argument cannot be pickled. Nothing was sent."""

    delivery = "never"

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)

    def __str__(self) -> str:
        what, why = self.args
        return f"cannot send {what}: {why}; nothing was sent: send plain data, or a handle to shared memory"


class MessageTooLarge(CallError):
    """A message above the node's limit. Nothing was sent."""

    delivery = "never"

    def __init__(self, to: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(to, size_bytes, limit_bytes)

    def __str__(self) -> str:
        to, size_bytes, limit_bytes = self.args
        return (
            f"message to {to} has {size_bytes:,} bytes, the limit is {limit_bytes:,}: nothing was sent; "
            "put the data into a pool and send its handle, or raise max_message_bytes"
        )


class BlockingCall(CallError):
    """A blocking wait in a place that must not block: nothing was sent."""

    delivery = "never"

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(what, instead)

    def __str__(self) -> str:
        what, instead = self.args
        return f"{what} would block the event loop: write {instead}"


class NodeGone(CallError, pykka.ActorDeadError):
    """The reference belongs to a node that is not, or no longer, the one of this process."""

    delivery = "never"

    def __init__(self, actor: str, node: str) -> None:
        super().__init__(actor, node)

    def __str__(self) -> str:
        actor, node = self.args
        return f"{actor} belongs to node {node}, which is not running in this process: nothing was sent"


class RemoteError(ActorlabError):
    """Stands in for an exception that cannot travel: its type's name, its text and its traceback."""

    def __init__(self, type_name: str, text: str, traceback: str = "") -> None:
        super().__init__(type_name, text, traceback)
        self.type_name, self.text, self.traceback = type_name, text, traceback

    def __str__(self) -> str:
        return f"{self.type_name}: {self.text}"


class StartError(ActorlabError):
    """An actor, supervisor, worker or node that did not start. Whatever had been started was stopped again."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)

    def __str__(self) -> str:
        what, why = self.args
        return f"{what} did not start: {why}"


class InitTimeout(StartError):
    """`__init__` and `on_start` did not finish within `init_timeout_s`."""


class WorkerStartError(StartError):
    """A worker process did not become ready."""


class WorkerLost(StartError):
    """A worker died while it was asked to start or stop something. What it had started died with it."""

    def __str__(self) -> str:
        what, why = self.args
        return f"{what}: {why} while it was at it; what it had started died with it"


class AlreadyRunning(StartError):
    """A live node has that name. Nothing was started: use the running one, stop it, or choose another name."""


class SpecError(ActorlabError, ValueError):
    """A child, supervisor or mailbox specification that makes no sense. Nothing was started."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)

    def __str__(self) -> str:
        what, why = self.args
        return f"{what}: {why}"


class ConfigError(ActorlabError, ValueError):
    """A configuration file with every problem found: `problems` are (key path, what is wrong and what to do)."""

    def __init__(self, file: str, problems: tuple[tuple[str, str], ...]) -> None:
        super().__init__(file, problems)
        self.file, self.problems = file, problems

    def __str__(self) -> str:
        lines = [f"  {path or '(file)'}: {text}" for path, text in self.problems]
        n = len(lines)
        return f"{self.file}: {n} problem{'s' if n != 1 else ''}; nothing was started\n" + "\n".join(lines)


class NameTaken(ActorlabError):
    """A live actor owns the name."""

    def __init__(self, name: str, owner: str) -> None:
        super().__init__(name, owner)

    def __str__(self) -> str:
        name, owner = self.args
        return f"the name {name!r} belongs to {owner}: stop it first, or choose another name"


class InvalidName(ActorlabError, ValueError):
    """A string that cannot be a name. Nothing was registered."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name, why)

    def __str__(self) -> str:
        name, why = self.args
        return f"{name!r} cannot be a name: {why}"


class InvalidMetadata(ActorlabError, ValueError):
    """Metadata that are no small, picklable mapping. Nothing was changed."""

    def __init__(self, why: str) -> None:
        super().__init__(why)

    def __str__(self) -> str:
        return f"cannot keep the metadata of a name: {self.args[0]}; nothing was changed"


class RegistryOwned(ActorlabError):
    """Another live process writes this registry. Nothing was changed."""

    def __init__(self, where: str, pid: int) -> None:
        super().__init__(where, pid)

    def __str__(self) -> str:
        where, pid = self.args
        return f"the registry in {where} is written by process {pid}: it can be adopted when that process has ended"


class NoSuchChild(ActorlabError):
    """A supervisor knows no child of that name."""

    def __init__(self, supervisor: str, name: str, known: tuple[str, ...] = ()) -> None:
        super().__init__(supervisor, name, known)

    def __str__(self) -> str:
        supervisor, name, known = self.args
        return f"{supervisor} has no child {name!r}" + (f"; it has {', '.join(known)}" if known else "")


class CorpusError(ActorlabError, ValueError):
    """A folder that cannot be searched, or holds nothing to search: which, why, and what to do."""

    def __init__(self, folder: str, why: str, remedy: str) -> None:
        super().__init__(folder, why, remedy)
        self.folder, self.why, self.remedy = folder, why, remedy

    def __str__(self) -> str:
        return f"{self.folder}: {self.why}; nothing was indexed: {self.remedy}"


class SharedMemoryError(ActorlabError):
    """Something is wrong with memory shared between processes."""


class SharedMemoryFull(SharedMemoryError, OSError):
    """Not enough room in shared memory; nothing was written."""

    def __init__(self, what: str, needed_bytes: int, free_bytes: int, where: str) -> None:
        super().__init__(what, needed_bytes, free_bytes, where)
        self.needed_bytes, self.free_bytes = needed_bytes, free_bytes
        self.args = (what, needed_bytes, free_bytes, where)  # OSError rewrites args

    def __reduce__(self) -> tuple[type[SharedMemoryFull], tuple[object, ...]]:
        return type(self), self.args

    def __str__(self) -> str:
        what, needed, free, where = self.args
        return (
            f"no room for {what}: {needed:,} bytes needed, {free:,} free in {where}; nothing was written. "
            "Enlarge it (docker run --shm-size=1g), or set a directory with room (runtime_dir)"
        )


class PoolFull(SharedMemoryFull):
    """A context pool's quota does not suffice; nothing was stored."""

    def __str__(self) -> str:
        what, needed, free, where = self.args
        return (
            f"no room for {what}: {needed:,} bytes needed, {free:,} free in pool {where}; nothing was stored: "
            "drop a handle, or raise the pool's max_bytes"
        )


class SegmentGone(SharedMemoryError):
    """What a handle or a message points to is no longer there: it was dropped, or its node has ended."""

    def __init__(self, what: str, path: str) -> None:
        super().__init__(what, path)

    def __str__(self) -> str:
        what, path = self.args
        return f"{what} is gone: there is no {path} any more; whoever still maps it keeps it"


class SegmentCorrupt(SharedMemoryError):
    """A shared segment whose bytes are not what its header claims."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)

    def __str__(self) -> str:
        path, why = self.args
        return f"{path}: {why}; it was not used"


class UnsafeDirectory(SharedMemoryError):
    """A directory that somebody else owns or may write to."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)

    def __str__(self) -> str:
        path, why = self.args
        return f"{path}: {why}; refused: whoever can write there could run code as you"


class TableFull(SharedMemoryError):
    """The node table has no slot left for another actor."""

    def __init__(self, worker: int, capacity: int) -> None:
        super().__init__(worker, capacity)

    def __str__(self) -> str:
        worker, capacity = self.args
        return f"worker {worker} already hosts {capacity:,} actors: raise max_actors, or add a worker"
