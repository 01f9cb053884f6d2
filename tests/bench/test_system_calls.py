"""What a message asks of the kernel: nothing where nobody sleeps, one byte into a doorbell where somebody does."""

from __future__ import annotations

import doctest
import os
import select

import pytest

from tools.bench import system_calls
from tools.bench.system_calls import counted


def test_a_built_in_is_known_for_the_system_call_it_makes() -> None:
    reading, writing = os.pipe()
    with select.epoll() as epoll:
        calls = counted(lambda: (os.write(writing, b"x"), os.read(reading, 1), epoll.poll(0), [].append(len("a"))))
        assert calls == {"write": 1, "read": 1, "poll": 1}
    os.close(reading)
    os.close(writing)
    assert doctest.testmod(system_calls).failed == 0


def test_nothing_is_counted_once_the_work_is_done() -> None:
    calls = counted(lambda: None)
    os.getppid()
    assert not calls


@pytest.mark.process
def test_within_a_kernel_no_message_makes_a_system_call() -> None:
    assert set(system_calls.within_a_kernel().values()) == {0.0}


@pytest.mark.process
def test_between_processes_there_is_one_ring_for_a_sleeper_and_nothing_for_who_is_awake() -> None:
    counts = system_calls.between_processes()
    assert counts["send_awake_system_calls"] == counts["ask_awake_system_calls"] == 0
    assert counts["send_asleep_rings"] <= 1 and counts["ask_asleep_rings"] <= 1
    assert counts["handle_awake_reads_and_writes"] * system_calls.MESSAGES <= 1  # it clears the ring that woke it
