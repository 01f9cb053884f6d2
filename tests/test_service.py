"""What a service manager is told, and the unit that it is given."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorlab.errors import SpecError
from actorlab.service import ServiceManager, unit


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """An address as NOTIFY_SOCKET gives it, and the socket that hears what is sent there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        address = str(tmp_path / "notify") if request.param == "file" else f"\0actorlab-test-{id(ear)}"
        ear.bind(address)
        ear.settimeout(30)
        yield address.replace("\0", "@"), ear


def test_a_manager_hears_of_start_reload_and_stop(manager: tuple[str, socket.socket]) -> None:
    address, ear = manager
    told = ServiceManager({"NOTIFY_SOCKET": address})
    told.ready("node shop runs", lambda: True)
    told.reloading()
    told.stopping()
    heard = [ear.recv(4096).decode().splitlines() for _ in range(3)]
    assert heard[0][:2] == ["READY=1", "STATUS=node shop runs"]
    assert heard[1][0] == "RELOADING=1" and heard[1][1].startswith("MONOTONIC_USEC=")
    assert heard[2] == ["STOPPING=1"]


def test_a_watchdog_gets_its_sign_of_life_as_long_as_all_is_well(manager: tuple[str, socket.socket]) -> None:
    address, ear = manager
    told = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000"})
    well = [True]
    told.ready("runs", lambda: well[0])
    assert ear.recv(4096).startswith(b"READY=1")
    assert [ear.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    well[0] = False
    told.stopping()
    while (heard := ear.recv(4096)) == b"WATCHDOG=1":
        pass
    assert heard == b"STOPPING=1"


def test_a_watchdog_that_is_meant_for_another_process_is_none_of_ours() -> None:
    told = ServiceManager({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"})
    assert told.watchdog_s is None


def test_without_a_manager_nothing_is_sent_and_one_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    assert ServiceManager({}).tell("READY=1") is False
    assert ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell("READY=1") is False


@pytest.mark.parametrize("user", [False, True])
def test_the_unit_is_one_that_systemd_takes(user: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "a 50% $shop"
    odd.mkdir()
    monkeypatch.chdir(odd)
    text = unit(["base.toml", "prod.toml"], name="shop", user=user, memory_max="4G", environment=("REGION",))
    for line in ("Type=notify", "KillMode=mixed", "WatchdogSec=30", "MemoryMax=4G", "TimeoutStopSec=20"):
        assert line in text.splitlines()
    assert '50%% $$shop/base.toml"' in text
    path = tmp_path / "shop.service"
    path.write_text(text)
    if analyze := shutil.which("systemd-analyze"):
        ran = subprocess.run(
            [analyze, "verify", *(["--user"] if user else []), path], capture_output=True, text=True, timeout=60
        )
        complaints = [line for line in ran.stderr.splitlines() if "shop.service" in line]
        assert complaints == []


def test_a_path_that_systemd_cannot_take_is_refused() -> None:
    with pytest.raises(SpecError, match="control character"):
        unit(["a\nb.toml"], name="shop")
