"""Reloads between `actorlab run` and who asks: none is lost, none ends it, and a manager hears the end of each."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actorlab import reload
from actorlab.config import Config
from actorlab.console import Console
from actorlab.errors import StartError
from actorlab.node import NodeOptions, write_whole
from actorlab.reload import Answer, Reloader, ask_reload
from actorlab.runner import Interrupted, run

CONFIG = Config("shop.toml", NodeOptions(), files=("shop.toml",))


class StandIn:
    """A node that does nothing, and runs until an answer lies there."""

    name = "shop"

    def __init__(self, directory: Path, started: Callable[[], None] = lambda: None) -> None:
        self.directory = directory
        self.stops: list[bool] = []
        started()

    def is_well(self) -> bool:
        return True

    def amend(self, tree: Any, *, dry_run: bool = False) -> tuple[Any, ...]:
        return ()

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self) -> str | None:
        return None

    def stop(self, *, brutal: bool = False) -> None:
        self.stops.append(brutal)


def wish(directory: Path, number: str) -> None:
    write_whole(directory / f"{reload.WISH}.{number}", {"files": [number], "dry_run": False})


@pytest.fixture
def reloader(tmp_path: Path) -> Iterator[Reloader]:
    made = Reloader(StandIn(tmp_path), CONFIG, lambda *files: CONFIG, lambda answer: None)
    yield made
    made.close()


def test_two_who_ask_at_once_are_both_answered(
    tmp_path: Path, reloader: Reloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have written before the node looks: the second asks in the middle of the first's signal."""
    asked: list[str] = []
    answers: dict[str, Answer] = {}

    def ask(file: str) -> None:
        answers[file] = ask_reload(tmp_path, 1, [file], dry_run=False, timeout_s=20)

    def hang_up(pid: int, number: int) -> None:
        asked.append("")
        if len(asked) == 1:
            ask("second")
        else:
            reloader.begin()

    monkeypatch.setattr(reload, "_hears_hangup", lambda pid, where: True)
    monkeypatch.setattr(os, "kill", hang_up)
    ask("first")
    assert {Path(answer.files[0]).name for answer in answers.values()} == {"first", "second"}


def test_a_wish_that_is_taken_back_while_it_is_read_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    reports: list[Answer | None] = []
    told = threading.Event()

    def report(answer: Answer | None) -> None:
        reports.append(answer)
        told.set()

    wish(tmp_path, "0" * 8)
    read = json.loads

    def read_and_withdraw(text: str) -> Any:
        (tmp_path / f"{reload.WISH}.{'0' * 8}").unlink()
        return read(text)

    monkeypatch.setattr(json, "loads", read_and_withdraw)
    reloader = Reloader(StandIn(tmp_path), CONFIG, lambda *files: loaded.extend(files) or CONFIG, report)
    reloader.begin()
    assert told.wait(20)
    reloader.close()
    assert (loaded, reports) == ([], [None])


def test_what_a_file_raises_is_the_answer_and_the_next_is_answered_too(tmp_path: Path) -> None:
    def load(*files: str) -> Config:
        if files == ("11111111",):
            raise RuntimeError("lazily")
        return CONFIG

    answers: list[Answer | None] = []
    done = threading.Semaphore(0)
    reloader = Reloader(StandIn(tmp_path), CONFIG, load, lambda answer: (answers.append(answer), done.release())[0])
    for number in ("11111111", "22222222"):
        wish(tmp_path, number)
        reloader.begin()
        assert done.acquire(timeout=20)
    reloader.close()
    assert [answer and answer.error for answer in answers if answer] == ["RuntimeError: lazily", None]


def running(tmp_path: Path, node: Callable[..., Any]) -> int:
    with open(os.devnull, "w") as nowhere:
        return run(CONFIG, {}, node, Console(nowhere, nowhere), lambda *files: CONFIG)


def test_a_reload_that_is_asked_for_while_the_node_starts_is_done_when_it_has(tmp_path: Path) -> None:
    def started() -> None:
        wish(tmp_path, "0" * 8)
        os.kill(os.getpid(), signal.SIGHUP)

    class Waiting(StandIn):
        def wait(self) -> str | None:
            answered = threading.Event()
            while not (tmp_path / f"{reload.ANSWER}.{'0' * 8}").exists():
                assert not answered.wait(0.001)
            return None

    assert running(tmp_path, lambda *_, **__: Waiting(tmp_path, started)) == 0
    assert (tmp_path / f"{reload.ANSWER}.{'0' * 8}").exists()


def test_a_hang_up_while_the_node_starts_ends_it_when_it_has(tmp_path: Path) -> None:
    class Never(StandIn):
        def wait(self) -> str | None:
            raise AssertionError("it was to end")

    node: list[StandIn] = []

    def make(*_: object, **__: object) -> StandIn:
        node.append(Never(tmp_path, lambda: os.kill(os.getpid(), signal.SIGHUP)))
        return node[0]

    assert running(tmp_path, make) == 0
    assert node[0].stops == [False]


def test_a_reload_is_announced_before_it_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one that is over at once is told as done first and as begun last, and the manager waits for its end."""
    heard: list[str] = []
    ready = threading.Event()

    def tell(self: object, *lines: str) -> bool:
        if lines[0] == "RELOADING=1":
            ready.wait(0.2)  # time enough for a reload that has begun too early
        heard.append(lines[0])
        if lines[0] == "READY=1" and len(heard) > 1:
            ready.set()
        return True

    monkeypatch.setattr("actorlab.service.ServiceManager.tell", tell)

    class Asked(StandIn):
        def wait(self) -> str | None:
            wish(tmp_path, "0" * 8)
            os.kill(os.getpid(), signal.SIGHUP)
            assert ready.wait(20)
            return None

    assert running(tmp_path, lambda *_, **__: Asked(tmp_path)) == 0
    assert heard == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


def test_a_second_signal_while_a_reload_is_waited_for_stops_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Reloader) -> None:
        close(self)
        raise Interrupted(signal.SIGTERM)

    close = Reloader.close
    monkeypatch.setattr(Reloader, "close", interrupted)
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    node = StandIn(tmp_path)
    try:
        running(tmp_path, lambda *_, **__: node)
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    assert node.stops == [True]


def test_a_node_that_gives_no_answer_is_said_so_and_its_wish_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload, "_hears_hangup", lambda pid, where: True)
    monkeypatch.setattr(os, "kill", lambda pid, number: None)
    with pytest.raises(StartError, match="gave no answer"):
        ask_reload(tmp_path, 1, [], dry_run=False, timeout_s=0.0)
    assert not list(tmp_path.iterdir())
