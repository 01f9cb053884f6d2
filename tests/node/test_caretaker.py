"""The thread that looks after the pools begins with the first pool and ends with the node, whichever comes first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actorlab.memory import POOLS
from actorlab.node.caretaker import Caretaker
from actorlab.testing import poll


def test_a_node_that_stops_while_its_first_pool_is_made_waits_for_the_caretaker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / POOLS).mkdir()
    runtime: Any = SimpleNamespace(pools={})
    caretaker = Caretaker(runtime)
    starting, go_on = threading.Event(), threading.Event()
    start = threading.Thread.start

    def slowly(thread: threading.Thread) -> None:
        if thread.name == "actorlab janitor":
            starting.set()
            go_on.wait(20)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", slowly)
    with ThreadPoolExecutor() as pool:
        begun = pool.submit(caretaker.begin, tmp_path)
        assert starting.wait(20)
        ended = pool.submit(caretaker.end)
        poll(ended.done, 0.5)  # it has to wait
        go_on.set()
        ended.result(timeout=20)
        begun.result(timeout=20)
    assert "actorlab janitor" not in [thread.name for thread in threading.enumerate()]
    caretaker.begin(tmp_path)  # nor does it begin again
    assert "actorlab janitor" not in [thread.name for thread in threading.enumerate()]
