"""What a system has is asked once, by what there is; what is taken away is gone for everybody; a typo is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import get_args

import pytest

from actorlab.errors import MissingCapability, SpecError
from actorlab.memory import Capability, ask_again, has, missing, require, shared_memory_folder

EVERYTHING = get_args(Capability)


def test_this_system_has_them_all():
    assert missing() == ()


@pytest.mark.parametrize("name", EVERYTHING)
def test_what_is_taken_away_is_missing_and_so_is_what_needs_it(without, name):
    without(name)
    need_it = {"proc": {"forkserver", "memfd"}, "pidfd": {"forkserver"}, "close_signal": {"forkserver"}}
    assert set(missing()) == {name} | need_it.get(name, set())


def test_several_are_taken_away_by_commas_or_spaces(without):
    without("pidfd, eventfd futex")
    assert set(missing()) == {"pidfd", "forkserver", "eventfd", "futex"}


def test_macos_stands_for_all_that_macos_lacks(without):
    without("macos")
    assert missing() == EVERYTHING


def test_an_unknown_name_is_refused_and_those_there_are_are_named(without):
    without("pidfd", "pidfds")
    with pytest.raises(SpecError, match=r"ACTORLAB_WITHOUT='pidfds': is no capability: use pidfd, .*macos"):
        has("epoll")


def test_the_answer_stands_until_it_is_asked_again(monkeypatch, without):
    without("epoll")
    assert not has("epoll")
    monkeypatch.setenv("ACTORLAB_WITHOUT", "")
    assert not has("epoll")
    ask_again()
    assert has("epoll")


def test_what_was_asked_for_by_name_is_refused_with_what_else_serves(without):
    without("memfd")
    with pytest.raises(MissingCapability) as refused:
        require("memfd", "backend", "memfd", "use 'file'")
    assert isinstance(refused.value, SpecError)
    assert str(refused.value) == "backend: 'memfd' cannot be had here: this system lacks memfd; use 'file'"


def test_without_shared_memory_files_go_into_the_users_temporary_folder(without, monkeypatch, tmp_path):
    assert shared_memory_folder() == Path("/dev/shm")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    without("dev_shm")
    assert shared_memory_folder() == tmp_path


def test_nothing_is_asked_when_it_is_imported():
    code = "import actorlab.memory, actorlab.node; print(actorlab.memory.has.cache_info().currsize)"
    environment = os.environ | {"ACTORLAB_WITHOUT": "no such thing"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert (ran.stdout, ran.stderr) == ("0\n", "")


def test_psutil_is_not_imported_where_there_is_a_proc():
    code = (
        "import os, sys, actorlab as al; al.Node; from actorlab.memory import start_time_of, own_private_bytes; "
        "start_time_of(os.getpid()); own_private_bytes(); print('psutil' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ran.stdout, ran.stderr) == ("False\n", "")
