"""Probes: marks in the code that runs in production, between its statements, each of which notes when it is passed.

Edge (compiles the project's functions anew, and puts the code in their place, in this process and those forked of it).
A probe is one more statement; every other is the production code's, where it was, so what is timed is never a copy that
has gone its own way. What a probe itself costs is measured by two of them with nothing between (`EMPTY`), in the same
run, and taken off. A place that is not found is an error: the code has changed, and its steps with it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from types import CodeType
from typing import Any, Literal

EMPTY = "a probe"
"""The step between two probes that stand next to each other."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One mark: `step` is what ends there.

    `function` is `module:qualname` of a function of a module or a class; `at` the beginning of a line in it, or in a
    function within it; it stands `before` or `after` the statement that begins there, at the top `of` a function's
    body, or `within` the statement, once the first argument of the call in it is there. Every line that begins so is
    marked.
    """

    step: str
    function: str
    where: Literal["before", "after", "of", "within"]
    at: str


stamps: dict[str, list[int]] = {}
"""When each step ended, in this process, since `reset`."""


def reset() -> None:
    """Forget all that was noted."""
    for noted in stamps.values():
        noted.clear()


def taken() -> dict[str, list[int]]:
    """Return what was noted since `reset`."""
    return {step: list(noted) for step, noted in stamps.items()}


def plant(probes: Sequence[Probe], clock: Callable[[], int] = time.perf_counter_ns) -> None:
    """Put probes into the functions they name; `clock` is what they note. Before threads and processes are made.

    LookupError names a place that is not there.
    """
    by_function: dict[str, list[Probe]] = defaultdict(list)
    for probe in probes:
        by_function[probe.function].append(probe)
        stamps.setdefault(probe.step, [])
    names = {step: f"_note_{number}" for number, step in enumerate(stamps)}
    for path, wanted in by_function.items():
        function = found(path)
        code = _with_probes(function, wanted, names)
        function.__globals__.update({names[step]: noted.append for step, noted in stamps.items()}, _clock=clock)
        function.__code__ = code


def found(path: str) -> Any:
    """Return the function that `module:qualname` names."""
    module, _, qualname = path.partition(":")
    return reduce(lambda owner, name: vars(owner)[name], qualname.split("."), importlib.import_module(module))


def _with_probes(function: Any, probes: Sequence[Probe], names: dict[str, str]) -> CodeType:
    file = inspect.getsourcefile(function)
    assert file is not None
    lines = Path(file).read_text("utf-8").splitlines()
    first = function.__code__.co_firstlineno
    tree = next(
        node
        for node in ast.walk(ast.parse("\n".join(lines)))
        if isinstance(node, ast.FunctionDef) and node.lineno == first and node.name == function.__name__
    )
    places = [_places(tree, probe, lines) for probe in probes]
    for probe, statements in zip(probes, places, strict=True):
        if not statements:
            raise LookupError(f"no line begins with {probe.at!r} in {probe.function}: look what its steps are now")
    _Planter(list(zip(probes, places, strict=True)), names).visit(tree)
    module = ast.fix_missing_locations(ast.Module([tree], []))
    made = compile(module, file, "exec")  # with the future that this module has, as all of the project's have
    code = next(one for one in made.co_consts if isinstance(one, CodeType) and one.co_name == function.__name__)
    return code.replace(co_qualname=function.__code__.co_qualname)


def _places(tree: ast.FunctionDef, probe: Probe, lines: Sequence[str]) -> list[ast.stmt]:
    """Return the statements that begin as a probe says; of those that begin in one line the outermost."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and (lines[node.lineno - 1].strip() + "\n").startswith(probe.at)
        and lines[node.lineno - 1][: node.col_offset].strip() == ""
    ]  # fmt: skip


class _Planter(ast.NodeTransformer):
    """Puts the probes beside their statements."""

    def __init__(self, planned: Sequence[tuple[Probe, list[ast.stmt]]], names: dict[str, str]) -> None:
        self._planned = planned
        self._names = names

    def visit(self, node: ast.AST) -> Any:
        self.generic_visit(node)
        if not isinstance(node, ast.stmt):
            return node
        before: list[ast.stmt] = []
        after: list[ast.stmt] = []
        top: list[ast.stmt] = []
        for probe, statements in self._planned:
            if not any(statement is node for statement in statements):
                continue
            mark = ast.parse(f"{self._names[probe.step]}(_clock())").body
            for one in ast.walk(mark[0]):
                if hasattr(one, "lineno"):
                    ast.copy_location(one, node)
            if probe.where == "within":
                assert isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
                hoisted = ast.Assign([ast.Name("_hoisted", ast.Store())], node.value.args[0])
                before += [ast.copy_location(hoisted, node), *mark]
                node.value.args[0] = ast.Name("_hoisted", ast.Load())
            else:
                {"before": before, "after": after, "of": top}[probe.where].extend(mark)
        if top:
            assert isinstance(node, ast.FunctionDef)
            node.body = [*top, *node.body]
        return [*before, node, *after] if before or after else node
