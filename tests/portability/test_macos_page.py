"""Whatever may be lacking has a line of the doctor's and a row of the page's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from actorlab.memory import Capability
from actorlab.node.checkup import INSTEAD, doctor

PAGE = Path(__file__).parents[2] / "docs" / "macos-and-windows.md"
EVERYTHING = set(get_args(Capability))


def test_the_page_has_a_row_for_each():
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert {name for name, *_ in rows} == EVERYTHING and len(rows) == len(EVERYTHING)


def test_the_doctor_has_a_line_for_each_that_is_missing_and_none_for_what_is_there(without, tmp_path):
    assert set(INSTEAD) == EVERYTHING
    assert not {check.name for check in doctor(tmp_path / "base").checks} & EVERYTHING
    without("epoll", "memfd")
    said = {check.name: check for check in doctor(tmp_path / "base").checks}
    assert said.keys() & EVERYTHING == {"epoll", "memfd"}
    assert said["memfd"].ok and said["memfd"].text == f"taken away by ACTORLAB_WITHOUT: {INSTEAD['memfd']}"


def test_the_doctor_refuses_to_guess_what_was_meant(without, tmp_path):
    without("epol")
    [check] = doctor(tmp_path / "base").checks
    assert not check.ok and "ACTORLAB_WITHOUT='epol': is no capability" in check.text
