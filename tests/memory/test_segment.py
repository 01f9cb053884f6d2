"""Segments appear whole or not at all, never promise pages they do not have, and refuse what is not theirs."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

from actorlab.errors import SegmentCorrupt, SharedMemoryFull
from actorlab.memory import PAGE, Segment, encode_header, segment


def test_two_mappings_of_a_segment_see_the_same_bytes(tmp_path):
    mine = Segment.create(tmp_path / "s", PAGE)
    yours = Segment.open(tmp_path / "s")
    mine.buf[100] = 7
    assert yours.buf[100] == 7
    with pytest.raises(TypeError):
        yours.buf[100] = 8
    mine.close()
    yours.close()


def test_a_segment_appears_with_its_header_and_nothing_else_is_left(tmp_path):
    Segment.create(tmp_path / "s", PAGE, header=encode_header(b"alTest", 3, 11)).close()
    assert os.listdir(tmp_path) == ["s"]
    assert os.stat(tmp_path / "s").st_mode & 0o777 == 0o600
    segment = Segment.open(tmp_path / "s")
    assert segment.geometry(b"alTest", 3)[0] == 11
    segment.close()


def test_a_segment_never_replaces_another(tmp_path):
    Segment.create(tmp_path / "s", PAGE, header=b"first").close()
    with pytest.raises(FileExistsError):
        Segment.create(tmp_path / "s", PAGE, header=b"second")
    assert (tmp_path / "s").read_bytes()[:5] == b"first"
    assert os.listdir(tmp_path) == ["s"]


def test_a_full_file_system_is_a_typed_refusal_that_leaves_nothing(tmp_path, monkeypatch):
    def no_room(fd, offset, length):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(SharedMemoryFull, match=r"no room for a lane: 8,192 bytes needed"):
        Segment.create(tmp_path / "s", 2 * PAGE, what="a lane")
    assert os.listdir(tmp_path) == []


def test_more_than_the_file_system_has_is_refused_by_the_real_one():
    where = "/dev/shm" if os.path.isdir("/dev/shm") else "/tmp"
    room = os.statvfs(where)
    name = os.path.join(where, f"actorlab-test-{os.getpid()}-huge")
    with pytest.raises(SharedMemoryFull) as refused:
        Segment.create(name, (room.f_bavail + 1024) * room.f_frsize + (1 << 40), what="too much")
    assert refused.value.args[0] == "too much"
    assert not [left for left in os.listdir(where) if f"{os.getpid()}-huge" in left]


def test_an_interrupted_allocation_is_taken_up_again(tmp_path, monkeypatch):
    real, calls = os.posix_fallocate, []

    def interrupted_once(fd, offset, length):
        calls.append(length)
        if len(calls) == 1:
            raise InterruptedError(errno.EINTR, "signal")
        real(fd, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", interrupted_once)
    Segment.create(tmp_path / "s", PAGE).close()
    assert calls == [PAGE, PAGE]


def test_a_sparse_segment_has_pages_only_where_its_owner_asked(tmp_path):
    segment = Segment.create(tmp_path / "s", 1024 * PAGE, allocate_bytes=PAGE)
    assert os.stat(tmp_path / "s").st_blocks * 512 < 64 * PAGE
    segment.allocate(PAGE, 100 * PAGE)
    assert os.stat(tmp_path / "s").st_blocks * 512 >= 101 * PAGE
    segment.close()


def test_a_segment_outlives_its_name_while_it_is_mapped(tmp_path):
    segment = Segment.create(tmp_path / "s", PAGE, header=b"still here")
    os.unlink(tmp_path / "s")
    assert bytes(segment.buf[:10]) == b"still here"
    segment.close()


def test_closing_twice_and_with_a_view_out_is_harmless(tmp_path):
    segment = Segment.create(tmp_path / "s", PAGE, header=b"view")
    view = segment.buf[:4]
    segment.close()
    segment.close()
    assert bytes(view) == b"view"
    view.release()


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: os.mkfifo(path), "is not a regular file"),
        (lambda path: path.write_bytes(b"x" * 40), "too few for a header"),
        (lambda path: path.write_bytes(encode_header(b"other", 1)), "starts with b'other'"),
        (lambda path: path.write_bytes(encode_header(b"alTest", 9)), "layout version 9"),
    ],
)
def test_what_is_not_the_expected_file_is_refused_with_its_path(tmp_path, make, why):
    make(tmp_path / "odd")
    with pytest.raises(SegmentCorrupt, match=why) as refused:
        segment = Segment.open(tmp_path / "odd")
        try:
            segment.geometry(b"alTest", 1)
        finally:
            segment.close()
    assert str(tmp_path / "odd") in str(refused.value)


def test_a_symbolic_link_is_not_followed(tmp_path):
    Segment.create(tmp_path / "s", PAGE).close()
    os.symlink(tmp_path / "s", tmp_path / "link")
    with pytest.raises(OSError, match="symbolic"):
        Segment.open(tmp_path / "link")


KILLED_CREATOR = """
import os, signal, sys
from actorlab.memory import PAGE, Segment
name = sys.argv[2]
real = getattr(os, name)
def die(*args, **kwargs):
    if sys.argv[3] == "after":
        real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(os, name, die)
Segment.create(sys.argv[1], PAGE, header=b"whole")
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["ftruncate", "posix_fallocate", "pwrite", "link", "unlink"])
def test_a_creator_killed_at_any_step_leaves_a_whole_file_or_none(tmp_path, step, when):
    done = subprocess.run([sys.executable, "-c", KILLED_CREATOR, str(tmp_path / "s"), step, when], check=False)
    assert done.returncode == -signal.SIGKILL
    if (tmp_path / "s").exists():
        assert (tmp_path / "s").read_bytes() == b"whole".ljust(PAGE, b"\0")
    else:
        Segment.create(tmp_path / "s", PAGE).close()  # the dead one's temporary file is in nobody's way


def test_a_file_that_is_cut_while_it_is_opened_is_mapped_as_long_as_it_then_is(tmp_path, monkeypatch):
    path = tmp_path / "lane"
    Segment.create(path, 4 * PAGE, header=b"kept").close()
    map_file, cuts = segment.mmap.mmap, [PAGE]

    def cut_and_map(*arguments):
        if cuts:
            os.truncate(path, cuts.pop())
        return map_file(*arguments)

    monkeypatch.setattr(segment.mmap, "mmap", cut_and_map)
    opened = Segment.open(path)
    assert (opened.size_bytes, bytes(opened.buf[:4])) == (PAGE, b"kept")
    opened.close()


def test_a_file_that_is_cut_and_made_long_again_while_it_is_opened_is_mapped_whole(tmp_path, monkeypatch):
    path = tmp_path / "lane"
    Segment.create(path, 4 * PAGE, header=b"kept").close()
    map_file, cuts = segment.mmap.mmap, [PAGE, PAGE]

    def cut_and_map(*arguments):
        if not cuts:
            return map_file(*arguments)
        os.truncate(path, cuts.pop())
        try:
            return map_file(*arguments)
        finally:
            os.truncate(path, 4 * PAGE)

    monkeypatch.setattr(segment.mmap, "mmap", cut_and_map)
    opened = Segment.open(path)
    assert (opened.size_bytes, bytes(opened.buf[:4])) == (4 * PAGE, b"kept")
    opened.close()


def test_a_file_that_is_emptied_while_it_is_opened_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "lane"
    Segment.create(path, PAGE).close()
    map_file = segment.mmap.mmap

    def empty_and_map(*arguments):
        os.truncate(path, 0)
        return map_file(*arguments)

    monkeypatch.setattr(segment.mmap, "mmap", empty_and_map)
    with pytest.raises(SegmentCorrupt, match="is empty"):
        Segment.open(path)
