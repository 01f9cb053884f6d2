"""Pages are there before anybody stores to them, whether the system puts them there or zeros are written."""

from __future__ import annotations

import errno
import os
import random
import tempfile

import pytest

from actorlab.errors import SharedMemoryFull
from actorlab.memory import Segment, allocate

PAGE = 4096


@pytest.fixture(params=["fallocate", "zeros"])
def file(request, without):
    """A file in shared memory, by descriptor."""
    if request.param == "zeros":
        without("fallocate")
    with tempfile.TemporaryFile(dir=os.environ["ACTORLAB_RUNTIME_DIR"], buffering=0) as opened:
        yield opened.fileno()


def pages(fd):
    return os.fstat(fd).st_blocks * 512 // PAGE


def test_a_part_of_a_sparse_file_gets_its_pages_and_no_other(file):
    os.ftruncate(file, 100 * PAGE)
    allocate(file, 10 * PAGE, 5 * PAGE)
    assert (pages(file), os.fstat(file).st_size) == (5, 100 * PAGE)


def test_what_is_there_stays_and_the_holes_between_are_filled(file):
    os.ftruncate(file, 64 * PAGE)
    dice = random.Random(1)
    there = sorted(dice.sample(range(64), 20))
    for page in there:
        os.pwrite(file, b"%04d" % page, page * PAGE + dice.randrange(PAGE - 4))
    before = os.pread(file, 64 * PAGE, 0)
    allocate(file, 0, 64 * PAGE)
    assert pages(file) == 64
    assert os.pread(file, 64 * PAGE, 0) == before


def test_a_part_behind_the_end_makes_the_file_longer(file):
    os.write(file, b"begin")
    allocate(file, 3, 3 * PAGE)
    assert os.fstat(file).st_size == 3 + 3 * PAGE
    assert os.pread(file, 8, 0) == b"begin\0\0\0"


def test_to_allocate_again_changes_nothing(file):
    for _ in range(2):
        allocate(file, PAGE + 1, 2 * PAGE)
        assert (pages(file), os.fstat(file).st_size) == (3, 3 * PAGE + 1)


@pytest.fixture
def hardly_any_room(without, monkeypatch):
    """Zeros are written, on a file system that says it has room for ten pages."""
    without("fallocate")
    real = os.fstatvfs

    def says(fd):
        found = real(fd)
        fields = list(found)
        fields[4] = 10 * PAGE // found.f_frsize  # f_bavail
        return os.statvfs_result(fields)

    monkeypatch.setattr(os, "fstatvfs", says)


def test_more_than_there_is_room_for_is_refused_before_anything_is_written(hardly_any_room, file):
    with pytest.raises(OSError) as refused:
        allocate(file, 0, 11 * PAGE)
    assert refused.value.errno == errno.ENOSPC
    assert pages(file) == 0
    allocate(file, 0, 10 * PAGE)
    allocate(file, 0, 10 * PAGE)  # needs none


def test_a_segment_that_does_not_fit_is_refused_and_leaves_nothing(hardly_any_room):
    with tempfile.TemporaryDirectory(dir=os.environ["ACTORLAB_RUNTIME_DIR"]) as folder:
        with pytest.raises(SharedMemoryFull, match="no room for a segment: 45,056 bytes needed"):
            Segment.create(os.path.join(folder, "too large"), 11 * PAGE)
        assert os.listdir(folder) == []


def test_a_file_system_that_does_not_tell_its_holes_loses_nothing(without, file, monkeypatch):
    without("fallocate")

    def refuses(fd, offset, whence):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    os.pwrite(file, b"kept", 5 * PAGE)
    monkeypatch.setattr(os, "lseek", refuses)
    allocate(file, 0, 8 * PAGE)
    assert (pages(file), os.pread(file, 4, 5 * PAGE)) == (8, b"kept")
