"""Crash points cost nothing until armed, and then stop a process exactly where they say."""

from __future__ import annotations

import dis
import signal
import subprocess
import sys

import pytest

from actorlab.transport import arm_crashpoints, class_names, crashpoint_labels, lane_reader, lane_writer, node_table

LABELS = {module: crashpoint_labels(module) for module in (lane_writer, lane_reader, node_table, class_names)}


@pytest.mark.parametrize("module", LABELS, ids=lambda module: module.__name__)
def test_no_label_stands_twice_in_a_module(module):
    assert len(LABELS[module]) == len(set(LABELS[module])) > 2


def test_unarmed_code_has_no_trace_of_them_and_undo_brings_it_back():
    before = lane_reader.LaneReader.free.__code__
    assert not [one for one in dis.get_instructions(before) if "crash" in str(one.argval)]
    undo = arm_crashpoints(lane_reader, print)
    assert [one for one in dis.get_instructions(lane_reader.LaneReader.free) if "crash" in str(one.argval)]
    undo()
    assert lane_reader.LaneReader.free.__code__ is before


def test_armed_code_has_the_line_numbers_of_its_source():
    before = [line for *_, line in lane_reader.LaneReader.survivors.__code__.co_lines() if line]
    undo = arm_crashpoints(lane_reader, print)
    after = [line for *_, line in lane_reader.LaneReader.survivors.__code__.co_lines() if line]
    undo()
    assert set(before) <= set(after)


class Halves:
    """Something with a property of two halves, which have one name."""

    def __init__(self):
        self._half = 1

    @property
    def half(self):
        # crash: halves.get
        return self._half

    @half.setter
    def half(self, value):
        # crash: halves.set
        self._half = value


def test_a_property_is_armed_in_both_its_halves():
    passed = []
    undo = arm_crashpoints(sys.modules[__name__], passed.append)
    try:
        halves = Halves()
        halves.half += 1
    finally:
        undo()
    assert (halves.half, passed) == (2, ["halves.get", "halves.set"])


PROGRAM = """
import sys
from actorlab.transport import LaneWriter, arm_crashpoints, create_lane, lane_writer
arm_crashpoints(lane_writer)
create_lane(sys.argv[1], 64)
writer = LaneWriter(sys.argv[1])
for number in range(5):
    writer.try_send(1, number, 0, 0, b"x")
    print(number, flush=True)
"""


@pytest.mark.parametrize(
    ("order", "printed", "code"),
    [("send.tail:3", 2, -signal.SIGKILL), ("send.data", 0, -signal.SIGKILL), ("elsewhere:1", 5, 0), ("", 5, 0)],
)
def test_the_environment_says_where_to_die(tmp_path, order, printed, code):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "lane")],
        env={"PATH": "", "ACTORLAB_CRASHPOINT": order},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (len(done.stdout.split()), done.returncode, done.stderr) == (printed, code, "")
