"""Loading: TOML files to a `Config` that is ready to run, or one ConfigError with everything that is wrong with them.

Edge: reads the files and **imports the modules they name, which runs their code**. Therefore a file that somebody else
could have written is refused before it is read (sources). Modules are looked for on this process's `sys.path`; the
command line puts the directory it was started in there, as `python -m` does. Starts nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import Any

from ..actor import Mailbox
from ..errors import ConfigError, SpecError
from ..lean_dataclass import dataclass
from ..memory import DatasetSettings, PoolSettings
from ..node import MemoryLimits, NodeOptions, RecycleOptions, RegistryOptions, WorkerOptions
from ..supervision import Supervisor
from .read import Given, Problems, read
from .resolve import resolve_function
from .schema import NODE
from .sources import gather
from .tree import TreeBuilder, construct


@dataclass(frozen=True, slots=True)
class Job:
    """The function that `actorlab run` calls with the running node, and the options the file gives it."""

    target: str
    function: Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Config:
    """Files that were found good: the node's options, its supervision tree and its job, the last two if any.

    `file` is how they are called together, `files` are those that were named, `environment` the variables they may
    name.
    """

    file: str
    node: NodeOptions
    tree: Supervisor | None = None
    job: Job | None = None
    files: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()


def load(
    *paths: str | os.PathLike[str],
    allowed_modules: Iterable[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Read, check and resolve a configuration: one file, or several, each laid over those before it.

    `environment` (os.environ, unless given) is where the variables are looked up that the files name. `allowed_modules`
    are the modules and packages that `start` and `run` may name; any, unless given. Raises ConfigError with all
    problems at once, each with its file where there are several.
    """
    files = tuple(os.fspath(path) for path in paths)
    file = " + ".join(files)
    problems = Problems()
    whole, unfilled = gather(files, os.environ if environment is None else environment)
    document = whole.document
    given = read(document, problems)
    allowed = None if allowed_modules is None else tuple(allowed_modules)

    node_given = given.values.get("node", Given(NODE, "node"))
    node = _node(node_given, problems)
    tree = None
    if "supervisor" in given.values:
        workers = node.workers if node else node_given.values.get("workers")
        tree = TreeBuilder(problems, workers, allowed).supervisor(given.values["supervisor"])
    job = _job(given.values["job"], allowed, problems) if "job" in given.values else None
    unknown = {path for path, _ in unfilled}  # what is wrong with them otherwise, too, nobody can say
    problems.found = unfilled + [problem for problem in problems.found if problem[0] not in unknown]
    if problems.found:
        found = problems.in_order(document)
        if len(set(whole.origins.values())) > 1:
            found = [(path, f"{text} ({whole.origin(path) or file})") for path, text in found]
        raise ConfigError(file, tuple(found))
    assert node is not None and (tree is not None or "supervisor" not in given.values), "a problem was not noted"
    return Config(file, node, tree, job, files, whole.variables)


_NESTED = (
    ("mailbox", Mailbox),
    ("registry", RegistryOptions),
    ("memory", MemoryLimits),
    ("recycle", RecycleOptions),
    ("worker", WorkerOptions),
)
"""The tables within [node] that become a class of their own."""


def _node(given: Given, problems: Problems) -> NodeOptions | None:
    values = dict(given.values)
    for name, make in _NESTED:
        if name in values:
            nested: Given = values.pop(name)
            if "index" in nested.values:
                nested.values["index"] = tuple(nested.values["index"])
            if (made := construct(make, nested, nested.values, problems)) is not None:
                values[name] = made
    if "pools" in values:
        values["pools"] = _pools(values["pools"], problems)
    for name in ("preload", "gc_thresholds"):
        if name in values:
            values[name] = tuple(values[name])
    return construct(NodeOptions, given, values, problems)


def _pools(given: Mapping[str, Given], problems: Problems) -> dict[str, PoolSettings]:
    pools: dict[str, PoolSettings] = {}
    for name, one in given.items():
        values = dict(one.values)
        datasets = {
            dataset: construct(DatasetSettings, own, own.values, problems)
            for dataset, own in values.pop("datasets", {}).items()
        }
        values["datasets"] = {dataset: own for dataset, own in datasets.items() if own is not None}
        if (made := construct(PoolSettings, one, values, problems)) is not None:
            pools[name] = made
    return pools


def _job(given: Given, allowed: tuple[str, ...] | None, problems: Problems) -> Job | None:
    target = given.values.get("run")
    if target is None:
        return None
    try:
        function = resolve_function(target, allowed)
    except SpecError as error:
        problems.add(given.at("run"), str(error))
        return None
    return Job(target, function, given.values.get("options", {}))
