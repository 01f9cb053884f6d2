"""The laws of the house, checked over the syntax trees of `actorlab/`.

Edge (reads source files; imports none of them); used by the test suite and by hand:

    python -m tools.check_architecture [folder that holds actorlab/]

Prints every violation as `file:line: law: text` and exits 1 when there is one. Not seen: imports through
`importlib` or strings, and a private name that another module happens to define too.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = "actorlab"
FLOORS = {
    **dict.fromkeys(("lean_asyncio", "lean_dataclass"), -1),  # the standard library's, leaner
    **dict.fromkeys(("errors", "ids", "message", "clock", "telemetry"), 0),
    "memory": 1,
    "transport": 2,
    "actor": 3,
    "registry": 4,
    "supervision": 5,
    "node": 6,
    **dict.fromkeys(("coordination", "resilience", "routing", "scaling", "tasks"), 7),
    **dict.fromkeys(("observe", "config", "testing", "corpus", "bridges"), 8),
    # What the command line is made of, in the order in which one may use the other.
    "console": 9,
    "service": 9,
    "reload": 9,
    "dashboard": 9,
    "top": 10,
    "usage": 10,
    "runner": 10,
    "statement": 10,
    "orders": 10,
    "watchers": 11,
    "cli": 12,
    "__main__": 13,
}
FORBIDDEN_NAMES = frozenset(("core", "base", "utils", "common", "helpers", "manager"))
MAY_ACT_ON_IMPORT = frozenset(("node/preload.py",))
MAX_LINES = 400

# What Linux alone has, or macOS at least lacks: names, and the beginnings of paths.
LINUX_ONLY = frozenset(
    (
        *("pidfd_open", "pidfd_send_signal", "F_SETSIG", "prctl", "waitid", "pipe2", "eventfd", "epoll", "inotify"),
        *("posix_fallocate", "MADV_REMOVE", "MADV_DONTNEED", "memfd_create", "F_ADD_SEALS", "F_GET_SEALS"),
        *("sched_setaffinity", "sched_getaffinity", "SO_PEERCRED", "SOCK_SEQPACKET", "SOCK_CLOEXEC", "accept4"),
        *("O_PATH", "O_TMPFILE", "F_SETPIPE_SZ", "splice", "close_range", "CLOCK_BOOTTIME", "SIGRTMIN"),
    )
)
LINUX_PATHS = ("/proc", "/dev/shm", "/sys/")
# Who names some of it: each asks for the capability itself, or is only come to where the other module has asked.
NAMES_LINUX = {
    **dict.fromkeys(("memory/capabilities", "memory/process_stat", "memory/space", "memory/lease", "memory/holders")),
    **dict.fromkeys(("memory/stream_lock", "transport/slab_file", "actor/selector", "node/boot", "node/identity")),
    **dict.fromkeys(("node/exits", "node/preload", "node/worker", "node/options", "node/surroundings")),
    **dict.fromkeys(("observe/processes", "dashboard/peer", "corpus/chaos", "testing/leaks", "reload")),
    **dict.fromkeys(("node/forkserver", "node/code_pages", "node/clean_slate"), "node/launch"),
    **dict.fromkeys(("memory/keeper", "memory/writing"), "memory/settings"),
    "node/footprint": "node/memory_watch",
    "node/worker_process": "node/boot",
}

# Private names that other projects define as a contract: tuples of the standard library, and Pykka's hooks for
# implementors, which setup.cfg pins and tests/contracts covers.
FOREIGN_PRIVATE = frozenset(
    (
        *("_replace", "_asdict", "_fields", "_make"),
        *("_actor_ref", "_actor_weakref", "_create_actor_inbox", "_create_future", "_start_actor_loop"),
        *("_handle_receive", "_handle_failure", "_stop", "_get_hook", "_get_hook_result", "_ActorStop"),
    )
)


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """One place that breaks one law."""

    file: str
    line: int
    law: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.law}: {self.text}"


@dataclass(frozen=True)
class Module:
    """One source file: where it stands, and its tree."""

    file: str
    parts: tuple[str, ...]  # below actorlab, the file's own name last; () for actorlab/__init__.py
    is_package: bool
    source: str
    siblings: frozenset[tuple[str, ...]]  # the parts of every module and package of the house

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, self.file)

    @property
    def unit(self) -> str:
        """The package or module that stands on a floor; "" is `actorlab/__init__.py`."""
        return self.parts[0] if self.parts else ""

    @property
    def package(self) -> tuple[str, ...]:
        return self.parts if self.is_package else self.parts[:-1]

    def violation(self, line: int, law: str, text: str) -> Violation:
        return Violation(self.file, line, law, text)


@dataclass(frozen=True, slots=True)
class Import:
    """One name that a module takes from another module of the house."""

    line: int
    target: tuple[str, ...]  # the module that is named, below actorlab
    name: str | None  # what is taken from it; None when it is the module itself
    bound: str  # the local name
    absolute: bool
    typing_only: bool


def read_house(top: Path) -> list[Module]:
    """Return every module of `top/actorlab`, in the order of their paths."""
    folder = top / ROOT
    found: list[tuple[Path, tuple[str, ...], bool]] = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        found.append((path, parts[:-1] if is_package else parts, is_package))
    siblings = frozenset(parts for _, parts, _ in found)
    return [Module(str(p.relative_to(top)), parts, pkg, p.read_text("utf-8"), siblings) for p, parts, pkg in found]


def is_type_checking(node: ast.AST) -> bool:
    """Whether `node` is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports_of(module: Module) -> Iterator[Import]:
    """Yield what `module` imports from the house, function-level imports too."""

    def visit(node: ast.AST, typing_only: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                parts = tuple(alias.name.split("."))
                if parts[0] == ROOT:
                    bound = alias.asname or parts[0]
                    yield Import(node.lineno, parts[1:], None, bound, absolute=True, typing_only=typing_only)
        elif isinstance(node, ast.ImportFrom):
            named = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                base = module.package[: len(module.package) - (node.level - 1)] + named
            elif named and named[0] == ROOT:
                base = named[1:]
            else:
                return
            for alias in node.names:
                child = (*base, alias.name)
                target, name = (child, None) if child in module.siblings else (base, alias.name)
                bound = alias.asname or alias.name
                yield Import(node.lineno, target, name, bound, absolute=not node.level, typing_only=typing_only)
        elif is_type_checking(node):
            assert isinstance(node, ast.If)
            for inside in node.body:
                yield from visit(inside, True)
            for inside in node.orelse:
                yield from visit(inside, typing_only)
        else:
            for child_node in ast.iter_child_nodes(node):
                yield from visit(child_node, typing_only)

    return visit(module.tree, False)


def check_floors(module: Module) -> Iterator[Violation]:
    """Law 1: a floor imports only lower floors; nobody inside imports `actorlab/__init__`."""
    law = "floors"
    if module.unit == "":
        return
    own = FLOORS.get(module.unit)
    if own is None:
        yield module.violation(1, law, f"{module.unit} stands on no floor; give it one in tools/check_architecture.py")
        return
    for taken in imports_of(module):
        if taken.typing_only or not taken.target or taken.target[0] == module.unit:
            continue  # typing costs nothing at run time; the root itself is law 2's business
        other = taken.target[0]
        theirs = FLOORS.get(other)
        if theirs is None:
            yield module.violation(taken.line, law, f"imports {other}, which stands on no floor")
        elif theirs >= own:
            yield module.violation(taken.line, law, f"{module.unit} (floor {own}) imports {other} (floor {theirs})")


def check_imports(module: Module) -> Iterator[Violation]:
    """Law 2: across packages from the package root, inside a package from the sibling, never from actorlab itself."""
    law = "imports"
    for taken in imports_of(module):
        shown = ".".join((ROOT, *taken.target))
        if taken.absolute:
            yield module.violation(taken.line, law, f"imports {shown} by its absolute name; write it relatively")
        elif not taken.target:
            yield module.violation(taken.line, law, f"imports {taken.name} from {ROOT} itself")
        elif taken.target[0] != module.unit and len(taken.target) > 1:
            root = taken.target[0]
            yield module.violation(taken.line, law, f"reaches into {shown}; take it from the root of {root}")
        elif taken.name is not None and is_own_root(module, taken.target):
            yield module.violation(taken.line, law, f"takes {taken.name} from its own package's root; name the sibling")


def is_own_root(module: Module, target: tuple[str, ...]) -> bool:
    """Whether `target` is a package that `module` is part of, so that importing from it would be a circle."""
    return target == module.package[: len(target)] and not (module.is_package and target == module.package)


def private(name: str) -> bool:
    """Whether `name` belongs to one module.

    >>> private("_x"), private("__all__"), private("_"), private("x")
    (True, False, False, False)
    """
    return name.startswith("_") and not name.endswith("__") and name.strip("_") != ""


def check_private_names(module: Module) -> Iterator[Violation]:
    """Law 3: no `_name` crosses a module."""
    law = "private"
    house: set[str] = set()
    for taken in imports_of(module):
        if taken.name is not None and private(taken.name):
            yield module.violation(taken.line, law, f"imports {taken.name} from {'.'.join((ROOT, *taken.target))}")
        if taken.name is None:
            house.add(taken.bound)
    foreign = {
        alias.asname or alias.name.split(".")[0]
        for node in ast.walk(module.tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    } - {taken.bound for taken in imports_of(module)}
    own = set(own_names(module.tree))
    for node in ast.walk(module.tree):
        if not (isinstance(node, ast.Attribute) and private(node.attr)):
            continue
        of = ast.unparse(node.value)
        stem = of.split(".")[0].split("(")[0]
        if stem in house:
            yield module.violation(node.lineno, law, f"{of}.{node.attr} is another module's")
        elif stem not in foreign | {"self", "cls", "super"} and node.attr not in own | FOREIGN_PRIVATE:
            yield module.violation(node.lineno, law, f"{of}.{node.attr} is nothing that this module defines")


def own_names(tree: ast.AST) -> Iterator[str]:
    """Yield the private names that a module itself brings into being: defined, assigned or listed in `__slots__`."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if ast.unparse(node.value) in ("self", "cls"):
                yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and private(node.value):
            yield node.value


def check_file_names(module: Module) -> Iterator[Violation]:
    """Law 3: no file is called by a word that says nothing."""
    for part in module.parts:
        if part in FORBIDDEN_NAMES:
            yield module.violation(1, "names", f"nothing is called {part}; name it by the noun it holds")


def acts(statement: ast.stmt) -> bool:
    """Whether a statement at the top of a module does more than to say what there is."""
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return False
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.Assert() | ast.Pass():
            return False
        case ast.Expr(value=ast.Constant()):
            return False
        case ast.Raise():
            return False  # what refuses to be imported has no effect
        case ast.If(test=test, body=body, orelse=orelse):
            if ast.unparse(test) in ("__name__ == '__main__'",):
                return False
            return any(isinstance(n, ast.Call) for n in ast.walk(test)) or any(map(acts, (*body, *orelse)))
        case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=final):
            caught = [inner for handler in handlers for inner in handler.body]
            return any(map(acts, (*body, *caught, *orelse, *final)))
        case _:
            return type(statement).__name__ != "TypeAlias"


def check_import_effects(module: Module) -> Iterator[Violation]:
    """Law 4: importing has no effect."""
    if "/".join(module.parts) + ".py" in MAY_ACT_ON_IMPORT:
        return
    for statement in module.tree.body:
        if acts(statement):
            shown = ast.unparse(statement).splitlines()[0]
            yield module.violation(statement.lineno, "effects", f"importing would run `{shown}`")


def check_docstrings(module: Module) -> Iterator[Violation]:
    """Law 5: a docstring says what the module is, then whether it is pure, an actor or an edge."""
    law = "docstring"
    text = ast.get_docstring(module.tree)
    if text is None:
        yield module.violation(1, law, "there is none")
        return
    first, *rest = re.split(r"\n\s*\n", text, maxsplit=2)
    if not first.splitlines()[0].rstrip().endswith((".", ":")):
        yield module.violation(1, law, "its first line should be a noun phrase that ends there, with a full stop")
    kind = r"(an?\s+|the\s+)?(pure|actors?|edge)\b"
    if not module.is_package and not re.match(kind, rest[0].strip() if rest else "", re.IGNORECASE):
        yield module.violation(1, law, "its second paragraph should begin with pure, actor or edge")


def check_length(module: Module) -> Iterator[Violation]:
    """Law 6: past 400 lines, split by noun."""
    lines = module.source.count("\n")
    if lines > MAX_LINES:
        yield module.violation(MAX_LINES + 1, "length", f"{lines} lines; split it by noun (at most {MAX_LINES})")


def linux_names(module: Module) -> Iterator[tuple[int, str]]:
    """Yield what a module names that Linux alone has, outside of docstrings, with the line."""
    prose = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr in LINUX_ONLY:
            yield node.lineno, node.attr
        elif isinstance(node, ast.Constant) and id(node) not in prose and str(node.value).startswith(LINUX_PATHS):
            yield node.lineno, str(node.value)


def asks(module: Module) -> bool:
    """Whether a module asks for a capability."""
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("has", "require")
        for node in ast.walk(module.tree)
    )


def check_linux_only(module: Module) -> Iterator[Violation]:
    """Law 7: what Linux alone has is named only where a capability is asked for, so that there is a fall-back."""
    law, called = "linux", "/".join(module.parts)
    found = list(linux_names(module))
    if called not in NAMES_LINUX:
        for line, name in found:
            text = f"names {name}, which Linux alone has: ask memory.has(…), with a fall-back, and list the module"
            yield module.violation(line, law, f"{text} in tools/check_architecture.py")
    elif NAMES_LINUX[called] is None and not asks(module):
        yield module.violation(1, law, "names what Linux alone has and asks for no capability")


LAWS: tuple[Callable[[Module], Iterator[Violation]], ...] = (
    check_floors,
    check_imports,
    check_private_names,
    check_file_names,
    check_import_effects,
    check_docstrings,
    check_length,
    check_linux_only,
)


def violations(top: Path) -> list[Violation]:
    """Return everything in `top/actorlab` that breaks a law, by file and line."""
    return sorted({found for module in read_house(top) for law in LAWS for found in law(module)})


def main() -> int:
    """Print the violations; the exit status is 1 when there are any."""
    top = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    found = violations(top)
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(found)} violation{'' if len(found) == 1 else 's'} of the laws in {top / ROOT}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
