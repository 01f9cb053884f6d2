"""Every store to shared memory has a crash point just before it and just behind it, or a reason why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import check_stores
from tools.excused_stores import EXCUSED

TOP = Path(__file__).parents[1]


def test_every_store_to_shared_memory_has_its_crash_points_or_a_reason():
    assert list(check_stores.violations(TOP)) == []


def test_every_excuse_is_a_reason_in_words():
    for module, excuses in EXCUSED.items():
        for store, reason in excuses.items():
            assert len(reason.split()) > 3, (module, store)


VIEW = "class Thing:\n    def __init__(self, segment):\n        self.numbers = segment.buf[8:].cast('Q')\n\n"


def wrong(tmp_path, source, excused=None):
    """Return what the check says of a module `memory/thing.py` with this source."""
    folder = tmp_path / "actorlab" / "memory"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "thing.py").write_text(VIEW + source)
    return list(check_stores.violations(tmp_path, excused or {}))


@pytest.mark.parametrize(
    "store",
    [
        "self.numbers[3] = 4",
        "self.numbers[3] += 4",
        "self.numbers[3:5] = four",
        "other, self.numbers[3] = 3, 4",
        "self.segment.mmap[3:4] = b'4'",
        "self.segment.buf[:8].cast('Q')[0] = 4",
        "FOUR.pack_into(self.segment.buf, 3, 4)",
        "os.replace(three, four)",
        "Path(three).unlink()",
        "os.pwrite(fd, four, 3)",
        "later(lambda: os.unlink(three))",
    ],
)
def test_a_store_without_crash_points_is_seen_whatever_it_stores_to(tmp_path, store):
    labelled = f"    def store(self):\n        # crash: a.b\n        {store}\n        # crash: a.c\n"
    assert wrong(tmp_path, labelled) == []
    (found,) = wrong(tmp_path, f"    def store(self):\n        {store}\n")
    assert "no crash point before and behind it" in found


def test_a_view_by_another_name_is_seen(tmp_path):
    (found,) = wrong(tmp_path, "    def store(self):\n        a, mine = 1, self.numbers\n        mine[3] = 4\n")
    assert "Thing.store stores to mine[3]" in found


def test_what_is_no_store_needs_nothing(tmp_path):
    assert wrong(tmp_path, "    def load(self, own):\n        own[3] = self.numbers[3]\n        own.remove(4)\n") == []


def test_crash_points_and_stores_take_turns(tmp_path):
    def of(*lines):
        return wrong(tmp_path, "    def store(self):\n" + "".join(f"        {line}\n" for line in lines))

    assert of("# crash: a", "self.numbers[1] = 1", "# crash: b", "self.numbers[2] = 2", "# crash: c") == []
    (found,) = of("# crash: a", "self.numbers[1] = 1", "# crash: b", "self.numbers[2] = 2")
    assert "numbers[2]: no crash point behind it" in found
    between = of("# crash: a", "self.numbers[1] = 1", "self.numbers[2] = 2", "# crash: c")
    assert ["behind" in one for one in between] == [True, False]
    (found,) = of("# crash: a", "if self.numbers[1]:", "    self.numbers[1] = 1", "    return", "# crash: c")
    assert "no crash point behind it" in found


def test_the_crash_points_of_a_function_inside_are_its_own(tmp_path):
    inner = "        def inner():\n            # crash: a\n            self.numbers[1] = 1\n            # crash: b\n"
    (found,) = wrong(tmp_path, f"    def outer(self):\n{inner}        self.numbers[2] = 2\n")
    assert "Thing.outer stores to self.numbers[2]: no crash point before and behind it" in found


def test_an_excuse_holds_for_its_store_only_and_must_fit_one(tmp_path):
    source = "    def store(self):\n        self.numbers[1] = 1\n"
    excused = {"memory/thing.py": {("Thing.store", "self.numbers[1]"): "nobody looks at it"}}
    assert wrong(tmp_path, source, excused) == []
    assert len(wrong(tmp_path, source + "        self.numbers[2] = 2\n", excused)) == 1
    (found,) = wrong(tmp_path, "", excused)
    assert "excused for it" in found


def test_a_reason_beside_a_store_holds_for_that_store_and_must_have_one(tmp_path):
    source = '''
    def put(self):
        # no crash point: nobody looks at it
        self.numbers[3] = 4
        {}
'''
    assert wrong(tmp_path, source.format("")) == []
    (found,) = wrong(tmp_path, source.format("self.numbers[4] = 5"))
    assert "stores to self.numbers[4]: no crash point before and behind it" in found
    (found,) = wrong(tmp_path, source.replace("self.numbers[3] = 4", "self.done = True").format(""))
    assert "no store that lacks one" in found
