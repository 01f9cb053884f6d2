"""The guard against growing slower unseen: what a message costs, in things that noise does not move."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

from tools.bench import counted


@pytest.mark.process
@pytest.mark.skipif(counted.agreed() is None, reason="no counts were agreed for this version of Python")
def test_a_message_costs_no_more_than_was_agreed() -> None:
    """In a process of its own: what tests before it left in this one's tables is not what a message costs."""
    command = [sys.executable, "-m", "tools.bench.counted"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}on purpose? then: python -m tools.bench.counted --keep"


def test_what_has_grown_is_said() -> None:
    assert doctest.testmod(counted).failed == 0
