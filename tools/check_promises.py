"""Promises and crash points: what the documentation promises has a test, and what is marked in the source is killed.

Edge (reads files; imports none of them); used by the test suite and by hand:

    python -m tools.check_promises [folder that holds actorlab/]

A promise is `P4`, or `promise 4`, in a docstring, a comment or the documentation. It names a module
`tests/promises/test_promise_04_….py` whose tests say in their first line what of it they show. In `docs/promises.md`
every table ends with the tests of each row, by their file below tests/ and, behind `::`, their name; those must exist.
A crash point is a line `# crash: label`; its module is named by a test that kills processes there. (That each label
really was one where a process was killed, only a run of those tests shows: tests/conftest.py compares when all of them
have run.)
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PROMISES = range(1, 11)
PROMISE = re.compile(r"\bP(\d{1,2})\b|\b[Pp]romises? (\d{1,2})\b")
CRASH = re.compile(r"^[ \t]*# crash: ([a-z_.]+)[ \t]*$", re.MULTILINE)
KILLS = re.compile(r"kill_at|die_at|SIGKILL")
TABLES = Path("docs/promises.md")
TEST = re.compile(r"`([\w/]+\.py)(?:::(\w+))?`")


def promises_named(top: Path) -> dict[int, str]:
    """Return each promise that the package or the documentation names, with the first file that does."""
    found: dict[int, str] = {}
    files = [*sorted((top / "actorlab").rglob("*.py")), *sorted((top / "docs").glob("*.md")), top / "README.md"]
    for path in files:
        if path.exists():
            for match in PROMISE.finditer(path.read_text("utf-8")):
                found.setdefault(int(match[1] or match[2]), str(path.relative_to(top)))
    return found


def tests_of(top: Path, promise: int) -> list[str]:
    """Return the tests whose docstring says which part of a promise they show."""
    found = []
    for path in sorted((top / "tests" / "promises").glob(f"test_promise_{promise:02d}_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                says = (ast.get_docstring(node) or "").partition("\n")[0]
                if re.match(rf"Promise {promise}: \S", says):
                    found.append(f"{path.name}::{node.name}")
    return found


def rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row of the tables in a Markdown page, its head too: the line's number, and its cells.

    >>> list(rows("|a|b|\\n|---|---|\\n| c `x.py` | d |"))
    [(1, ['a', 'b']), (3, ['c `x.py`', 'd'])]
    """
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("|") and set(line) - set("|-: "):
            yield number, [cell.strip() for cell in line.strip().strip("|").split("|")]


def untold(top: Path) -> Iterator[str]:
    """Yield what is wrong with the tables of promises: a table or a row without tests, a test that is not there."""
    path = top / TABLES
    if not path.exists():
        yield f"{TABLES} is not there"
        return
    told: set[int] = set()
    before = -1
    for number, cells in rows(path.read_text("utf-8")):
        where = f"{TABLES}:{number}"
        is_head, before = number > before + 1, number
        if is_head:
            before += 1  # the line below it
            if cells[-1] != "test":
                yield f"{where}: the last column of a table here is `test`, not `{cells[-1]}`"
            continue
        named = TEST.findall(cells[-1])
        if not named:
            yield f"{where}: names no test"
        for file, test in named:
            yield from (f"{where}: {why}" for why in missing(top / "tests", file, test))
        if match := PROMISE.fullmatch(cells[0]):
            promise = int(match[1])
            told.add(promise)
            if not any(Path(file).name.startswith(f"test_promise_{promise:02d}_") for file, _ in named):
                yield f"{where}: names no test of promise {promise}"
        elif not all(test for _, test in named):
            yield f"{where}: names a file, and no test in it"
    for promise in PROMISES:
        if promise not in told:
            yield f"{TABLES}: has no row for promise {promise}"


def missing(tests: Path, file: str, test: str) -> Iterator[str]:
    """Yield why a test cannot be found: its file, or a function of its name in it, is not there."""
    path = tests / file
    if not path.exists():
        yield f"there is no tests/{file}"
    elif test:
        tree = ast.walk(ast.parse(path.read_text("utf-8")))
        if not any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == test for node in tree):
            yield f"tests/{file} has no {test}"


def crash_points(top: Path) -> dict[str, list[str]]:
    """Return the labels of every module that has crash points, by its path below `top`."""
    found = {}
    for path in sorted((top / "actorlab").rglob("*.py")):
        labels = CRASH.findall(path.read_text("utf-8"))
        if labels and path.name != "crashpoints.py":
            found[str(path.relative_to(top))] = labels
    return found


def killers(top: Path, module: str) -> list[str]:
    """Return the test files that kill processes and name a module with crash points."""
    stem = Path(module).stem
    named = re.compile(rf"\b{stem}\b")
    found = []
    for path in sorted((top / "tests").rglob("test_*.py")):
        text = path.read_text("utf-8")
        if KILLS.search(text) and named.search(text) and re.search(r"[Cc]rash|mark", text):
            found.append(str(path.relative_to(top)))
    return found


def violations(top: Path) -> Iterator[str]:
    """Yield what is promised or marked, and not shown."""
    named = promises_named(top)
    for promise, where in sorted(named.items()):
        if promise not in PROMISES:
            yield f"{where}: promise {promise} is none of 1 to {PROMISES[-1]}"
    for promise in PROMISES:
        if not tests_of(top, promise):
            yield f"promise {promise} (named in {named.get(promise, 'the design')}) has no test that says what it shows"
    yield from untold(top)
    seen: dict[str, str] = {}
    for module, labels in crash_points(top).items():
        for label in labels:
            if label in seen:  # who was killed at one of them would count for the other
                where = "stands there twice" if seen[label] == module else f"is one of {seen[label]}, too"
                yield f"{module}: crash point {label} {where}"
            seen[label] = module
        if not killers(top, module):
            yield f"{module}: no test kills a process at its crash points ({', '.join(labels)})"


def main(arguments: list[str]) -> int:
    """Print every violation; return 1 if there is one."""
    top = Path(arguments[0]) if arguments else Path(__file__).parents[1]
    found = list(violations(top))
    print("\n".join(found) if found else "every promise has its tests, every crash point its killer")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
