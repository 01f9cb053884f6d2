"""Loading: a TOML file to a `Config` that is ready to run, or one ConfigError with everything that is wrong with it.

Edge: reads the file and **imports the modules it names, which runs their code**. Therefore a file that somebody else
could have written is refused before it is read. Modules are looked for on this process's `sys.path`; the command line
puts the directory it was started in there, as `python -m` does. Starts nothing.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..actor import Mailbox
from ..errors import ConfigError, SpecError
from ..node import NodeOptions, RegistryOptions
from ..supervision import Supervisor
from .read import Given, Problems, read
from .resolve import resolve_function
from .schema import NODE
from .tree import TreeBuilder, construct

_LARGEST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """The function that `actorlab run` calls with the running node, and the options the file gives it."""

    target: str
    function: Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Config:
    """A file that was found good: the node's options, its supervision tree and its job, the last two if it has any."""

    file: str
    node: NodeOptions
    tree: Supervisor | None = None
    job: Job | None = None


def load(path: str | os.PathLike[str], *, allowed_modules: Iterable[str] | None = None) -> Config:
    """Read, check and resolve a configuration file.

    `allowed_modules` are the modules and packages that `start` and `run` may name; any, unless given. Raises
    ConfigError with all problems at once.
    """
    file = os.fspath(path)
    problems = Problems()
    document = _parse(_contents(file), file)
    given = read(document, problems)
    allowed = None if allowed_modules is None else tuple(allowed_modules)

    node_given = given.values.get("node", Given(NODE, "node"))
    node = _node(node_given, problems)
    tree = None
    if "supervisor" in given.values:
        workers = node.workers if node else node_given.values.get("workers")
        tree = TreeBuilder(problems, workers, allowed).supervisor(given.values["supervisor"])
    job = _job(given.values["job"], allowed, problems) if "job" in given.values else None
    if problems.found:
        raise ConfigError(file, tuple(problems.in_order(document)))
    assert node is not None and (tree is not None or "supervisor" not in given.values), "a problem was not noted"
    return Config(file, node, tree, job)


def _node(given: Given, problems: Problems) -> NodeOptions | None:
    values = dict(given.values)
    for name, make in (("mailbox", Mailbox), ("registry", RegistryOptions)):
        if name in values:
            nested: Given = values.pop(name)
            if (made := construct(make, nested, nested.values, problems)) is not None:
                values[name] = made
    for name in ("preload", "gc_thresholds"):
        if name in values:
            values[name] = tuple(values[name])
    return construct(NodeOptions, given, values, problems)


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


def _contents(file: str) -> bytes:
    try:
        # O_NONBLOCK: a FIFO must be refused, not waited for
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise _refuse(file, "there is no such file") from None
    except OSError as error:
        raise _refuse(file, f"cannot be read: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _refuse(file, "is not a file")
        _check_safe(file, found)
        if found.st_size > _LARGEST_BYTES:
            raise _refuse(file, f"has {found.st_size:,} bytes; a configuration has at most {_LARGEST_BYTES:,}")
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read()
    finally:
        os.close(descriptor)


def _check_safe(file: str, found: os.stat_result) -> None:
    """Refuse a file that others may write to: it names code that runs as whoever loads it."""
    if found.st_uid not in (0, os.geteuid()):
        raise _refuse(
            file,
            f"belongs to uid {found.st_uid}, who could run code as you through it; "
            f"if you trust its contents: chown {os.geteuid()} {file}",
        )
    if found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and not _is_private_group(found.st_gid)):
        who = "everybody" if found.st_mode & stat.S_IWOTH else f"the members of group {found.st_gid}"
        raise _refuse(
            file,
            f"may be written by {who} (mode {stat.S_IMODE(found.st_mode):o}), who could run code as you through it; "
            f"chmod go-w {file}",
        )


def _is_private_group(gid: int) -> bool:
    """Whether a group has the user as its only member: many systems give each user one and a umask of 002.

    Root is never taken to have one: what root runs is worth a chmod.
    """
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    mine = user.pw_uid != 0 and user.pw_gid == gid and group.gr_name == user.pw_name
    return mine and set(group.gr_mem) <= {user.pw_name}


def _parse(contents: bytes, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(contents.decode())
    except UnicodeDecodeError as error:
        raise _refuse(file, f"is not UTF-8: byte {error.start} is {contents[error.start]:#04x}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _refuse(file, f"is not TOML: {error}") from None


def _refuse(file: str, why: str) -> ConfigError:
    return ConfigError(file, (("", why),))
