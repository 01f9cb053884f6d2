"""Killing workers, and nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass

import pytest

from actorlab.corpus.account import pss_bytes
from actorlab.corpus.chaos import Chaos


@dataclass
class Worker:
    number: int
    pid: int
    restarts: int = 0


@pytest.fixture(params=["pidfds", "plain"], autouse=True)
def how(request, without):
    if request.param == "plain":
        without("pidfd", "proc")


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_a_worker_is_killed_by_sigkill_and_told(sleeper):
    told = []
    chaos = Chaos(lambda: [Worker(1, sleeper.pid)], told.append)
    assert chaos.kill_one()
    assert sleeper.wait(30) == -9
    assert (chaos.kills, told) == (1, [Worker(1, sleeper.pid)])


def test_a_number_that_is_no_longer_a_workers_is_not_killed(sleeper):
    answers = iter([[Worker(1, sleeper.pid)], [Worker(1, os.getpid())]])
    assert not Chaos(lambda: next(answers), print).kill_one()
    assert sleeper.poll() is None


def test_who_takes_long_to_die_is_not_killed_again(sleeper, monkeypatch):
    chaos = Chaos(lambda: [Worker(1, sleeper.pid)], lambda worker: None)
    with monkeypatch.context() as slow:
        slow.setattr(signal, "pidfd_send_signal", lambda process, number: None)
        slow.setattr(os, "kill", lambda pid, number: None)
        assert chaos.kill_one()
        assert not chaos.kill_one()
    assert chaos.kills == 1


def test_without_workers_nothing_is_killed():
    assert not Chaos(list, print).kill_one()


def test_it_kills_while_it_is_entered_and_then_no_more(sleeper):
    with Chaos(lambda: [Worker(1, sleeper.pid)], lambda worker: None, every_s=0.01) as chaos:
        assert sleeper.wait(30) == -9
    kills = chaos.kills
    assert kills >= 1
    assert not any(thread.name == "chaos" for thread in threading.enumerate())


@pytest.mark.parametrize("how", ["plain"], indirect=True)
def test_where_nobody_tells_shares_the_cost_is_not_known(sleeper):
    assert pss_bytes([os.getpid(), sleeper.pid]) is None


@pytest.mark.parametrize("how", ["pidfds"], indirect=True)
def test_a_process_has_a_cost_and_one_that_is_gone_has_none(sleeper):
    assert pss_bytes([os.getpid()]) > 1_000_000
    sleeper.kill()
    sleeper.communicate()
    assert pss_bytes([sleeper.pid]) == 0
