"""The guard against growing slower unseen: what a message costs, in things that noise does not move."""

from __future__ import annotations

import doctest
import subprocess
import sys
from itertools import repeat
from pathlib import Path

import pytest

from tools.bench import allocations, counted


@pytest.mark.process
@pytest.mark.skipif(
    counted.VERSION not in counted.agreed(),
    reason=f"counts were agreed for Python {', '.join(counted.agreed())}: it needs one of these, or --keep",
)
def test_a_message_costs_no_more_than_was_agreed() -> None:
    """In a process of its own: what tests before it left in this one's tables is not what a message costs."""
    command = [sys.executable, "-m", "tools.bench.counted"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}on purpose? then: python -m tools.bench.counted --keep"


def test_every_version_that_the_suite_passes_on_has_its_counts() -> None:
    kept = counted.agreed()
    assert set(kept) >= {"3.11", "3.12", "3.13"}
    assert len({frozenset(counts) for counts in kept.values()}) == 1


def test_every_block_that_is_asked_for_is_counted_though_it_be_given_back() -> None:
    def work(n: int) -> int:
        return allocations.counted(lambda: [None for _ in repeat(None, n) if not bytes(40)])

    nothing = allocations.counted(lambda: None)
    assert work(3_000) - work(1_000) == 2_000
    assert [allocations.counted(lambda: None) for _ in range(3)] == [nothing] * 3


def test_instructions_are_counted_exactly_and_of_one_thread_only() -> None:
    """In a process of its own: there is one trace function for all."""
    script = (
        "import threading\n"
        "from tools.bench import instructions\n"
        "def turns(n):\n"
        "    for _ in range(n): pass\n"
        "def counted(n):\n"
        "    instructions.begin(); turns(n); return instructions.end()\n"
        "instructions.watch()\n"
        "going = threading.Thread(target=turns, args=(3_000_000,))\n"
        "going.start()\n"
        "few = counted(1_000)\n"
        "going.join()\n"
        "assert few == counted(1_000)\n"
        "print((counted(3_000) - few) // 2_000, (counted(3_000) - few) % 2_000)\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    turn, odd = map(int, done.stdout.split())
    assert 2 <= turn <= 4 and odd == 0


def test_what_has_grown_is_said() -> None:
    assert doctest.testmod(counted).failed == 0
