"""Stores: wherever the source stores to what processes share, a crash point stands just before it and just after it.

Edge (reads files; imports none of them); used by the test suite and by hand:

    python -m tools.check_stores [folder that holds actorlab/]

A store is

- an assignment to a part of a shared view: `self.words[TAIL] = …`, `status[a:b] = …`, `words[WAITS] += 1`, and
  `pack_into`. A view is what is cut out of a segment's `buf` or `mmap` by a slice, `cast` or `memoryview`, under
  whatever name;
- a call that changes files or their names: `os.pwrite`, `os.link`, `os.replace`, `path.unlink`, `os.ftruncate`, …
  A function that is nothing but such a call (`segment.unlink`) counts as one, so that its callers are looked at.

The rule, for every function read from top to bottom: **crash points and stores take turns, a crash point first and
last**, and no way out (return, raise, break, continue) stands between a store and the crash point behind it. Ways out
in an `except` clause do not count: there the store was not made. One crash point between two stores serves both.

What has none says why: in a line `# no crash point: …` just above it, or in excused_stores.py, by its function and what
it stores to. A reason that fits nothing is an error, too. That somebody is killed at each crash point is what
check_promises.py and tests/conftest.py see to. Not seen: what is written through a file object (to files that are not
linked into place yet), the moment at which `open` makes an empty file, and a view that is an argument under a name no
view has.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.check_promises import CRASH
from tools.excused_stores import EXCUSED

PACKAGES = ("actor", "memory", "node", "registry", "transport")
REASON = re.compile(r"^[ \t]*# no crash point: \S")

ROOTS = frozenset({"buf", "mmap"})
"""What a `Segment` calls its bytes; everything else that is shared is cut out of these."""

CALLS = frozenset({
    "allocate", "fill_holes", "ftruncate", "hardlink_to", "madvise", "mkdir", "mkfifo", "pack_into", "posix_fallocate",
    "pwrite", "pwritev", "rename", "resize_file", "rmdir", "rmtree", "symlink", "symlink_to", "touch", "truncate",
    "unlink", "utime", "write_bytes", "write_text", "writev",
})  # fmt: skip
"""Functions that store, whatever they are called on."""

OF_OS = frozenset({"os.link", "os.remove", "os.replace", "os.write"})
"""Those that do so in `os`, while other things have methods of the same name."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Excuses = Mapping[str, Mapping[tuple[str, str], str]]


@dataclass(frozen=True, order=True)
class Event:
    """A place in the source: a "crash" point, a "store" (`what`: to what, as the source writes it) or a "way out"."""

    line: int
    column: int
    kind: str
    what: str = ""


def name_of(expression: ast.expr) -> str:
    """Return the last name of `a.b.c`, or of a name; "" for anything else."""
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ""


def is_view(expression: ast.expr, views: set[str]) -> bool:
    """Return whether an expression shows shared bytes: a view's name, or a slice, a cast or a memoryview of one."""
    match expression:
        case ast.Subscript(value=inner, slice=ast.Slice()):
            return is_view(inner, views)
        case ast.Call(func=ast.Attribute(value=inner, attr="cast" | "toreadonly")):
            return is_view(inner, views)
        case ast.Call(func=ast.Name(id="memoryview"), args=[inner]):
            return is_view(inner, views)
    return name_of(expression) in views


def bindings(tree: ast.Module) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield each target with the expression that it is bound to, tuples taken apart."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    yield from zip(target.elts, node.value.elts, strict=False)
                else:
                    yield target, node.value


def views_of(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    """Return the names that shared views have in each module: attributes of any module, variables of its own."""
    attributes = set(ROOTS)
    own: dict[str, set[str]] = {module: set() for module in trees}
    size = -1
    while size != (size := len(attributes) + sum(map(len, own.values()))):
        for module, tree in trees.items():
            for target, value in bindings(tree):
                if is_view(value, attributes | own[module]):
                    if isinstance(target, ast.Attribute):
                        attributes.add(target.attr)
                    elif isinstance(target, ast.Name):
                        own[module].add(target.id)
    return {module: attributes | names for module, names in own.items()}


def functions(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Yield the module's own statements and each function, by its dotted name."""
    if not inside:
        yield "(module)", tree
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function | ast.ClassDef):
            name = f"{inside}.{node.name}".lstrip(".")
            if isinstance(node, Function):
                yield name, node
            yield from functions(node, name)
        else:
            yield from functions(node, inside or ".")


def own_nodes(function: ast.AST, excepting: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Yield the nodes of a function without those of functions in it, and whether they are in an `except` clause."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, Function | ast.ClassDef):
            within = excepting or isinstance(node, ast.ExceptHandler)
            yield node, within
            yield from own_nodes(node, within)


def stored_to(node: ast.AST, views: set[str]) -> Iterator[ast.expr]:
    """Yield what a node stores to, if it is a store: the parts of views, or the function called."""
    if isinstance(node, ast.Assign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            for one in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(one, ast.Subscript) and is_view(one.value, views):
                    yield one
    elif isinstance(node, ast.Call) and (name_of(node.func) in CALLS or ast.unparse(node.func) in OF_OS):
        yield node.func


def lines_of(function: ast.AST, source: list[str]) -> range:
    """Return the lines of a function, from 1, with the comments that follow its last statement."""
    if not isinstance(function, Function):
        return range(1, len(source) + 1)
    last = function.end_lineno or function.lineno
    for at in range(last + 1, len(source) + 1):
        text = source[at - 1]
        if text.strip():
            if not text.lstrip().startswith("#") or len(text) - len(text.lstrip()) <= function.col_offset:
                break
            last = at
    return range(function.lineno, last + 1)


def events_of(function: ast.AST, labels: Iterable[int], views: set[str]) -> list[Event]:
    """Return what a function has of crash points (at those lines), stores and ways out, in the order of the source."""
    events = [Event(line, 0, "crash") for line in labels]
    for node, excepting in own_nodes(function):
        if isinstance(node, ast.Return | ast.Raise | ast.Break | ast.Continue) and not excepting:
            events.append(Event(node.lineno, node.col_offset, "way out"))
        events += [Event(to.lineno, to.col_offset, "store", ast.unparse(to)) for to in stored_to(node, views)]
    return sorted(events)


def violations_in(
    source: list[str],
    tree: ast.Module,
    views: set[str],
    excused: Collection[tuple[str, str]],
    used: set[tuple[str, str]],
) -> Iterator[str]:
    """Yield the stores of a module that have no crash point before or behind them; add the excuses that fit to `used`.

    Each as "line: what is wrong".
    """
    labels = [line for line, text in enumerate(source, 1) if CRASH.match(text)]
    reasons = {line for line, text in enumerate(source, 1) if REASON.match(text)}
    unused = set(reasons)
    whole = list(functions(tree))
    for where, function in whole:
        lines = lines_of(function, source)
        inner = [lines_of(one, source) for name, one in whole if one is not function and name.startswith(f"{where}.")]
        own = [line for line in labels if line in lines and not any(line in one for one in inner)]
        events = []
        for event in events_of(function, own, views):
            if (where, event.what) in excused:
                used.add((where, event.what))
            elif event.kind == "store" and event.line - 1 in reasons:
                unused.discard(event.line - 1)
            else:
                events.append(event)
        for at, event in enumerate(events):
            if event.kind == "store":
                before = next((one.kind for one in reversed(events[:at]) if one.kind != "way out"), "")
                behind = events[at + 1].kind if at + 1 < len(events) else ""
                missing = " and ".join(
                    word for word, kind in (("before", before), ("behind", behind)) if kind != "crash"
                )
                if missing:
                    yield f"{event.line}: {where} stores to {event.what}: no crash point {missing} it"
    for line in sorted(unused):
        yield f"{line}: a reason why there is no crash point, and no store that lacks one"


def violations(top: Path, excused: Excuses = EXCUSED) -> Iterator[str]:
    """Yield every store without its crash points, and what is excused for nothing."""
    paths = [path for package in PACKAGES for path in sorted((top / "actorlab" / package).rglob("*.py"))]
    sources = {str(path.relative_to(top / "actorlab")): path.read_text("utf-8") for path in paths}
    trees = {module: ast.parse(source) for module, source in sources.items()}
    views = views_of(trees)
    for module, tree in trees.items():
        used: set[tuple[str, str]] = set()
        excuses = excused.get(module, {})
        found = violations_in(sources[module].splitlines(), tree, views[module], excuses, used)
        yield from (f"{module}:{one}" for one in found)
        for where, what in sorted(set(excuses) - used):
            yield f"{module}: {where} stores no {what}, and is excused for it"
    for module in sorted(set(excused) - set(trees)):
        yield f"{module}: there is none, and it is excused"


def main(arguments: list[str]) -> int:
    """Print every violation; return 1 if there is one."""
    found = list(violations(Path(arguments[0]) if arguments else Path(__file__).parents[1]))
    print("\n".join(found) if found else "every store to shared memory has its crash points, or a reason")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
