"""Schema: every table of a configuration file, every key with its type, bounds and meaning.

Pure declarations, and the only list of keys there is: `read` checks files by it, `actorlab check --explain` prints it.
Types are msgspec's (`Annotated[int, Meta(ge=1)]`, `Literal[…]`) or the kinds of values.py. Defaults are not repeated:
what a file does not say is left to the class that a table ends in (`of`), and `explain` looks them up there.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from ..actor import Mailbox, Overflow, Snapshots
from ..ids import MAX_INDEX, MAX_WORKERS
from ..lean_dataclass import dataclass
from ..memory import DatasetSettings, PoolBackend, PoolSettings
from ..node import (
    Freeze,
    LogLevel,
    MemoryLimits,
    NodeOptions,
    OnSoft,
    OnStuck,
    RecycleOptions,
    RegistryOptions,
    StartMethod,
    WorkerOptions,
)
from ..supervision import (
    AutoShutdown,
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    PartitionSupervisor,
    Restart,
    Strategy,
    Supervisor,
)
from ..transport import MAX_BLOCKS, MIN_BLOCKS
from .values import Backend, CpuSets, Duration, Place, Shutdown, Size, Store, Target


@dataclass(frozen=True, slots=True)
class Key:
    """A key: its name in the file, its type, what it means, and the parameter it becomes (`to`) if called otherwise."""

    name: str
    type: Any
    help: str
    to: str = ""
    required: bool = False

    @property
    def parameter(self) -> str:
        return self.to or self.name


@dataclass(frozen=True, slots=True)
class Table:
    """A table: where it stands in the file, its keys, and the class whose defaults hold for what is not given."""

    where: str
    help: str
    keys: tuple[Key, ...]
    of: type | None = None

    def key(self, name: str) -> Key | None:
        return next((key for key in self.keys if key.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(key.name for key in self.keys)


@dataclass(frozen=True, slots=True)
class Named:
    """The type of a key that holds tables by names which the file chooses: `[node.pools.corpus]`."""

    table: Table


class Children:
    """The type of a key that holds an array of child tables; an entry's `type` says which of CHILD_TABLES it is."""


def whole(low: int, high: int | None = None) -> Any:
    """Return the type of a whole number from `low` to `high`."""
    return Annotated[int, Meta(ge=low)] if high is None else Annotated[int, Meta(ge=low, le=high)]


Text = Annotated[str, Meta(min_length=1, max_length=255)]

MAILBOX = Table(
    "mailbox",
    "How many messages may wait at an actor, and what becomes of one more.",
    (
        Key("capacity", whole(1, 2**31 - 1), "messages that may wait, the one in hand not counted"),
        Key("overflow", Overflow, "one more: its sender waits, is refused, or it or the oldest is dropped"),
        Key("timeout", Duration, "how long a sender waits for room before MailboxFull", "timeout_s"),
        Key("max_bytes", Size, "what the messages that wait may weigh together; no bound unless given"),
    ),
    Mailbox,
)

SNAPSHOTS = Table(
    "snapshots",
    "When an actor's state is kept, and where; what is not given is its class's, which has snapshot() and restore().",
    (
        Key("every", whole(1), "after so many messages"),
        Key("interval", Duration, "after so long, if there was a message in it", "interval_s"),
        Key("store", Store, "'node': over restarts of the actor; a database or a folder: by name, over those of nodes"),
    ),
    Snapshots,
)

REGISTRY = Table(
    "node.registry",
    "How names find actors.",
    (
        Key(
            "backend",
            Backend,
            "'shared': read by every process from memory; 'local': one process only; or your own, module:attribute",
        ),
        Key("partitions", whole(1, 256), "parts by hash of the name, each with one owner"),
        Key("index", list[Text], "the keys of names' metadata by which actors can be selected"),
    ),
    RegistryOptions,
)

MEMORY = Table(
    "node.memory",
    "How much memory of its own a worker may take: anonymous memory, not what it shares.",
    (
        Key("soft", Size, "above it the worker is named, and shed if on_soft says so", "soft_bytes"),
        Key("hard", Size, "above it the worker is killed, and replaced", "hard_bytes"),
        Key("on_soft", OnSoft, "'warn': say so; 'shed': also refuse messages and actors from outside until it is less"),
    ),
    MemoryLimits,
)

DATASET = Table(
    "node.pools.NAME.datasets.DATASET",
    "What holds for one dataset of a pool.",
    (
        Key("max_bytes", Size, "the most it may take of the pool"),
        Key("keep_last", whole(1), "published versions that are kept, the current one included"),
    ),
    DatasetSettings,
)

POOL = Table(
    "node.pools.NAME",
    "A context pool: data that all actors share, one copy for the node; it is made when it is first asked for.",
    (
        Key("max_bytes", Size, "the most it may hold, what was dropped and is still mapped included"),
        Key("keep_last", whole(1), "versions of a published dataset that are kept, the current one included"),
        Key("evict", bool, "make room by removing old versions that nobody holds, the least recently taken first"),
        Key("cold_after", Duration, "compress what is not current and was not held for so long", "cold_after_s"),
        Key("backend", PoolBackend, "'shm': the node's directory; 'memfd': no file system; 'file': see directory"),
        Key("directory", Text, "where a 'file' pool lies, on a disk with room"),
        Key("persist", bool, "keep a 'file' pool when the node ends; the next one checks and adopts it"),
        Key("datasets", Named(DATASET), "limits of single datasets"),
    ),
    PoolSettings,
)

RECYCLE = Table(
    "node.recycle",
    "When a fresh process takes a worker's place, its actors and their queues over; beside that, by hand.",
    (
        Key("max_age", Duration, "after so long; never unless given", "max_age_s"),
        Key("max_messages", whole(1), "after so many messages handled; never unless given"),
        Key("timeout", Duration, "how long handlers that are under way may take to end", "timeout_s"),
        Key("on_stuck", OnStuck, "'refuse': else the worker stays; 'restart': else supervised ones are restarted"),
        Key("retry", Duration, "when it is tried again after it was refused", "retry_s"),
    ),
    RecycleOptions,
)

WORKER = Table(
    "node.worker",
    "What each worker process is given of its machine; {worker} in a text stands for its number.",
    (
        Key("cpus", CpuSets, "'any', 'each' (one a worker, in turn), or those of worker 1, of 2, …"),
        Key("nice", whole(-20, 19), "its priority: more is less; below 0 takes privilege"),
        Key("environment", dict[str, str], "variables laid over those of the user's process"),
        Key("directory", Text, "its working directory, an absolute path"),
    ),
    WorkerOptions,
)

NODE = Table(
    "node",
    "The processes, and what holds for all actors in them.",
    (
        Key("name", Text, "its name for `actorlab status` and the like; one is made up unless given"),
        Key("workers", whole(0, MAX_WORKERS), "worker processes; 0: all actors in this process; default: one a CPU"),
        Key("spares", whole(0, 16), "warm processes that take a dead worker's place at once"),
        Key("start_method", StartMethod, "how workers are made: 'auto', 'forkserver', 'spawn'; 'fork' of this process"),
        Key("mailbox", MAILBOX, "bounds of every mailbox whose child does not give its own"),
        Key("registry", REGISTRY, "how names find actors"),
        Key("memory", MEMORY, "limits of each worker's own memory"),
        Key("recycle", RECYCLE, "when fresh processes take workers' places"),
        Key("worker", WORKER, "what each worker process is given of its machine"),
        Key("strict_messages", bool, "pickle messages within a worker too, so that nothing mutable is shared"),
        Key("preload", list[Text], "modules imported once, before workers are forked, and shared by them"),
        Key("preload_tree", bool, "whether the modules of the tree's actors are preloaded too, if they let themselves"),
        Key("runtime_dir", Text, "where shared files live; default $ACTORLAB_RUNTIME_DIR, else /dev/shm or $TMPDIR"),
        Key(
            "lane_blocks",
            whole(MIN_BLOCKS, MAX_BLOCKS),
            "blocks of 256 B in the lane between two processes, a power of two",
        ),
        Key("max_actors", whole(1, MAX_INDEX), "actors a worker can host"),
        Key("max_message_bytes", Size, "larger messages are refused"),
        Key("slab_bytes", Size, "memory a process keeps for large messages under way; 0: each has a file of its own"),
        Key("call_timeout", Duration, "how long a call waits for its answer unless told", "call_timeout_s"),
        Key("start_timeout", Duration, "how long a worker may take until it is ready", "start_timeout_s"),
        Key("stop_timeout", Duration, "how long an ordered stop may take before it is brutal", "stop_timeout_s"),
        Key("heartbeat", Duration, "how often a worker shows that it lives", "heartbeat_s"),
        Key("hang_timeout", Duration, "a worker silent for so long is killed and replaced", "hang_timeout_s"),
        Key("hold_warning", Duration, "a handler that holds its worker for so long is named", "hold_warning_s"),
        Key(
            "gc_thresholds",
            Annotated[list[int], Meta(min_length=3, max_length=3)],
            "thresholds of workers' garbage collection",
        ),
        Key("gc_freeze", Freeze, "what it never looks at: 'start': what was imported before; 'growth': actors too"),
        Key("pools", Named(POOL), "settings of context pools by name"),
        Key("log_level", LogLevel, "what workers log reaches this process's logging from this level on"),
    ),
    NodeOptions,
)

BACKOFF = Table(
    "backoff",
    "How long a supervisor waits between starts that fail; a child that ran and crashed is restarted at once.",
    (
        Key("first", Duration, "after the first failure", "first_s"),
        Key("factor", Annotated[float, Meta(ge=1)], "each wait is so many times the one before"),
        Key("max", Duration, "no wait is longer", "max_s"),
        Key("jitter", Annotated[float, Meta(ge=0, le=1)], "the share of a wait that is left to chance"),
    ),
    Backoff,
)

_SUPERVISING = (
    Key("strategy", Strategy, "who is restarted with a child that died: it alone, all, or it and those after it"),
    Key("max_restarts", whole(0), "restarts that are tolerated; one more within max_seconds, and it gives up"),
    Key("max_seconds", Duration, "the time in which restarts are counted"),
    Key("backoff", BACKOFF, "how long to wait between starts that fail"),
)
_AUTO_SHUTDOWN = Key("auto_shutdown", AutoShutdown, "stop when any, or all, significant children have ended")

_AS_A_CHILD = (
    Key("restart", Restart, "always, only after a crash, or never"),
    Key("shutdown", Shutdown, "how long it may take to stop before it is killed"),
    Key("significant", bool, "its end counts for the supervisor's auto_shutdown"),
)
_TYPE = Key("type", Literal["actor", "supervisor", "dynamic", "partition"], "what it is; 'actor' unless said")
_NAME = Key("name", Text, "unique among its siblings; by default the class's, in snake_case")
_AFTER = Key("after", list[Text], "siblings that are started before it, and stopped after it")
_METADATA = Key("metadata", dict[str, Any], "what the name says of the actor: by it others can select it")
_PLACEMENT = Key("placement", Place, "in which process it lives")
_START = Key("start", Target, "the actor class to import; importing runs that module's code", required=True)
_ARGUMENTS = (
    Key("args", list[Any], "positional arguments of __init__"),
    Key("kwargs", dict[str, Any], "keyword arguments of __init__"),
)
_CHILDREN = "supervisor.children"

_HOSTED = (
    Key("mailbox", MAILBOX, "bounds of its mailbox"),
    Key("snapshots", SNAPSHOTS, "when its state is kept, and where"),
    Key("init_timeout", Duration, "how long __init__ and on_start may take", "init_timeout_s"),
    Key("redeliver", whole(0, 1000), "how often a message that was in hand at a crash is tried again"),
)

ACTOR = Table(
    _CHILDREN,
    "A child that is an actor.",
    (_TYPE, _NAME, _AFTER, _METADATA, _START, *_ARGUMENTS, *_AS_A_CHILD, _PLACEMENT, *_HOSTED),
    ChildSpec,
)
COPY = Table("copies", "What holds for each copy.", (*_AS_A_CHILD[:2], _PLACEMENT, *_HOSTED), ChildSpec)
DYNAMIC = Table(
    f'{_CHILDREN} with type = "dynamic"',
    "A supervisor whose children are started at run time.",
    (
        _TYPE,
        _NAME,
        _AFTER,
        *_SUPERVISING[1:],
        Key("max_children", whole(0), "one more is refused; no limit unless given"),
        *_AS_A_CHILD,
        _PLACEMENT,
    ),
    DynamicSupervisor,
)
PARTITION = Table(
    f'{_CHILDREN} with type = "partition"',
    "One actor several times; a stable hash of a key says which copy serves it.",
    (
        _TYPE,
        _NAME,
        _AFTER,
        _START,
        *_ARGUMENTS,
        Key("partitions", whole(1, 65_536), "how many copies", required=True),
        Key("with_partition", Text, "the keyword argument by which each copy gets its number"),
        Key("copies", COPY, "restart, placement, mailbox and so on of each copy"),
        *_SUPERVISING,
        *_AS_A_CHILD,
        _PLACEMENT,
    ),
    PartitionSupervisor,
)
NESTED = Table(
    f'{_CHILDREN} with type = "supervisor"',
    "A supervisor with children of its own.",
    (
        _TYPE,
        _NAME,
        _AFTER,
        *_SUPERVISING,
        _AUTO_SHUTDOWN,
        *_AS_A_CHILD,
        _PLACEMENT,
        Key("children", Children, "its children, started in this order (but for `after`) and stopped in the reverse"),
    ),
    Supervisor,
)
CHILD_TABLES: dict[str, Table] = {"actor": ACTOR, "supervisor": NESTED, "dynamic": DYNAMIC, "partition": PARTITION}

SUPERVISOR = Table(
    "supervisor",
    "The root of the supervision tree.",
    (
        Key("name", Text, "its name"),
        *_SUPERVISING,
        _AUTO_SHUTDOWN,
        _PLACEMENT,
        Key("children", Children, "its children, started in this order (but for `after`) and stopped in the reverse"),
    ),
    Supervisor,
)

JOB = Table(
    "job",
    "What `actorlab run` does with the running node; it ends when the job ends.",
    (
        Key("run", Target, "the function to call: job(node, options, report) -> exit code", required=True),
        Key("options", dict[str, Any], "free; given to the function, the command line's options over them"),
    ),
)

FILE = Table(
    "",
    "A configuration file.",
    (
        Key("include", list[Text], "files that this one is laid over; their paths are relative to it"),
        Key("environment", list[Text], "the variables that texts may name, as in '${REGION}' or '${REGION:-eu}'"),
        Key("node", NODE, NODE.help),
        Key("supervisor", SUPERVISOR, SUPERVISOR.help),
        Key("job", JOB, JOB.help),
    ),
)
