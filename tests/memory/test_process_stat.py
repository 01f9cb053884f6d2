"""A process is told from another, and seen to be stopped or gone, with /proc and without."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys

import pytest

from actorlab.memory import is_frozen, own_private_bytes, owner_of, process_exists, start_time_of, stat_fields

pytestmark = pytest.mark.process


@pytest.fixture(params=["proc", "psutil"], autouse=True)
def asked(request, without):
    if request.param == "psutil":
        without("proc")
    return request.param


@pytest.fixture
def child():
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.stdin.close()
    process.wait()


def test_the_start_time_of_a_process_never_changes_and_is_its_own(child):
    assert start_time_of(child.pid) == start_time_of(child.pid)
    assert start_time_of(child.pid) > start_time_of(os.getpid())


def test_a_zombie_and_nobody_have_no_start_time(child, eventually):
    child.kill()
    eventually(lambda: start_time_of(child.pid) is None)
    assert process_exists(child.pid)  # until it is waited for
    child.wait()
    assert start_time_of(child.pid) is None
    assert not process_exists(child.pid)


def test_a_stopped_process_is_frozen_until_it_goes_on(child, eventually):
    assert not is_frozen(child.pid)
    child.send_signal(signal.SIGSTOP)
    eventually(lambda: is_frozen(child.pid))
    child.send_signal(signal.SIGCONT)
    eventually(lambda: not is_frozen(child.pid))


def test_whose_a_process_is(child):
    assert owner_of(child.pid) == os.geteuid()
    child.kill()
    child.wait()
    assert owner_of(child.pid) is None
    assert not is_frozen(child.pid)


def test_private_memory_grows_by_what_is_written():
    piece = os.urandom(1 << 20)
    gc.collect()
    before = own_private_bytes()
    held = bytearray(128 << 20)
    for at in range(0, len(held), len(piece)):
        held[at : at + len(piece)] = piece
    assert abs(own_private_bytes() - before - len(held)) < (16 << 20)  # what others let go of or take meanwhile
    del held


def test_what_is_in_stat_is_not_asked_without_proc(asked):
    assert bool(stat_fields(os.getpid())) == (asked == "proc")
