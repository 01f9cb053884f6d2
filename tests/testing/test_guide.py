"""The examples of docs/testing.md run, as a user's suite would run them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_kit import run_pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "testing.md"


@pytest.mark.process
def test_the_guides_examples_pass(tmp_path):
    code = "\n\n".join(re.findall(r"^```python\n(.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL))
    (tmp_path / "test_guide.py").write_text(code)
    done = run_pytest(tmp_path, "-p", "actorlab.testing.plugin")
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
