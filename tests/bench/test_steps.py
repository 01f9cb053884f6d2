"""The steps of the hot path: where they end in the code as it is, and that together they are all of it."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

from tools.bench import bench_steps, probes
from tools.bench.bench_steps import run_apart
from tools.bench.stepping import WAYS, WHOLE


@pytest.mark.process
@pytest.mark.parametrize("way", WAYS)
def test_a_message_passes_every_step_and_the_steps_are_all_it_executes(way: str) -> None:
    """By instructions, which noise does not move; a probe is 7 of them, or a few more where one is loaded anew."""
    rounds = run_apart(way, "counted")
    last = rounds[-1]
    steps = {step: count for step, count in last.items() if step != WHOLE}
    rare = {step for step in steps if "1 in 256" in step}
    assert {step for step, count in steps.items() if count <= 0} <= rare
    if way != "call between":  # there, both processes look for news meanwhile, as often as it takes
        assert sum(steps.values()) < last[WHOLE] < sum(steps.values()) + 9 * (len(steps) + 1)


def test_a_place_that_is_no_longer_in_the_code_is_an_error() -> None:
    """In a process of its own: what is planted stays."""
    script = (
        "from tools.bench.probes import Probe, plant\n"
        "try: plant([Probe('a step', 'actorlab.actor.waiting:call', 'before', 'no such line')])\n"
        "except LookupError as error: print(error)\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert "no line begins with 'no such line' in actorlab.actor.waiting:call" in done.stdout


def test_a_function_with_probes_does_what_it_did() -> None:
    script = (
        "import itertools\n"
        "from tools.bench import sample\n"
        "from tools.bench.probes import Probe, plant, taken\n"
        "where = 'tools.bench.sample:percentile'\n"
        "probes = [Probe('sorted', where, 'before', 'return '), Probe('began', where, 'of', 'def percentile(')]\n"
        "plant(probes, itertools.count().__next__)\n"
        "print(sample.percentile([3.0, 1.0, 2.0], 0.5), taken())\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout == "2.0 {'sorted': [1], 'began': [0]}\n"


def test_the_rules_of_the_tables_are_as_their_examples_say() -> None:
    assert doctest.testmod(bench_steps).failed == doctest.testmod(probes).failed == 0
