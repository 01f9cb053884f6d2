"""The works of the contest: what is measured, in what unit, and how much of it each player does.

Pure. A player that cannot do a work at all does not have it; one that is slow does less of it, for its figure is a
rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Work:
    """One row of the table."""

    name: str
    title: str
    unit: str
    more_is_better: bool = False


WORKS = (
    Work("call", "call between processes, answer awaited", "µs"),
    Work("call_local", "call within a process", "µs"),
    Work("tell", "messages between two processes, until handled", "msg/s", True),
    Work("tell_local", "messages within a process, until handled", "msg/s", True),
    Work("array", "1 MB arrays to another process", "GB/s", True),
    Work("fan", "100 calls at once, all answers awaited", "µs"),
    Work("spawn", "actors started", "actors/s", True),
    Work("idle", "private memory an idle actor", "bytes"),
    Work("context", "memory that 4 actors with one 200 MB table add", "MB"),
    Work("restart", "SIGKILL of its process until an actor answers again", "ms"),
    Work("start", "start of everything until the first answer", "s"),
    Work("base", "memory of everything, idle (PSS)", "MB"),
)


ALONE = frozenset({"idle", "context", "restart"})
"""For each of these a player is started anew: memory that an earlier work left free would not be counted again, and
actors that it left behind would come back from a kill, too."""


@dataclass(frozen=True, slots=True)
class Player:
    """Somebody who does the works: a script, the packages it needs, and how much of each work it does."""

    name: str
    script: str
    amounts: Mapping[str, int]
    packages: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    """What must be installed on the machine for it to play; where one is not, it is not in the tables."""
    cannot: Mapping[str, str] = field(default_factory=dict)
    """Why it does not do the works that it does not do."""


_CLIENT = "an actor is asked from the client, through the scheduler"
_PROCESS_EACH = "a process each"

PLAYERS = (
    Player(
        "actorlab",
        "ours.py",
        {
            "call": 5000, "call_local": 20000, "tell": 200000, "tell_local": 200000, "array": 500, "fan": 100,
            "spawn": 10000, "idle": 20000, "context": 4, "restart": 5, "base": 1,
        },
    ),
    Player("actorlab (fork)", "ours.py", {"base": 1}, arguments=("fork",)),
    Player(
        "Ray",
        "ray_player.py",
        {
            "call": 1000, "tell": 10000, "array": 200, "fan": 20, "spawn": 12, "idle": 6,
            "context": 4, "restart": 3, "base": 1,
        },
        ("ray>=2.40",),
        cannot={"call_local": _PROCESS_EACH, "tell_local": _PROCESS_EACH},
    ),
    Player(
        "xoscar",
        "xoscar_player.py",
        {
            "call": 2000, "call_local": 5000, "tell": 20000, "tell_local": 50000, "array": 200, "fan": 50,
            "spawn": 1000, "idle": 1000, "context": 4, "restart": 3, "base": 1,
        },
        ("xoscar>=0.7",),
    ),
    Player(
        "Dask actors",
        "dask_player.py",
        {"call": 500, "tell": 2000, "array": 50, "fan": 10, "spawn": 200, "idle": 200, "context": 4, "base": 1},
        ("distributed>=2024.1", "dask>=2024.1"),
        cannot={
            "call_local": _CLIENT, "tell_local": _CLIENT, "restart": "an actor is lost with its worker",
        },
    ),
    Player(
        "Thespian",
        "thespian_player.py",
        {"call": 500, "tell": 2000, "array": 30, "spawn": 10, "base": 1},
        ("thespian>=4",),
        cannot={
            "call_local": _PROCESS_EACH, "tell_local": _PROCESS_EACH, "restart": "nobody restarts an actor",
            "fan": "who is outside asks one at a time", "context": "to hand 200 MB to one actor takes a minute",
        },
    ),
    Player(
        "BEAM",
        "beam_player.py",
        {
            "call": 5000, "call_local": 20000, "tell": 200000, "tell_local": 1000000, "array": 300, "fan": 100,
            "spawn": 100000, "idle": 100000, "context": 4, "restart": 3, "base": 1, "pingpong": 200000,
            "counting": 1000000, "threadring": 500000, "forkjoin_create": 50000, "forkjoin_throughput": 1000000,
        },
        programs=("erl", "erlc"),
    ),
    Player(
        "Pykka",
        "pykka_player.py",
        {"call_local": 3000, "tell_local": 100000, "fan": 50, "spawn": 2000, "idle": 1000, "base": 1},
        ("pykka>=4.4",),
        cannot=dict.fromkeys(("call", "tell", "array", "context", "restart"), "threads of one process"),
    ),
    Player(
        "multiprocessing",
        "processes.py",
        {"call": 3000, "tell": 100000, "array": 300, "spawn": 4, "restart": 5, "base": 1},
        cannot={
            "call_local": _PROCESS_EACH, "tell_local": _PROCESS_EACH, "fan": "there are no 100 actors to ask",
            "context": "shared memory is laid out by hand there",
        },
    ),
)

_SAVINA = {
    "pingpong": ("ping-pong", 40_000),
    "counting": ("counting actor", 200_000),
    "threadring": ("thread ring", 100_000),
    "forkjoin_create": ("fork-join, actors made", 5_000),
    "forkjoin_throughput": ("fork-join, throughput", 200_000),
    "chameneos": ("chameneos", 40_000),
    "big": ("big", 50_000),
    "boundedbuffer": ("bounded buffer", 40_000),
    "philosophers": ("dining philosophers", 40_000),
    "barber": ("sleeping barber", 8_000),
    "banking": ("banking transactions", 40_000),
    "dictionary": ("concurrent dictionary", 80_000),
}

SAVINA_WORKS = tuple(Work(name, f"Savina: {title}", "msg/s", True) for name, (title, _) in _SAVINA.items())


def _plays_savina(name: str, share: float, *packages: str) -> Player:
    amounts = {work: max(400, int(n * share)) for work, (_, n) in _SAVINA.items()}
    return Player(name, "savina.py", amounts, packages, (name.lower(),))


SAVINA_PLAYERS = (
    _plays_savina("actorlab", 1.0),
    _plays_savina("Pykka", 0.25, "pykka>=4.4"),
    _plays_savina("xoscar", 0.1, "xoscar>=0.7"),
)

ALL_NEED = ("psutil>=6", "numpy>=1.26", "pyarrow>=18")


def parts(amounts: Mapping[str, int]) -> list[dict[str, int]]:
    """Return what a player does in one go, and what it is started anew for.

    >>> parts({"call": 5, "idle": 2, "tell": 7})
    [{'call': 5, 'tell': 7}, {'idle': 2}]
    """
    together = {work: n for work, n in amounts.items() if work not in ALONE}
    return [together, *({work: n} for work, n in amounts.items() if work in ALONE)]
