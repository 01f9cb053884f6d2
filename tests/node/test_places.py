"""A worker's place in a process: given up without harm to who else lives there."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actorlab.node.directory import NodeDirectory
from actorlab.node.station import Station


def test_a_heart_that_beats_while_its_place_is_given_up_ends_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    at_rest, given_up = threading.Event(), threading.Event()

    def rest(now: float) -> None:
        at_rest.set()
        given_up.wait(0.5)  # it is not while the heart beats

    with NodeDirectory.create(runtime_dir=tmp_path) as node:
        place: Any = Station.__new__(Station)
        place._over, place._pause_s = threading.Event(), 0.0
        place._watch = SimpleNamespace(beat=lambda: None)
        place._tree = tree = NodeDirectory.join(node.path, 1)
        place._begin = None
        place.kernel = SimpleNamespace(post=lambda *_: None, run=lambda: at_rest.wait(20), inlet=None)
        place.runtime = SimpleNamespace(outlet=None, spill=SimpleNamespace(rest=rest))
        close = tree.close
        monkeypatch.setattr(tree, "close", lambda: (close(), given_up.set()))
        place.run()
        assert given_up.is_set()
        for thread in threading.enumerate():
            if thread.name == "actorlab heart":
                thread.join(20)
        assert not ended
