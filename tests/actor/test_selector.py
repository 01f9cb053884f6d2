"""The loop's selector hears of its own and of asyncio's descriptors alike, with epoll or with what else there is."""

from __future__ import annotations

import asyncio
import os
import selectors
import socket
import threading

import pytest

from actorlab.actor.selector import EpollSelector, Waker, make_selector


@pytest.fixture(params=["epoll", "plain"])
def selector(request, without):
    if request.param == "plain":
        without("epoll")
    made = make_selector(lambda timeout: made.poll(timeout))
    assert isinstance(made, EpollSelector) == (request.param == "epoll")
    yield made
    made.close()


@pytest.fixture(params=["eventfd", "pipe"])
def waker(request, without):
    if request.param == "pipe":
        without("eventfd")
    made = Waker()
    yield made
    made.close()


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_ours_is_cleared_and_not_shown_to_asyncio(selector, waker):
    rung = []
    selector.watch(waker.fileno(), lambda: (rung.append(1), waker.clear()))
    waker.ring()
    assert selector.poll(1.0) == [] and rung == [1]
    assert selector.poll(0) == [] and rung == [1]
    selector.unwatch(waker.fileno())
    selector.unwatch(waker.fileno())
    waker.ring()
    assert selector.poll(0) == [] and rung == [1]


def test_asyncios_are_shown_with_what_they_wait_for(selector, pair):
    ours, theirs = pair
    selector.register(ours, selectors.EVENT_READ, "data")
    assert selector.poll(0) == []
    theirs.send(b"x")
    [(key, ready)] = selector.poll(1.0)
    assert (key.data, ready) == ("data", selectors.EVENT_READ)
    selector.modify(ours, selectors.EVENT_READ | selectors.EVENT_WRITE, "both")
    [(key, ready)] = selector.poll(1.0)
    assert (key.data, ready) == ("both", selectors.EVENT_READ | selectors.EVENT_WRITE)


def test_a_pipe_that_hung_up_is_heard_of(selector):
    read, write = os.pipe()
    heard = []
    selector.watch(read, lambda: heard.append(1))
    assert selector.poll(0) == [] and not heard
    os.close(write)
    selector.poll(1.0)
    assert heard == [1]
    selector.unwatch(read)
    os.close(read)


def test_what_a_callback_of_ours_has_closed_is_not_shown(selector, pair, waker):
    ours, theirs = pair
    selector.watch(waker.fileno(), lambda: (waker.clear(), selector.unregister(ours)))
    selector.register(ours, selectors.EVENT_READ)
    waker.ring()
    theirs.send(b"x")
    # in whichever order the system names them: shown before it was taken back, or not at all
    assert [key.fd for key, _ in selector.poll(1.0)] in ([], [ours.fileno()])
    assert selector.poll(0) == []


def test_a_callback_that_fails_takes_nobody_with_it(selector, waker, pair, caplog):
    ours, theirs = pair
    selector.watch(waker.fileno(), lambda: (waker.clear(), 1 / 0))
    selector.register(ours, selectors.EVENT_READ)
    waker.ring()
    theirs.send(b"x")
    assert [key.fd for key, _ in selector.poll(1.0)] == [ours.fileno()]
    assert "a descriptor's callback fails" in caplog.text


def test_asyncio_runs_on_it(selector):
    loop = asyncio.SelectorEventLoop(selector)

    async def talk() -> bytes:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        loop.call_soon(theirs.send, b"hello")
        said = await reader.read(5)
        writer.close()
        await writer.wait_closed()
        theirs.close()
        return said

    try:
        assert loop.run_until_complete(talk()) == b"hello"
    finally:
        loop.close()


def test_a_waker_is_rung_from_any_thread_and_as_often_as_one_likes(waker, selector):
    woken = threading.Event()
    selector.watch(waker.fileno(), lambda: (waker.clear(), woken.set()))
    ringing = threading.Thread(target=lambda: [ring(waker) for _ in range(100_000)])
    ringing.start()
    selector.poll(30.0)
    assert woken.is_set()
    ringing.join()
    selector.poll(0)
    woken.clear()
    selector.poll(0)
    assert not woken.is_set()


def ring(waker):
    try:
        waker.ring()
    except BlockingIOError:
        pass  # full: it rings


def test_a_waker_that_is_closed_rings_nobody(waker):
    waker.close()
    waker.close()
    with pytest.raises(OSError):
        waker.ring()
