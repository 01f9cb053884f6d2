"""What is built when somebody first looks: once, though two threads look at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

import actorlab as al
from actorlab.actor import actor as actor_module
from actorlab.actor import cell as cell_module

PATIENCE_S = 20.0


class Plain(al.Actor):
    def boom(self):
        raise RuntimeError("boom")


@pytest.fixture
def together():
    """`together(make)` is `make` for two threads, of which neither goes on before the other has made one too."""
    met = threading.Barrier(2, timeout=PATIENCE_S)

    def pair(make):
        def made():
            one = make()
            met.wait()
            return one

        return made

    return pair


def both(look):
    with ThreadPoolExecutor(2) as pool:
        return [look.result(PATIENCE_S) for look in [pool.submit(look) for _ in range(2)]]


def test_who_looks_first_at_an_actors_end_hears_of_it_with_any_other(node, monkeypatch, together):
    ref = node.spawn(Plain)
    node.runtime.kernels[ref.home].cells[ref.address].more()
    monkeypatch.setattr(actor_module, "threading", SimpleNamespace(Event=together(threading.Event)))
    first, second = both(lambda: ref.actor_stopped)
    ref.stop()
    assert first.wait(PATIENCE_S)
    assert second.wait(PATIENCE_S)


def test_the_rare_part_of_a_cell_is_built_once(node, monkeypatch, together):
    ref = node.spawn(Plain)
    cell = node.runtime.kernels[ref.home].cells[ref.address]
    assert cell.extra is None
    monkeypatch.setattr(cell_module, "Extra", together(cell_module.Extra))
    first, second = both(cell.more)
    assert first is second is cell.extra


def test_who_waits_for_the_end_of_an_incarnation_hears_of_it_though_there_is_a_next(node, eventually):
    node.start(al.Supervisor(children=[al.child(Plain, name="plain", placement="local")]))
    ref = node.whereis("plain")
    stopped = ref.actor_stopped
    ref.cast.boom()
    eventually(lambda: ref.incarnation == 1)
    assert stopped.wait(PATIENCE_S)
    assert not ref.actor_stopped.is_set()
