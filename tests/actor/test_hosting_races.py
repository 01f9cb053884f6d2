"""Plain Pykka classes that several threads start at once: one host a class, or what was started cannot be pickled."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pykka

from actorlab.actor.hosting import hosted

meeting = threading.Barrier(2)


class Guest(pykka.ThreadingActor):
    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        meeting.wait(20)


def test_two_threads_that_start_a_class_get_the_same_host():
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(hosted, [Guest, Guest])
    assert first is second
    assert pickle.loads(pickle.dumps(first)) is first
