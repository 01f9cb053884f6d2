"""In IPython, and so in Jupyter: top-level await, and actor classes that are defined in a cell, and again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

SESSION = """
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance(colors="NoColor")


def cell(text):
    ran = shell.run_cell(text, store_history=False)
    ran.raise_error()
    return ran.result


cell("import actorlab as al")
cell('''
class Counter(al.Actor):
    def __init__(self, n=0):
        self.n = n

    def add(self, k):
        self.n += k
        return self.n

node = al.Node(workers=2)
counter = node.spawn(Counter, 5, placement=1)
''')
assert cell("await counter.request.add(2)") == 7
assert cell("node.spawn(Counter, 1, placement=2).call.add(1)") == 2
assert cell("[await f for f in [counter.request.add(1) for _ in range(3)]]") == [8, 9, 10]
cell('''
class Counter(al.Actor):
    def add(self, k):
        return "the class of the next cell"
''')
assert cell("node.spawn(Counter, placement=1).call.add(1)") == "the class of the next cell"
assert cell("counter.call.add(1)") == 11
cell("node.stop()")
print("done")
"""


def test_await_at_the_top_and_classes_of_cells_work(tmp_path: Path) -> None:
    script = tmp_path / "session.py"
    script.write_text(SESSION)
    ran = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=100,
        env=os.environ | {"IPYTHONDIR": str(tmp_path)},
    )
    assert ran.stdout.splitlines()[-1:] == ["done"], ran.stderr
