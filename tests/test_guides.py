"""What the guides show, runs, and prints what it says it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
GUIDES = ("handlers.md", "large-messages.md", "routers.md")
BLOCKS = [
    pytest.param(block, id=f"{guide}-{number}")
    for guide in GUIDES
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", (DOCS / guide).read_text("utf-8"), re.S), 1)
]


@pytest.mark.process
@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_a_guide_runs_as_it_is_written(block: str, tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(block, "utf-8")
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == re.findall(r"^# prints (.*)$", block, re.M), ran.stderr
