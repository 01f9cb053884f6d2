"""What the guides show, runs: the python blocks of a page are one program, its text blocks are what that prints.

Guides whose blocks are programs of their own are the business of test_guides. A block that is not meant to run (half a
program, another machine's shell) is fenced by another word: py, toml, console.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_guides import GUIDES

TOP = Path(__file__).parents[1]
PAGES = [
    page
    for page in sorted((TOP / "docs").glob("*.md"))
    if "```python\n" in page.read_text("utf-8") and page.name not in GUIDES
]


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", page.read_text("utf-8"), re.S | re.M)


@pytest.mark.process
@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_the_page_runs_and_prints_what_it_says(page: Path, tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks(page, "python")), "utf-8")
    environment = os.environ | {"PYTHONPATH": str(TOP)}
    ran = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", script],
        capture_output=True, text=True, timeout=100, cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    said = "".join(blocks(page, "text"))
    assert not said or ran.stdout == said
