"""Runner: `actorlab run`, from a loaded configuration to an exit code.

Edge (processes, signals); used by the command line only, never by an embedded node, which must leave signals alone.
Guarantees that the node is stopped on every way out: ordered on the first Ctrl-C or SIGTERM, brutally on the second.
"""

from __future__ import annotations

import logging
import signal
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from .console import Console
from .errors import SpecError
from .lean_dataclass import dataclass
from .reload import Answer, Reloader
from .service import ServiceManager
from .telemetry import Event, Level

if TYPE_CHECKING:
    from .config import Config


class RunningNode(Protocol):
    """What the runner needs of a node: it runs within `with`, which stops it, too, if it still runs."""

    @property
    def name(self) -> str: ...

    @property
    def directory(self) -> Path | None:
        """Where its files are; None for an embedded one, which nobody can see from outside."""

    def is_well(self) -> bool:
        """Whether its controller answers; blocks for a few seconds at most."""

    def amend(self, tree: Any, *, dry_run: bool = False) -> tuple[Any, ...]:
        """Make its tree into another."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> object: ...

    def wait(self) -> str | None:
        """Block until the node ends by itself, and return why; None if it ended as it should."""

    def stop(self, *, brutal: bool = False) -> object:
        """Stop everything, blocking: in order, or at once. May be interrupted, then called again with brutal."""


NodeFactory = Callable[..., RunningNode]
"""`Node(options, tree=…, on_event=…)`; starts nothing before it is entered."""


class Interrupted(KeyboardInterrupt):
    """A signal asked us to end; the argument is its number. Not an Exception, so that jobs do not swallow it."""


def run(
    config: Config,
    options: Mapping[str, Any],
    make_node: NodeFactory,
    console: Console,
    load: Callable[..., Config] | None = None,
) -> int:
    """Run a configuration until its job is done, its tree has ended or a signal comes; return the exit code.

    `load` reads files again for a reload; without it none is possible. 0 done, what the job returned, 1 the tree gave
    up, 128 + n a job cut short by signal n. Blocks; main thread only.
    """
    manager = ServiceManager()
    with _signals_as_interrupts() as signals, _logging_to(console, config.node.log_level):
        node = make_node(config.node, tree=config.tree, on_event=console.happened)
        try:
            with node:
                reloader = Reloader(node, config, load, partial(_reloaded, console, manager, node))
                # the announcement first: the thread may be done, and have said so, before this one goes on
                signals.reload = lambda: reloader.is_wanted() and manager.reloading() and reloader.begin()
                try:
                    manager.ready(f"node {node.name} runs", node.is_well)
                    signals.decide()
                    if config.job is not None:
                        return int(config.job.function(node, {**config.job.options, **options}, console) or 0)
                    console.note(f"node {node.name} runs; Ctrl-C stops it in order, a second one at once")
                    return _ended(node.wait(), console)
                except KeyboardInterrupt as interrupt:
                    console.note("stopping; once more stops at once", "warning")
                    return 128 + _signal_of(interrupt) if config.job is not None else 0
                finally:
                    _stop(node, console, manager.stopping, reloader.close)
        except KeyboardInterrupt as interrupt:  # while it started, or while it was left
            return 128 + _signal_of(interrupt)


def _ended(why: str | None, console: Console) -> int:
    if why is None:
        return 0
    console.fail(why)
    return 1


def _stop(node: RunningNode, console: Console, *before: Callable[[], None]) -> None:
    try:
        for step in before:
            step()
        node.stop()
    except KeyboardInterrupt:
        # from here on there is nothing left that a third one could ask for
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        console.note("stopping at once", "warning")
        node.stop(brutal=True)


def _signal_of(interrupt: KeyboardInterrupt) -> int:
    return int(interrupt.args[0]) if interrupt.args else signal.SIGINT


def _reloaded(console: Console, manager: ServiceManager, node: RunningNode, answer: Answer | None) -> None:
    """Say what a reload did, here and to the service manager."""
    if answer is not None:
        what = "would be done" if answer.dry_run else "reloaded"
        if answer.error is not None:
            console.note(f"reload failed: {answer.error}", "error")
        else:
            console.note(f"{what}: {'; '.join(answer.done) or 'nothing has changed'}")
        for option in answer.later:
            console.note(f"needs a new start: {option}", "warning")
    manager.ready(f"node {node.name} runs", node.is_well)


@dataclass(slots=True)
class _Signals:
    """What a SIGHUP means: a wish to reload, if there is one, or else the end. While the node starts it is kept."""

    reload: Callable[[], bool] | None = None
    kept: bool = False

    def hang_up(self) -> None:
        """A SIGHUP has come. Raises Interrupted if it is the end."""
        if self.reload is None:
            self.kept = True
        elif not self.reload():
            raise Interrupted(signal.SIGHUP)

    def decide(self) -> None:
        """See to the one that was kept, if there is one."""
        if self.kept:
            self.hang_up()


@contextmanager
def _signals_as_interrupts() -> Iterator[_Signals]:
    """Have SIGINT, SIGTERM and SIGHUP raise Interrupted in this thread; put the handlers back afterwards."""
    signals = _Signals()

    def raise_interrupted(number: int, frame: FrameType | None) -> None:
        if number != signal.SIGHUP:
            raise Interrupted(number)
        signals.hang_up()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, raise_interrupted) for number in numbers]
    try:
        yield signals
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


class _Records(logging.Handler):
    """Shows log records, also those that workers sent, as events of kind `log`; not those that an event tells of."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        if hasattr(record, "event"):
            return
        level: Level = "info"
        if record.levelno >= logging.WARNING:
            level = "error" if record.levelno >= logging.ERROR else "warning"
        try:
            text = f"{record.levelname} {record.name}: {self.format(record)}"
            fields = {"logger": record.name, "process": record.process, "severity": record.levelname}
            self._console.happened(Event(record.created, "log", text, level, fields))
        except Exception:
            self.handleError(record)


@contextmanager
def _logging_to(console: Console, level: str) -> Iterator[None]:
    handler, root = _Records(console), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(level)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


def read_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Return `key=value` texts as options; a value that is TOML is read as such, any other is a text.

    >>> read_settings(["k=3", "deep=true", "title=Red and blue"])
    {'k': 3, 'deep': True, 'title': 'Red and blue'}
    """
    options: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise SpecError("--set", f"must be key=value, not {setting!r}")
        try:
            # a document with more than this one key was not a value
            (options[key.strip()],) = tomllib.loads(f"value = {value}").values()
        except (tomllib.TOMLDecodeError, ValueError):
            options[key.strip()] = value
    return options


def read_queries(file: str) -> list[str]:
    """Return the lines of a file (`-`: standard input) that are not blank."""
    try:
        if file == "-":
            lines = sys.stdin.readlines()
        else:
            with open(file, encoding="utf-8") as stream:
                lines = stream.readlines()
    except OSError as error:
        raise SpecError("--queries", f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SpecError("--queries", f"{file} is not UTF-8") from None
    if not (queries := [line.strip() for line in lines if line.strip()]):
        raise SpecError("--queries", f"{file} holds no query: one a line")
    return queries
