"""What the README shows, runs."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.process
def test_the_tour_runs_as_it_is_written(tmp_path: Path) -> None:
    first, second = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    script = tmp_path / "tour.py"
    script.write_text(first + textwrap.indent(second, "    "))
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("7\n11 Counter (urn:uuid:")
    assert "Error" not in ran.stderr


def test_the_readme_names_the_command_that_runs_the_tests() -> None:
    assert ".venv/bin/python -m pytest" in README.read_text()
