"""Service: a node under systemd; what it tells its service manager, and the unit that starts it.

Edge (a datagram socket, a thread); used by the runner and by `actorlab unit`. The protocol is sd_notify(3): single
datagrams to the socket that $NOTIFY_SOCKET names. Without one, nothing is sent and nothing costs anything.
"""

from __future__ import annotations

import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .errors import SpecError

WATCHDOG_S = 30


class ServiceManager:
    """Whoever started us and wants to hear how we are."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Find out whether there is one, and whether it wants a sign of life."""
        self._address = environment.get("NOTIFY_SOCKET", "")
        mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        period = environment.get("WATCHDOG_USEC", "") if mine else ""
        self.watchdog_s = int(period) / 1e6 if period.isdecimal() and self._address else None
        self._over = threading.Event()
        self._watchdog: threading.Thread | None = None

    def tell(self, *lines: str) -> bool:
        """Send state lines; return whether they were sent. Never raises: one that does not listen harms nobody."""
        if not self._address:
            return False
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.settimeout(1.0)
                out.connect(address)
                out.sendall("\n".join(lines).encode())
        except OSError:
            return False
        return True

    def ready(self, status: str, is_well: Callable[[], bool]) -> None:
        """Say that we run; from now on, where it is wanted, say twice a period that we do, as long as `is_well()`."""
        self.tell("READY=1", f"STATUS={status}", f"MAINPID={os.getpid()}")
        if self.watchdog_s is not None and self._watchdog is None:
            self._watchdog = threading.Thread(
                target=self._keep_alive, args=(is_well, self.watchdog_s / 2), name="actorlab watchdog", daemon=True
            )
            self._watchdog.start()

    def reloading(self) -> bool:
        """Say that we are about to change, and return True; `ready` says when that is done."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        return True

    def stopping(self) -> None:
        """Say that we stop, and give no further sign of life."""
        self._over.set()
        self.tell("STOPPING=1")

    def _keep_alive(self, is_well: Callable[[], bool], every_s: float) -> None:
        while not self._over.wait(every_s):
            if is_well():
                self.tell("WATCHDOG=1")


def unit(
    files: Sequence[str],
    *,
    name: str,
    user: bool = False,
    memory_max: str | None = None,
    stop_timeout_s: float = 10.0,
    environment: Sequence[str] = (),
) -> str:
    """Return the text of a systemd unit that runs `files` (absolute or from here) as the node called `name`.

    `environment` are the variables that the files name; they are listed for an EnvironmentFile. Raises SpecError for a
    path that systemd could not take.
    """
    paths = [str(Path(file).resolve()) for file in files]
    for path in (*paths, sys.executable, os.getcwd()):
        if any(ord(character) < 32 for character in path):
            raise SpecError("unit", f"{path!r} holds a control character: systemd cannot take it")
    run = _command(sys.executable, "-m", "actorlab", "run", *paths)
    reload = _command(sys.executable, "-m", "actorlab", "reload", name)
    lines = [
        f"# actorlab node {name}; made by: actorlab unit {shlex.join(files)}",
        "[Unit]",
        f"Description=actorlab node {name}",
        "After=network.target",
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={run}",
        f"ExecReload={reload}",
        "WorkingDirectory=" + os.getcwd().replace("%", "%%"),
        "Restart=on-failure",
        "RestartSec=1",
        f"WatchdogSec={WATCHDOG_S}",
        "TimeoutStartSec=60",
        f"TimeoutStopSec={int(stop_timeout_s) + 10}",
        "# the controller stops its workers in order; what is left after that is killed with it",
        "KillMode=mixed",
        "# one process and a few threads a worker; a storm of restarts ends here",
        "TasksMax=512",
        "LimitNOFILE=65536",
        "LimitCORE=0",
        "NoNewPrivileges=yes",
    ]
    if memory_max is not None:
        lines += [f"MemoryMax={memory_max}", "OOMPolicy=continue"]
    if environment:
        lines += [f"# the files name: {', '.join(environment)}", f"EnvironmentFile=-%h/.config/actorlab/{name}.env"]
    if user:
        lines += ["# logging out must not end it or empty /dev/shm under it: loginctl enable-linger"]
    else:
        lines += ["# a user who logs out must not empty /dev/shm under it: User= of a system account (uid < 1000), or",
                  "# RemoveIPC=no in /etc/systemd/logind.conf"]  # fmt: skip
    lines += ["", "[Install]", f"WantedBy={'default' if user else 'multi-user'}.target", ""]
    return "\n".join(lines)


def _command(*words: str) -> str:
    return " ".join(map(_escaped, words))


def _escaped(word: str) -> str:
    """Quote a word for a unit file: percent signs are specifiers there, dollars variables."""
    plain = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return f'"{plain}"' if any(character in plain for character in " \t;'\"\\") else plain
