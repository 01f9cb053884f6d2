"""The laws of the house hold, and the check that says so sees what it should."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools import check_promises
from tools.check_architecture import FLOORS, LAWS, NAMES_LINUX, Module, asks, linux_names, read_house, violations

TOP = Path(__file__).resolve().parents[1]
HOUSE = read_house(TOP)
DOC = '"""A thing.\n\nPure.\n"""\n'


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__.removeprefix("check_"))
def test_the_house_keeps_its_law(law):
    broken = sorted(found for module in HOUSE for found in law(module))
    assert not broken, "\n" + "\n".join(map(str, broken))


def test_every_floor_named_in_the_law_is_where_the_design_put_it():
    order = ["errors", "memory", "transport", "actor", "registry", "supervision", "node", "scaling", "config", "cli"]
    assert [FLOORS[unit] for unit in order] == sorted({FLOORS[unit] for unit in order})


def house(tmp_path: Path, files: dict[str, str]) -> Path:
    """Write a small house with an empty `memory`, `actor`, `transport` and `errors`, and `files` on top."""
    packages = ("", "memory/", "transport/", "actor/")
    plain = {f"{p}__init__.py": '"""A package."""\n' for p in packages} | {"errors.py": DOC, "memory/map.py": DOC}
    for name, text in (plain | files).items():
        path = tmp_path / "actorlab" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_every_module_that_may_name_what_linux_has_does_so_and_is_come_to_by_one_that_asks():
    modules = {"/".join(module.parts): module for module in HOUSE}
    for called, asked_by in NAMES_LINUX.items():
        assert list(linux_names(modules[called])), f"{called} names nothing any more"
        assert asks(modules[asked_by or called])


BROKEN = {
    "linux: names pidfd_open, which Linux alone has": ("actor/ref.py", "import os\nopen_ = os.pidfd_open\n"),
    "linux: names /proc/": ("actor/ref.py", 'def f(pid):\n    return open(f"/proc/{pid}/stat")\n'),
    "linux: names /dev/shm": ("actor/ref.py", 'WHERE = "/dev/shm"\n'),
    "linux: names what Linux alone has and asks for no capability": (
        "actor/selector.py",
        "import os\n\n\ndef f():\n    os.eventfd(0)\n",
    ),
    "floors: memory (floor 1) imports actor (floor 3)": ("memory/lend.py", "from ..actor import Actor\n"),
    "floors: memory (floor 1) imports transport (floor 2)": (
        "memory/lend.py",
        "def f():\n    from ..transport import Lane\n    return Lane\n",
    ),
    "floors: storey stands on no floor": ("storey/lend.py", ""),
    "imports: imports actorlab.memory.map by its absolute name": ("actor/ref.py", "from actorlab.memory import map\n"),
    "imports: imports actorlab by its absolute name": ("actor/ref.py", "import actorlab\n"),
    "imports: imports Node from actorlab itself": ("actor/ref.py", "from .. import Node\n"),
    "imports: reaches into actorlab.memory.map": ("actor/ref.py", "from ..memory.map import Segment\n"),
    "imports: takes Cell from its own package's root": ("actor/ref.py", "from . import Cell\n"),
    "private: imports _x from actorlab.memory": ("actor/ref.py", "from ..memory import _x\n"),
    "private: imports _x from actorlab.errors": ("actor/ref.py", "from ..errors import _x\n"),
    "private: memory._x is another module's": ("actor/ref.py", "from .. import memory\nprint_ = memory._x\n"),
    "private: cell._queue is nothing that": ("actor/ref.py", "def f(cell):\n    return cell._queue\n"),
    "names: nothing is called utils": ("actor/utils.py", ""),
    "effects: importing would run `print(1)`": ("actor/ref.py", "print(1)\n"),
    "effects: importing would run `if sys.argv:`": ("actor/ref.py", "import sys\nif sys.argv:\n    print(1)\n"),
    "effects: importing would run `for x in range(3):`": ("actor/ref.py", "for x in range(3):\n    pass\n"),
    "length: 404 lines": ("actor/ref.py", "x = 1\n" * 400),
}


@pytest.mark.parametrize("text", BROKEN)
def test_the_check_sees_each_way_to_break_a_law(tmp_path, text):
    name, body = BROKEN[text]
    found = violations(house(tmp_path, {name: DOC + body}))
    assert any(f"{one.law}: {one.text}".startswith(text) for one in found), found
    assert all(one.line > 4 or one.line == 1 for one in found)


@pytest.mark.parametrize(
    "body",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..transport import Lane\n",
        "from .map import Segment\n",
        "from . import map\n",
        "from ..errors import ActorlabError\n",
        "import os\ndef f(): os._exit(0)\n",
        "class A:\n    __slots__ = ('_x',)\n    def __eq__(self, other): return self._x == other._x\n",
        "try:\n    import uvloop\nexcept ImportError:\n    uvloop = None\n",
        "import sys\nif sys.version_info >= (3, 12):\n    LIMIT = 1\nelse:\n    LIMIT = 2\n",
    ],
)
def test_the_check_lets_the_usual_pass(tmp_path, body):
    assert violations(house(tmp_path, {"memory/lend.py": DOC + body})) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x = 1\n", "there is none"),
        ('"""What a module\n\nPure."""\n', "its first line"),
        ('"""What a module is.\n\nIt calls an actor."""\n', "its second paragraph"),
        ('"""What a module is."""\n', "its second paragraph"),
    ],
)
def test_the_check_reads_docstrings(tmp_path, text, why):
    (found,) = violations(house(tmp_path, {"memory/lend.py": text}))
    assert found.law == "docstring"
    assert found.text.startswith(why)


def test_a_violation_is_shown_with_its_place(tmp_path):
    top = house(tmp_path, {"actor/ref.py": DOC + "import actorlab\n"})
    done = subprocess.run(
        [sys.executable, "-m", "tools.check_architecture", str(top)], cwd=TOP, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stdout.startswith("actorlab/actor/ref.py:5: imports: imports actorlab by its absolute name")


LOOK_ROUND = """
import json, os, sys, threading
before = len(os.listdir("/proc/self/fd"))
import importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
print(json.dumps({
    "threads": [t.name for t in threading.enumerate()],
    "descriptors": len(os.listdir("/proc/self/fd")) - before,
    "children": children,
    "heavy": sorted({"numpy", "pyarrow", "pandas", "rich", "uvloop", "hypothesis", "pytest"} & set(sys.modules)),
}))
"""


def after_importing(*names: str) -> dict[str, object]:
    """Import `names` in a fresh interpreter and return what that left behind."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOOK_ROUND, *names], cwd=TOP, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_actorlab_is_light_and_starts_nothing():
    left = after_importing("actorlab")
    assert left == {"threads": ["MainThread"], "descriptors": 0, "children": [], "heavy": []}


def test_importing_every_module_starts_nothing():
    def importable(module: Module) -> bool:
        return module.parts[-1:] != ("__main__",) and module.parts != ("node", "preload")

    names = [".".join(("actorlab", *module.parts)) for module in HOUSE if importable(module)]
    left = after_importing(*names)
    assert left["threads"] == ["MainThread"]
    assert left["children"] == []


def test_every_promise_has_tests_and_every_crash_point_a_killer():
    assert list(check_promises.violations(TOP)) == []


def test_the_check_of_promises_sees_what_is_missing(tmp_path):
    (tmp_path / "actorlab").mkdir()
    (tmp_path / "tests" / "promises").mkdir(parents=True)
    (tmp_path / "actorlab" / "thing.py").write_text('"""Keeps P11."""\n# crash: one.store\n# crash: one.store\n')
    for number in range(1, 11):
        text = f'def test_it():\n    """Promise {number}: it holds."""\n' if number != 7 else "def test_it(): pass\n"
        (tmp_path / "tests" / "promises" / f"test_promise_{number:02d}_x.py").write_text(text)
    found = "\n".join(check_promises.violations(tmp_path))
    assert "promise 11 is none of 1 to 10" in found
    assert "promise 7 (named in the design) has no test" in found
    assert "one.store stands there twice" in found
    assert "thing.py: no test kills" in found
    (tmp_path / "tests" / "test_thing.py").write_text("from actorlab import thing\nkill_at(crashpoint_labels(thing))\n")
    (tmp_path / "actorlab" / "third.py").write_text("# crash: one.store\n")
    found = "\n".join(check_promises.violations(tmp_path))
    assert "thing.py: no test kills" not in found
    assert "third.py: crash point one.store is one of actorlab/thing.py, too" in found


def test_the_check_of_promises_reads_the_tables_and_sees_a_test_that_was_renamed(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "tests" / "promises").mkdir(parents=True)
    (tmp_path / "tests" / "promises" / "test_promise_01_x.py").write_text("def test_it(): ...\n")
    (tmp_path / "tests" / "test_y.py").write_text("class TestY:\n    def test_that(self): ...\n")
    page = tmp_path / "docs" / "promises.md"
    rows = [f"| P{number} | holds | `promises/test_promise_01_x.py` |" for number in range(1, 10)]
    page.write_text(
        "\n".join(("| | promise | test |", "|---|---|---|", *rows))
        + "\n\n| it | test |\n|---|---|\n| waits | `test_y.py::test_that`<br>`test_y.py::test_this` |\n"
        "| goes | `test_z.py::test_that` |\n| stays | `test_y.py` |\n| ends | nobody knows |\n"
        "\n| a | b |\n|---|---|\n| c | d |\n"
    )
    found = list(check_promises.untold(tmp_path))
    assert found == [
        *(f"docs/promises.md:{number + 2}: names no test of promise {number}" for number in range(2, 10)),
        "docs/promises.md:15: tests/test_y.py has no test_this",
        "docs/promises.md:16: there is no tests/test_z.py",
        "docs/promises.md:17: names a file, and no test in it",
        "docs/promises.md:18: names no test",
        "docs/promises.md:20: the last column of a table here is `test`, not `b`",
        "docs/promises.md:22: names no test",
        "docs/promises.md: has no row for promise 10",
    ]
